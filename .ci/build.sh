# For sourcing, at the root of the tree: build_preset NAME [CMAKE-OPTION...] runs the setup step,
# configures and builds (all, or what $build_targets names), says in one line what it does, and shows the compiler's words only when
# they matter. Leaves the folder's name in $build.

build_preset() {
    local preset=$1 log
    shift
    # The same objects whatever the folder: a second build (the test of installing makes one) finds
    # those of the first.
    export CCACHE_NOHASHDIR=1
    build=build/$preset
    .ci/setup
    mkdir -p "$build"
    log=$build/build.log
    echo "build: configuring $build"
    if ! cmake --preset "$preset" "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "build: cmake failed (whole log: $log)" >&2
        return 1
    fi
    echo "build: compiling (the first time takes minutes, after a change seconds)"
    if ! NINJA_STATUS='[%f/%t %es] ' cmake --build "$build" ${build_targets:+--target $build_targets} 2>&1 | build_progress "$log"; then
        grep -vE '^\[[0-9]+/[0-9]+ [0-9.]+s\] ' "$log" | tail -n 80 >&2 || true
        echo "build: compiling failed (whole log: $log)" >&2
        return 1
    fi
}

# Keeps all in the log and lets a line through every ten seconds.
build_progress() {
    local line last=$SECONDS
    : >"$1"
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$1"
        if [[ $line == \[* ]] && [ $((SECONDS - last)) -ge 10 ]; then
            last=$SECONDS
            printf 'build: %s\n' "${line:0:96}"
        fi
    done
}
