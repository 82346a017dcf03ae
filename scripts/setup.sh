#!/usr/bin/env bash
# Installs what the build, the tests or the docs need, or says in one line what is missing.
#   scripts/setup.sh packages     Debian packages (with sudo where not root)
#   scripts/setup.sh python       the virtual environment .venv with the test packages
#   scripts/setup.sh frameworks   adds the frameworks that some tests compare with
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  build-essential cmake ninja-build ccache git python3 python3-venv
  libmlir-22-dev mlir-22-tools llvm-22-dev llvm-22-tools clang-22 lld-22 liblld-22-dev
  libclang-rt-22-dev clang-format-22 libpthreadpool-dev libdlpack-dev nlohmann-json3-dev
  libgtest-dev zlib1g-dev libzstd-dev libxxhash-dev
)

wheel_ptxas='.venv/lib/python3*/site-packages/nvidia/cu*/bin/ptxas'

fail() { echo "setup: $*" >&2; exit 1; }

install_packages() {
  local missing=()
  for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  echo "setup: installing ${missing[*]}"
  local run=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "expected root or sudo to install Debian packages: ${missing[*]}"
    run=(sudo)
  fi
  export DEBIAN_FRONTEND=noninteractive
  "${run[@]}" apt-get update -qq
  "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null || fail "cannot install: ${missing[*]}"
}

case "${1:-}" in
packages)
  if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    install_packages
  else
    for tool in cmake ninja clang++-22 mlir-tblgen-22; do
      command -v "$tool" >/dev/null || fail "expected LLVM and MLIR 22.1 with headers, clang-22, lld-22, CMake 3.25, ninja, pthreadpool, nlohmann-json, dlpack and gtest (no apt-get here to install them); $tool is missing"
    done
  fi
  ;;
python)
  [ -x .venv/bin/python ] || python3 -m venv .venv || fail "expected python3 with venv"
  stamp=.venv/requirements.stamp
  if ! cmp -s python/requirements-test.txt "$stamp"; then
    .venv/bin/python -m pip install -q --disable-pip-version-check -r python/requirements-test.txt
    cp python/requirements-test.txt "$stamp"
  fi
  # Kernels for NVIDIA are assembled in tests: by a toolkit's ptxas, or that of a package.
  PATH=$PATH:/usr/local/cuda/bin command -v ptxas > /dev/null || compgen -G "$wheel_ptxas" > /dev/null ||
    .venv/bin/python -m pip install -q --disable-pip-version-check -r python/requirements-cuda.txt
  ;;
frameworks)
  "$0" python
  .venv/bin/python -c 'import torch' 2>/dev/null ||
    .venv/bin/python -m pip install -q --disable-pip-version-check -r python/requirements-frameworks.txt
  ;;
*)
  fail "expected packages, python or frameworks"
  ;;
esac
