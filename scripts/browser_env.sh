#!/usr/bin/env bash
# What the browser tests of reports need: Debian's Chromium (its build without a window), Playwright to drive it, axe for accessibility.
# Prints the directory of the npm packages and, on the second line, the browser. Idempotent; safe to run several at once.
# Exits with 77, saying why, where the browser cannot be had.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$root/.cache/browser
packages=(playwright-core@1.65.1 axe-core@4.14.1)

skip() { echo "browser_env.sh: $1" >&2; exit 77; }

mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
find_browser() { command -v chromium-headless-shell || command -v chromium || true; }
browser=$(find_browser)
if [ -z "$browser" ]; then
  command -v apt-get >/dev/null || skip "Chromium is not installed, and this is no Debian system"
  sudo=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null || skip "Chromium is not installed, and neither root nor sudo is at hand"
    sudo=(sudo)
  fi
  echo "browser_env.sh: installing chromium-headless-shell, about 60 MiB" >&2
  "${sudo[@]}" apt-get update -qq 9>&- >&2 || true
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core 9>&- >/dev/null 2>&1 ||
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core 9>&- >/dev/null 2>&1 ||
    skip "Chromium cannot be installed (no network?)"
  browser=$(find_browser)
fi
command -v npm >/dev/null || skip "npm is not installed"
stamp=$dir/.done-$(IFS=+; echo "${packages[*]}")
if [ ! -e "$stamp" ]; then
  (cd "$dir" && npm install --silent --ignore-scripts --no-audit --no-fund --no-save "${packages[@]}" >&2 9>&-) || skip "npm install failed (no network?)"
  touch "$stamp"
fi
echo "$dir/node_modules"
echo "$browser"
