#!/usr/bin/env bash
# Installs Cairn, static and shared, each to a prefix of its own. Against each a stranger's program
# is built twice, by find_package and by pkg-config, and run. Of the shared library the exports are
# checked too. The kind that BUILD_DIR is not is made of BUILD_DIR's objects: that takes seconds.
#   package_test.sh BUILD_DIR PROJECT_ROOT MPIEXEC CXX STATIC_LIBRARY|SHARED_LIBRARY OBJECT_LIST
set -euo pipefail
build=$1 root=$2 mpiexec=$3 cxx=$4 kind_of_build=$5 object_list=$6
here=$root/mpi_tests/package
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# quietly COMMAND...: its output only where it fails.
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" && echo "failed: $*" && exit 1; } }

run_stranger() {  # PROGRAM
  echo "${1#"$work/"}:"
  "$mpiexec" --oversubscribe -n 2 "$1" "$1.checkpoints"
}

use_by_cmake() {  # PREFIX
  quietly cmake -S "$here" -B "$1/cmake" -DCMAKE_PREFIX_PATH="$1" -DCMAKE_CXX_COMPILER="$cxx"
  quietly cmake --build "$1/cmake"
  run_stranger "$1/cmake/stranger"
}

use_by_pkg_config() {  # PREFIX [--static]
  local prefix=$1 flags
  shift
  flags=$(PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name cairn.pc)") \
    pkg-config --cflags --libs "$@" cairn)
  # shellcheck disable=SC2086 # flags are many words
  quietly "$cxx" -std=c++20 "$here/main.cpp" -o "$prefix/stranger" $flags
  LD_LIBRARY_PATH=$(dirname "$(find "$prefix" -name 'libcairn.*' | head -n 1)") \
    run_stranger "$prefix/stranger"
}

# Where the program was built, it is installed and finds its library.
use_tool() {  # PREFIX
  [[ ! -x $1/bin/cairn ]] || "$1/bin/cairn" ls "$1/cmake/stranger.checkpoints"
}

build_from_objects() {  # BUILD_SHARED_LIBS
  quietly cmake -S "$root" -B "$work/build" -DBUILD_SHARED_LIBS="$1" \
    -DCAIRN_OBJECTS="$object_list" -DCAIRN_BUILD_TESTS=OFF -DCAIRN_BUILD_BENCH=OFF \
    -DCAIRN_BUILD_EXAMPLES=OFF -DCAIRN_BUILD_TOOLS=OFF -DCMAKE_CXX_COMPILER="$cxx"
  quietly cmake --build "$work/build"
}

# The build as it is, then the other kind.
if [[ $kind_of_build == SHARED_LIBRARY ]]; then
  build_from_objects OFF
  static=$work/build shared=$build
else
  build_from_objects ON
  static=$build shared=$work/build
fi

quietly cmake --install "$static" --prefix "$work/static"
use_by_cmake "$work/static"
use_tool "$work/static"
use_by_pkg_config "$work/static" --static

quietly cmake --install "$shared" --prefix "$work/shared"
use_by_cmake "$work/shared"
use_tool "$work/shared"
use_by_pkg_config "$work/shared"
/usr/bin/python3 "$here/check_exports.py" "$(find "$work/shared" -name libcairn.so)" "$root"
