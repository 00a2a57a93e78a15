# shellcheck shell=bash
# Sourced by the scripts that build and run. Installs what is missing (Debian 12), then provides
#   CAIRN_BUILD             the build directory; set it before to build elsewhere
#   configure_cairn -D...   configures with these settings; warnings are errors
#   build_cairn TARGET...   configures if that was never done, and builds the targets
#   ranks N COMMAND...      runs the command on N ranks, also as root and on fewer cores

cairn_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CAIRN_BUILD=${CAIRN_BUILD:-$cairn_root/build}

cairn_packages=(
  g++ make cmake pkg-config openmpi-bin libopenmpi-dev libhdf5-openmpi-dev hdf5-tools libssl-dev
  zlib1g-dev libdeflate-dev nlohmann-json3-dev libspdlog-dev libcli11-dev libgtest-dev libgmock-dev
  python3-h5py python3-numpy python3-cryptography libisal-dev
)
if [[ $(dpkg --print-architecture 2>/dev/null) == amd64 ]]; then
  cairn_packages+=(libipsec-mb-dev)
fi

install_missing_packages() {
  local missing=() package
  for package in "${cairn_packages[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
      grep -qx installed || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0

  local as_root=()
  if [[ $(id -u) -ne 0 ]]; then
    if ! command -v sudo >/dev/null; then
      echo "error: not root, and no sudo to install: ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  echo "installing ${missing[*]}"
  "${as_root[@]}" apt-get -qq update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
      --no-install-recommends "${missing[@]}" >/dev/null
}

# -g1: lines for whoever looks at a failure, in half the time that all of -g takes. gold links half a
# hundred programs in less than half of the time.
configure_cairn() {
  local linker=()
  if command -v ld.gold >/dev/null; then
    linker=("-DCMAKE_EXE_LINKER_FLAGS=${LDFLAGS:-} -fuse-ld=gold")
  fi
  cmake -S "$cairn_root" -B "$CAIRN_BUILD" -DCAIRN_WERROR=ON "${linker[@]}" \
    -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O2 -g1 -DNDEBUG" "$@"
}

build_cairn() {
  [[ -f $CAIRN_BUILD/CMakeCache.txt ]] || configure_cairn || return 1
  cmake --build "$CAIRN_BUILD" -j "$(nproc)" --target "$@"
}

ranks() {
  local count=$1
  shift
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    mpirun --oversubscribe -n "$count" "$@"
}

if command -v dpkg-query >/dev/null; then
  install_missing_packages || exit 1
fi
