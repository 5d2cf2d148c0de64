#!/usr/bin/env bash
# Fetches llama.cpp's prebuilt CPU libraries (they ship in the npm packages of node-llama-cpp, one for every kind of machine) into .deps/peer
# and prints their directory. Only this machine's package is fetched: 30 MB of 700, the rest are mostly CUDA libraries.
# Only tests and benchmarks use them. Idempotent; safe to run several at once.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$root/.deps/peer
mkdir -p "$dir"
case $(uname -m) in
  x86_64) machine=linux-x64 ;;
  aarch64) machine=linux-arm64 ;;
  *) echo "peer.sh: llama.cpp has no prebuilt libraries for $(uname -m)" >&2; exit 1 ;;
esac
exec 9>"$dir/.lock"
flock 9
if [ ! -e "$dir/.done-3.22.1" ]; then
  (cd "$dir" && npm install --silent --ignore-scripts --no-audit --no-fund "@node-llama-cpp/$machine@3.22.1" >&2)
  touch "$dir/.done-3.22.1"
fi
dirname "$(find "$dir/node_modules/@node-llama-cpp/$machine" -name 'libllama.*so*' | head -n 1)"
