#!/usr/bin/env bash
# The programs in README.md are what they claim to be: every ```cpp block with a main() is taken out
# as it stands and built against the installed library. The first one is run, and must say Hello!;
# the others are servers, which would go on for ever.
set -euo pipefail
export POST_POLICY=  # whatever this machine prefers

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${POST_BUILD_DIR:?run by ctest, or set POST_BUILD_DIR to a build folder}
cmake=${CMAKE:-cmake}
cxx=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
if grep -qE '^POST_(SANITIZE|TSAN|FUZZ):BOOL=ON' "$build/CMakeCache.txt"; then
    echo "skipped: an installed library is not built with sanitizers"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

fail() {
    failed=$((failed + 1))
    echo "FAILED: $1"
    if [ -s "$work/log" ]; then tail -n 30 "$work/log"; fi
}

"$cmake" --install "$build" --prefix "$work/prefix" >"$work/log" 2>&1 || {
    tail -n 30 "$work/log"
    exit 1
}
config=$(find "$work/prefix" -name post.pc)
export PKG_CONFIG_PATH=${config%/*}
libraries=${config%/pkgconfig/*}

# program-1.cpp and so on.
awk -v out="$work/program-" '
    /^```/ && inside {
        inside = 0
        if (text ~ /int main\(/) {
            count = count + 1
            file = out count ".cpp"
            printf "%s", text > file
        }
        next
    }
    /^```cpp$/ { inside = 1; text = ""; next }
    inside { text = text $0 "\n" }' "$root/README.md"

number=0
while [ -f "$work/program-$((number + 1)).cpp" ]; do
    number=$((number + 1))
    name="program $number of README.md"
    # shellcheck disable=SC2046
    if ! "$cxx" -std=c++20 -Wall -Wextra "$work/program-$number.cpp" -o "$work/program" \
        $(pkg-config --cflags --libs post) >"$work/log" 2>&1; then
        fail "$name does not build"
    elif [ -s "$work/log" ]; then
        fail "$name builds with warnings"
    elif [ "$number" -gt 1 ]; then
        passed=$((passed + 1))
    elif ! LD_LIBRARY_PATH=$libraries timeout 20 "$work/program" >"$work/log" 2>&1; then
        fail "$name does not end with 0"
    elif [ "$(cat "$work/log")" != 'Hello!' ]; then
        fail "$name does not say Hello!"
    else
        passed=$((passed + 1))
    fi
done
if [ "$number" -eq 0 ]; then fail "README.md has no program"; fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
