#!/usr/bin/env bash
# clang-format over the sources, with the one pinned version; made files (tables) stay as they are.  usage: scripts/format.sh [--check]
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(scripts/interop_env.sh clang-format)
mode=(-i)
[ "${1:-}" = --check ] && mode=(--dry-run -Werror)
find assay cli tests bench -name '*.cpp' -o -name '*.h' | grep -v -e grid_tables.cpp -e unicode_additions.h | sort |
  xargs "$(dirname "$python")/clang-format" "${mode[@]}"
