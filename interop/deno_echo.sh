#!/usr/bin/env bash
# Raw QUIC against Deno, which is quinn: an echo with an ALPN of the application's own, in both
# roles, several streams on one connection, and refusals: a wrong ALPN, an authority that the
# client does not believe. Deno against Deno comes first: so a failure behind it is ours.
#
#   interop/deno_echo.sh            what it needs, it finds in build/*/ or $POST_BUILD_DIR
#   DENO=/path/to/deno              that one, instead of the npm package
#
# Exit code 77 and "skipped: why" where something that is not ours is missing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
cache=${POST_INTEROP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/post/interop}
package='@deno/linux-x64-glibc'
alpn=post-interop-echo

skip() {
    echo "skipped: $*"
    exit 77
}

fail() {
    echo "FAILED: $*" >&2
    for log in "$work"/*.log; do
        [ -s "$log" ] && { echo "--- ${log##*/}"; tail -n 20 "$log"; } >&2
    done
    exit 1
}

find_deno() {
    if [ -n "${DENO:-}" ]; then
        echo "$DENO"
        return
    fi
    command -v deno && return
    local deno=$cache/deno/node_modules/$package/deno
    if [ ! -x "$deno" ]; then
        [ "$(uname -sm)" = "Linux x86_64" ] || skip "no deno, and $package is for Linux x86_64" >&2
        command -v npm > /dev/null || skip "neither deno nor npm is here" >&2
        mkdir -p "$cache/deno"
        npm install --prefix "$cache/deno" --ignore-scripts --no-audit --no-fund "$package" \
            > "$cache/deno/npm.log" 2>&1 || skip "npm cannot install $package, see" \
            "$cache/deno/npm.log" >&2
        chmod +x "$deno"
    fi
    echo "$deno"
}

find_ours() {
    local candidate
    for candidate in "${POST_BUILD_DIR:-}"/interop/raw_echo "$root"/build/*/interop/raw_echo; do
        if [ -x "$candidate" ]; then
            echo "$candidate"
            return
        fi
    done
}

# An authority and a certificate of it: quinn's verifier refuses a certificate that is its own
# authority.
make_certificates() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj "/CN=interop authority" -addext basicConstraints=critical,CA:TRUE \
        -keyout "$1/ca.key" -out "$1/ca.pem"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" \
        -keyout "$1/key.pem" -out "$1/cert.csr"
    openssl x509 -req -in "$1/cert.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -CAcreateserial \
        -days 2 -out "$1/cert.pem" -extfile <(printf '%s\n' \
            'subjectAltName=DNS:localhost,IP:127.0.0.1' 'basicConstraints=critical,CA:FALSE')
}

# start_server NAME COMMAND...: runs it in the background; its port is in $port.
start_server() {
    local name=$1
    shift
    "$@" server 0 "$work/cert.pem" "$work/key.pem" "$alpn" \
        > "$work/$name.out" 2> "$work/$name.log" &
    server=$!
    port=
    for _ in $(seq 100); do
        port=$(sed -n 's/^listening //p' "$work/$name.out")
        [ -n "$port" ] && return
        kill -0 "$server" 2> /dev/null || break
        sleep 0.1
    done
    fail "the server $name does not listen"
}

stop_server() {
    if [ -n "${server:-}" ]; then
        kill "$server" 2> /dev/null || true
        wait "$server" 2> /dev/null || true
    fi
    server=
}

# ask NAME CA ALPN STREAMS BYTES COMMAND...
ask() {
    local name=$1 ca=$2 protocol=$3 streams=$4 bytes=$5
    shift 5
    timeout 60 "$@" client 127.0.0.1 "$port" "$ca" "$protocol" "$streams" "$bytes" \
        > "$work/$name.out" 2> "$work/$name.log"
}

# A refusal has a reason; a handshake that nobody answers is none.
refused() {
    grep -q '^failed: ' "$work/$1.log" && ! grep -qiE 'timed? ?out|did not answer' "$work/$1.log"
}

# play NAME SERVER-COMMAND -- CLIENT-COMMAND: all cases of one pairing.
play() {
    local name=$1
    shift
    local -a serves=() asks=()
    while [ "$1" != -- ]; do serves+=("$1"); shift; done
    shift
    asks=("$@")
    start_server "$name-server" "${serves[@]}"
    for case in "1 0" "1 1" "1 1000000" "50 20000" "300 100"; do
        # shellcheck disable=SC2086 # two words
        ask "$name-client" "$work/ca.pem" "$alpn" $case "${asks[@]}" ||
            fail "$name: streams and bytes $case"
        grep -qx "ok ${case/ / streams } bytes" "$work/$name-client.out" ||
            fail "$name: streams and bytes $case said no ok"
        echo "ok   $name: streams and bytes $case"
    done
    ask "$name-alpn" "$work/ca.pem" another-protocol 1 1 "${asks[@]}" &&
        fail "$name: a wrong ALPN was taken"
    refused "$name-alpn" || fail "$name: a wrong ALPN was not refused, but left alone"
    echo "ok   $name: another ALPN is refused"
    ask "$name-stranger" "$work/other/ca.pem" "$alpn" 1 1 "${asks[@]}" &&
        fail "$name: a certificate of a stranger was believed"
    refused "$name-stranger" || fail "$name: a strange authority was not refused, but left alone"
    echo "ok   $name: a strange authority is refused"
    ask "$name-again" "$work/ca.pem" "$alpn" 1 1000 "${asks[@]}" ||
        fail "$name: the server did not survive the refusals"
    echo "ok   $name: the server goes on"
    stop_server
}

command -v openssl > /dev/null || skip "openssl makes the certificates and is not here"
# skip() inside of $() ends the subshell only; its word is on stderr.
deno_program=$(find_deno | tail -n 1) || exit 77
work=$(mktemp -d)
server=
trap 'stop_server; rm -rf "$work"' EXIT
mkdir "$work/other"
make_certificates "$work" 2> "$work/openssl.log" || fail "openssl made no certificates"
make_certificates "$work/other" 2> "$work/openssl.log" || fail "openssl made no certificates"

export DENO_DIR=$cache/deno/dir DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
deno=("$deno_program" run --quiet -A --unstable-net "$here/deno_echo.ts")
play deno-deno "${deno[@]}" -- "${deno[@]}"

ours=$(find_ours)
[ -n "$ours" ] || skip "Deno passes against itself, but our raw_echo is not built"
play ours-serves "$ours" -- "${deno[@]}"
play deno-serves "${deno[@]}" -- "$ours"
play ours-ours "$ours" -- "$ours"
