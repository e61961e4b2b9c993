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
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
alpn=post-interop-echo

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
    local name
    local -a serves asks
    pairing "$@"
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
begin
mkdir "$work/other"
make_authority "$work" 2> "$work/openssl.log" || fail "openssl made no certificates"
make_authority "$work/other" 2> "$work/openssl.log" || fail "openssl made no certificates"

export DENO_DIR=$cache/deno/dir DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
deno=("$deno_program" run --quiet -A --unstable-net "$root/interop/deno_echo.ts")
play deno-deno "${deno[@]}" -- "${deno[@]}"

ours=$(our_program interop/raw_echo)
[ -n "$ours" ] || skip "Deno passes against itself, but our raw_echo is not built"
play ours-serves "$ours" -- "${deno[@]}"
play deno-serves "${deno[@]}" -- "$ours"
play ours-ours "$ours" -- "$ours"
