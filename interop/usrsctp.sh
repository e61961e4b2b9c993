#!/usr/bin/env bash
# SCTP right over UDP (RFC 6951) against the programs of usrsctp (Debian: libusrsctp-examples), in a
# network namespace that goes with the script, since they bind every address and, as root, raw
# sockets: its echo_server gives back what our sctp_clear sends, and ours what its client sends; its
# discard_server and tsctp take what ours pours out, and ours takes what tsctp does.
#
#   interop/usrsctp.sh      what it needs, it finds in build/*/ or $POST_BUILD_DIR
#
# Exit code 77 and "skipped: why" where something that is not ours is missing.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

theirs=/usr/lib/usrsctp
[ -x "$theirs/echo_server" ] || skip "libusrsctp-examples is not installed"
ours=$(our_program interop/sctp_clear)
[ -n "$ours" ] || skip "our sctp_clear is not built"
space=post_usrsctp_$$
ip netns add "$space" 2> /dev/null || skip "no network namespace can be made here"
begin
leave() {
    finish
    ip netns delete "$space"
}
trap leave EXIT
inside=(ip netns exec "$space")
"${inside[@]}" ip link set lo up

background echo_server "${inside[@]}" "$theirs/echo_server" 9899 9900
sleep 0.5
# It has ten streams, five of them ours to open, and gives back 10 KiB at a time.
for case in "1 1000" "5 1000" "3 10000"; do
    # shellcheck disable=SC2086 # two words
    timeout 20 "${inside[@]}" "$ours" client 127.0.0.1 7 9899 $case > "$work/client.out" \
        2> "$work/client.log" || fail "usrsctp serves: streams and bytes $case"
    echo "ok   usrsctp serves: streams and bytes $case"
done

background sctp_clear "${inside[@]}" "$ours" server 5001 9901
wait_for 10 grep -q listening "$work/sctp_clear.log" || fail "our server does not listen"
(for i in 1 2 3; do echo "line $i"; sleep 0.3; done; sleep 0.5) |
    timeout 20 "${inside[@]}" "$theirs/client" 127.0.0.1 5001 0 9902 9901 \
    > "$work/usrsctp-client.log" 2>&1 || fail "usrsctp's client"
for i in 1 2 3; do
    grep -q "line $i" "$work/usrsctp-client.log" || fail "line $i did not come back"
done
echo "ok   ours serves usrsctp's client"

background discard_server "${inside[@]}" "$theirs/discard_server" 9903 9904
background tsctp "${inside[@]}" "$theirs/tsctp" -E 9905 -p 5002
sleep 0.5
for peer in "discard_server 9 9903" "tsctp 5002 9905"; do
    read -r name sctp_port udp_port <<< "$peer"
    for case in "1 1000" "5 100" "4 60000"; do
        # shellcheck disable=SC2086 # two words
        timeout 20 "${inside[@]}" "$ours" pour 127.0.0.1 "$sctp_port" "$udp_port" $case \
            > "$work/pour.out" 2> "$work/pour.log" || fail "$name takes: streams and bytes $case"
        echo "ok   $name takes: streams and bytes $case"
    done
done

background sink "${inside[@]}" "$ours" sink 5003 9906
wait_for 10 grep -q listening "$work/sink.log" || fail "our sink does not listen"
timeout 30 "${inside[@]}" "$theirs/tsctp" -E 9907 -U 9906 -p 5003 -l 1000 -n 2000 127.0.0.1 \
    > "$work/tsctp-client.log" 2>&1 || fail "tsctp's client"
wait_for 10 grep -q "took 2000 messages, 2000000 bytes" "$work/sink.log" ||
    fail "not all that tsctp sent came"
echo "ok   ours takes what tsctp sends"
