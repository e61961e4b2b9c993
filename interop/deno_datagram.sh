#!/usr/bin/env bash
# QUIC datagrams against Deno, which is quinn: an unreliable message of ours is a datagram there and
# back, in both roles, with an ALPN of the application's own. Deno against Deno comes first: so a
# failure behind it is ours.
#
#   interop/deno_datagram.sh        what it needs, it finds in build/*/ or $POST_BUILD_DIR
#   DENO=/path/to/deno              that one, instead of the npm package
#
# Exit code 77 and "skipped: why" where something that is not ours is missing.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
alpn=post-interop-datagrams

# play NAME SERVER-COMMAND -- CLIENT-COMMAND: all cases of one pairing.
play() {
    local name case
    local -a serves asks
    pairing "$@"
    start_server "$name-server" "${serves[@]}"
    # What one packet of 1200 bytes, the least that QUIC allows, surely holds.
    for case in "1 1" "300 20" "50 1100"; do
        # shellcheck disable=SC2086 # two words
        timeout 60 "${asks[@]}" client 127.0.0.1 "$port" "$work/ca.pem" "$alpn" $case \
            > "$work/$name-client.out" 2> "$work/$name-client.log" ||
            fail "$name: count and bytes $case"
        grep -qx "ok ${case/ / datagrams } bytes" "$work/$name-client.out" ||
            fail "$name: count and bytes $case said no ok"
        echo "ok   $name: count and bytes $case"
    done
    stop_server
}

command -v openssl > /dev/null || skip "openssl makes the certificates and is not here"
# skip() inside of $() ends the subshell only; its word is on stderr.
deno_program=$(find_deno | tail -n 1) || exit 77
begin
make_authority "$work" 2> "$work/openssl.log" || fail "openssl made no certificates"

export DENO_DIR=$cache/deno/dir DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
deno=("$deno_program" run --quiet -A --unstable-net "$root/interop/deno_datagram.ts")
play deno-deno "${deno[@]}" -- "${deno[@]}"

ours=$(our_program interop/raw_datagrams)
[ -n "$ours" ] || skip "Deno passes against itself, but our raw_datagrams is not built"
play ours-serves "$ours" -- "${deno[@]}"
play deno-serves "${deno[@]}" -- "$ours"
play ours-ours "$ours" -- "$ours"
