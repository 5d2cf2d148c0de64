#!/usr/bin/env bash
# Fetches llama.cpp's prebuilt CPU libraries (they ship in the npm package node-llama-cpp) into .deps/peer and prints their directory.
# Only tests and benchmarks use them. Idempotent; safe to run several at once.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$root/.deps/peer
mkdir -p "$dir"
exec 9>"$dir/.lock"
flock 9
if [ ! -e "$dir/.done-3.22.1" ]; then
  (cd "$dir" && npm install --silent --ignore-scripts --no-audit --no-fund node-llama-cpp@3.22.1 >&2)
  touch "$dir/.done-3.22.1"
fi
dirname "$(find "$dir/node_modules/@node-llama-cpp" -name 'libllama.*so*' | head -n 1)"
