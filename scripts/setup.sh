#!/usr/bin/env bash
# Installs what is missing to build and run assay: system packages, and libtorch from the PyTorch wheel (C++ part only).
# Idempotent; does nothing and takes no time when everything is there.  usage: scripts/setup.sh [TARGET_DIR]   (default .deps/libtorch)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
target=${1:-$root/.deps/libtorch}
version=2.13.0

packages=(g++ cmake ninja-build ccache pkg-config python3 libcli11-dev nlohmann-json3-dev libfmt-dev libpcre2-dev libsqlite3-dev
          libyaml-cpp-dev libicu-dev libssl-dev libcurl4-openssl-dev zlib1g-dev ca-certificates libexpected-dev libgtest-dev libgmock-dev libbenchmark-dev librsvg2-2)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
  sudo=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || { echo "setup: these packages are missing and neither root nor sudo is at hand: ${missing[*]}" >&2; exit 1; }
    sudo=(sudo)
  fi
  echo "setup: installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

stamp=$target/.assay-libtorch-$version
[ -e "$stamp" ] && exit 0

work=$(mktemp -d "${TMPDIR:-/tmp}/assay-setup.XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 -m pip --version >/dev/null 2>&1 || { echo "setup: python3 has no pip; install python3-pip" >&2; exit 1; }

# The size first: pip's own report names the file it would fetch.
python3 -m pip install --quiet --dry-run --ignore-installed --no-deps --report "$work/report.json" "torch==$version" >/dev/null 2>&1 || true
python3 - "$work/report.json" <<'PY'
import json, os, sys, urllib.parse, urllib.request
try:
    url = json.load(open(sys.argv[1]))["install"][0]["download_info"]["url"]
    parts = urllib.parse.urlparse(url)
    if parts.scheme == "file":
        size = os.path.getsize(urllib.parse.unquote(parts.path))
    else:
        size = int(urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=30).headers["Content-Length"])
    print(f"setup: fetching the PyTorch wheel, {size / 2**20:.0f} MiB")
except Exception:
    print("setup: fetching the PyTorch wheel, about 200 MiB (CPU) or 900 MiB (CUDA)")
PY
python3 -m pip download --quiet --no-deps --dest "$work" "torch==$version"

# Unpack headers and the libraries that the CPU and the CUDA wheel both have; then move into place in one step.
python3 - "$work" <<'PY'
import glob, os, sys, zipfile
work = sys.argv[1]
wheel = glob.glob(os.path.join(work, "torch-*.whl"))[0]
wanted = ("libtorch_cpu.so", "libc10.so", "libtorch.so")
with zipfile.ZipFile(wheel) as archive:
    for entry in archive.infolist():
        name = entry.filename
        base = os.path.basename(name)
        if name.startswith("torch/include/") or (name.startswith("torch/lib/") and (base in wanted or base.startswith("libgomp"))):
            archive.extract(entry, work)
PY
# A CUDA wheel's CPU library needs a few CUDA libraries, which come as packages of their own.
if ldd "$work/torch/lib/libtorch_cpu.so" | grep -q 'not found'; then
  echo "setup: fetching the CUDA run-time libraries the wheel needs"
  python3 -m pip install --quiet --target "$work/cuda" nvidia-cuda-runtime nvidia-cuda-cupti
  find "$work/cuda" -name '*.so*' -exec cp -n {} "$work/torch/lib/" \;
fi
touch "$work/torch/.assay-libtorch-$version"
mkdir -p "$(dirname "$target")"
rm -rf "$target.old"
[ -e "$target" ] && mv "$target" "$target.old"
mv "$work/torch" "$target"
rm -rf "$target.old"
echo "setup: libtorch $version is in ${target#"$root"/}"
