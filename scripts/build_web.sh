#!/usr/bin/env bash
# Makes the template of `assay report`'s page from web/: one HTML file with everything in it.
# usage: build_web.sh [--optional] [--check] OUT.html
# Where node or the network is missing it says so and exits with 77; --optional: with 0.  --check: types and style of the sources first.
# What npm installs stays in web/node_modules; a second build needs no network. Safe to run several at once.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
optional=0 check=0
while [[ ${1:-} == --* ]]; do
  case $1 in
    --optional) optional=1 ;;
    --check) check=1 ;;
    *) echo "build_web.sh: unknown option $1" >&2; exit 64 ;;
  esac
  shift
done
out=${1:?usage: build_web.sh [--optional] [--check] OUT.html}
mkdir -p "$(dirname "$out")"
out=$(cd "$(dirname "$out")" && pwd)/$(basename "$out")
oldest_node=20

give_up() {
  echo "build_web.sh: no page for \`assay report\`: $1; \`make web\` tries again" >&2
  exit $((optional ? 0 : 77))
}

command -v node >/dev/null && command -v npm >/dev/null || give_up "node and npm (node $oldest_node or newer) are not installed"
(($(node -p 'process.versions.node.split(".")[0]') >= oldest_node)) || give_up "node is older than $oldest_node"

cd "$root/web"
mkdir -p "$root/.cache"
exec 9>"$root/.cache/web.lock"
flock 9
stamp=node_modules/.assay-$(sha256sum package-lock.json | cut -c1-16)
if [ ! -e "$stamp" ]; then
  # The lock file pins every package by its hash. One try: an unreachable network must not hold up a build.
  npm ci --ignore-scripts --no-audit --no-fund --silent --fetch-retries=1 --fetch-timeout=30000 9>&- || give_up "npm ci failed (no network?)"
  touch "$stamp"
fi
if ((check)); then
  npx --no-install tsc --noEmit 9>&-
  npx --no-install biome check . 9>&-
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/assay-web.XXXXXX")
trap 'rm -rf "$work"' EXIT
npx --no-install vite build --logLevel error --outDir "$work" 9>&-
mv "$work/index.html" "$out.part"
chmod 644 "$out.part"
mv "$out.part" "$out"
