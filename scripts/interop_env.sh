#!/usr/bin/env bash
# A Python environment with the reference implementations that the interop tests compare against.
# usage: interop_env.sh PACKAGE...      (names from the table below; "gguf numpy" if none is given)
# Prints the path of its python. Idempotent; safe when several tests start it at once; nothing is installed twice.
set -euo pipefail

# Pinned, so that a test compares against the same oracle everywhere.
declare -A pinned=(
  [gguf]="gguf==0.19.0"
  [numpy]="numpy==2.2.6"
  [safetensors]="safetensors==0.6.2"
  [tokenizers]="tokenizers==0.22.1"
  [transformers]="transformers==4.57.1"
  [clang-format]="clang-format==19.1.7"
  [huggingface_hub]="huggingface_hub==0.36.2"
  [jsonschema]="jsonschema==4.25.1"
  [torch]="torch==2.13.0"
)

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
home="$root/.cache/interop"
mkdir -p "$home"

[ $# -gt 0 ] || set -- gguf numpy
wanted=()
for name in "$@"; do
  [ -n "${pinned[$name]:-}" ] || { echo "interop_env.sh: unknown package '$name' (known: ${!pinned[*]})" >&2; exit 64; }
  wanted+=("$name")
done

exec 9>"$home/lock"
flock 9
if [ ! -x "$home/venv/bin/python" ]; then
  rm -rf "$home/venv"
  python3 -m venv "$home/venv" >&2
fi
missing=()
for name in "${wanted[@]}"; do
  [ -e "$home/stamp.${pinned[$name]}" ] || missing+=("${pinned[$name]}")
done
if [ ${#missing[@]} -gt 0 ]; then
  "$home/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "${missing[@]}" 9>&- >&2
  for requirement in "${missing[@]}"; do touch "$home/stamp.$requirement"; done
fi
echo "$home/venv/bin/python"
