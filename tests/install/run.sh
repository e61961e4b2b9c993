#!/usr/bin/env bash
# Installs post, static and shared, into a folder of its own (one of the two is the build that the
# test belongs to, the other is built here); then builds a stranger's program
# against each, once with find_package and once with pkg-config, and runs it. Nothing installed may
# point into the source tree, the build tree or the cache of built dependencies.
set -euo pipefail
export POST_POLICY=  # whatever this machine prefers

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${POST_BUILD_DIR:?run by ctest, or set POST_BUILD_DIR to a build folder}
cmake=${CMAKE:-cmake}
cxx=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
flags=$(sed -n 's/^CMAKE_BUILD_TYPE:[A-Z]*=/-DCMAKE_BUILD_TYPE=/p' "$build/CMakeCache.txt")
if grep -qE '^POST_(SANITIZE|TSAN|FUZZ):BOOL=ON' "$build/CMakeCache.txt"; then
    echo "skipped: an installed library is not built with sanitizers"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The same objects as the build's own: let ccache see that, whatever the folder.
export CCACHE_NOHASHDIR=1
passed=0 failed=0

fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
    if [ -f "${2:-}" ]; then tail -n 30 "$2"; fi
}
check() {
    local what=$1
    shift
    if "$@" >"$work/log" 2>&1; then passed=$((passed + 1)); else fail "$what" "$work/log"; fi
}

# libdir KIND: lib, or what the system calls it.
libdir() {
    local config
    config=$(find "$work/$1/moved" -name post.pc)
    echo "${config%/pkgconfig/*}"
}

with_find_package() {
    mkdir -p "$work/$1/package" &&
        cat >"$work/$1/package/CMakeLists.txt" <<END &&
cmake_minimum_required(VERSION 3.21)
project(stranger CXX)
find_package(post 0.1 REQUIRED)
add_executable(stranger "$here/stranger.cpp")
target_link_libraries(stranger PRIVATE post::post)
END
        "$cmake" -S "$work/$1/package" -B "$work/$1/package/build" -G Ninja \
            -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_PREFIX_PATH="$work/$1/moved" &&
        "$cmake" --build "$work/$1/package/build" &&
        LD_LIBRARY_PATH=$(libdir "$1") timeout 20 "$work/$1/package/build/stranger"
}

with_pkg_config() {
    # shellcheck disable=SC2046
    PKG_CONFIG_PATH=$(libdir "$1")/pkgconfig "$cxx" -std=c++20 "$here/stranger.cpp" \
        -o "$work/$1/stranger" \
        $(PKG_CONFIG_PATH=$(libdir "$1")/pkgconfig pkg-config --cflags --libs post) &&
        LD_LIBRARY_PATH=$(libdir "$1") timeout 20 "$work/$1/stranger"
}

points_nowhere_else() {
    local cache
    cache=$(sed -n 's/^POST_LAST_PREFIX:INTERNAL=//p' "$build/CMakeCache.txt")
    ! grep -rIlF -e "$root" -e "$work" -e "${cache:-$root}" "$work/$1/moved"
}

own=static
if grep -q '^BUILD_SHARED_LIBS:BOOL=ON' "$build/CMakeCache.txt"; then own=shared; fi

build_and_install() {
    local from=$build shared=OFF
    if [ "$1" != "$own" ]; then
        from=$work/$1/build
        if [ "$1" = shared ]; then shared=ON; fi
        # shellcheck disable=SC2086
        "$cmake" -S "$root" -B "$from" -G Ninja -DCMAKE_CXX_COMPILER="$cxx" $flags \
            -DBUILD_SHARED_LIBS=$shared \
            -DPOST_TESTS=OFF -DPOST_EXAMPLES=OFF -DPOST_INTEROP=OFF &&
            "$cmake" --build "$from" || return 1
    fi
    "$cmake" --install "$from" --prefix "$work/$1/prefix"
}

for kind in static shared; do
    if build_and_install $kind >"$work/log" 2>&1; then
        # Moved, so that only what finds its own way is found.
        mv "$work/$kind/prefix" "$work/$kind/moved"
        check "$kind, find_package" with_find_package $kind
        check "$kind, pkg-config" with_pkg_config $kind
        check "$kind: no installed file names other folders" points_nowhere_else $kind
    else
        fail "$kind: building and installing" "$work/log"
    fi
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
