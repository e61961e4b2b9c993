#!/usr/bin/env bash
# Races over paths that are broken, each in its own way: from one network namespace to two others,
# over IPv4 and IPv6, with packets that are dropped, refused and prohibited on the way, routes that
# lead nowhere, a certificate that is another's and a host that is slow. Each row says how long
# connecting took and has a bound: what Happy Eyeballs allows, and 50 ms.
#
# Exit code 77 and "skipped: why" without nft or the right to namespaces.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../interop/common.sh"
. "$(dirname "${BASH_SOURCE[0]}")/racing.sh"
program=$(our_program examples/post-nc)
[ -n "$program" ] || skip "examples/post-nc is not built"
PATH=$PATH:/usr/sbin:/sbin
for tool in nft tc nsenter; do
    command -v $tool > /dev/null || skip "$tool is not here (Debian: nftables, iproute2, util-linux)"
done
in_namespace fd00:9::1/64
begin
make_certificate

# host NAME NET: a namespace NAME with 10.NET.0.2 and fd00:NET::2, next to us; its process is in the
# variable NAME.
host() {
    local name=$1 net=$2
    background "$name" unshare -n sleep 1000
    declare -g "$name=$started"
    wait_for 10 another_network "$started" || fail "no namespace"
    ip link add "$name" type veth peer name path0 netns "$started"
    ip addr add "10.$net.0.1/24" dev "$name"
    ip addr add "fd00:$net::1/64" dev "$name" nodad
    ip link set "$name" up
    inside "$name" ip link set lo up
    inside "$name" ip addr add "10.$net.0.2/24" dev path0
    inside "$name" ip addr add "fd00:$net::2/64" dev path0 nodad
    inside "$name" ip link set path0 up
}
another_network() {
    [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}
inside() { # NAME COMMAND...; NAME is "here" for our own
    local name=$1
    shift
    if [ "$name" = here ]; then "$@"; return; fi
    nsenter -t "${!name}" -n "$@"
}
# Neighbours may always be asked for; what is dropped is dropped where it arrives: who drops what it
# sends itself is told so.
rules() { # NAME RULE...
    local name=$1 rule
    shift
    inside "$name" nft flush ruleset
    inside "$name" nft 'add table inet path
        add chain inet path input { type filter hook input priority 0; }' 2> "$work/nft.log" ||
        skip "this kernel has no nftables"
    for rule in "$@"; do inside "$name" nft add rule inet path input "$rule"; done
}
host near 77
host other 78
rules near
rules other
there=(nsenter -t "$near" -n)
six='post://[fd00:77::2]:4433' four=post://10.77.0.2:4433
elsewhere=post://10.78.0.2:4433

serve
reaches "all is well" quic 50 "$six" "$four"

rules near 'meta nfproto ipv6 meta l4proto { tcp, udp } drop'
serve
reaches "IPv6 goes nowhere" tls 300 "$six" "$four"
serve
reaches "IPv6 goes nowhere, QUIC alone" quic 300 -s quic "$six" "$four"

rules near 'meta l4proto udp drop'
serve
reaches "UDP goes nowhere" tls 300 "$six" "$four"
serve
reaches "UDP goes nowhere, and there is no IPv6" tls 300 "$four"

# A failure is no reason to wait, but for the 10 ms.
rules near 'meta l4proto udp reject with icmpx type admin-prohibited'
serve
reaches "UDP is prohibited" tls 60 "$four"
rules near 'meta l4proto tcp reject with tcp reset'
serve
reaches "TCP is reset" quic 50 "$six" "$four"
rules near 'meta nfproto ipv6 meta l4proto tcp reject with tcp reset'
serve
reaches "TCP is reset on the first address" tls 60 -s tls "$six" "$four"
rules near 'meta nfproto ipv6 reject with icmpx type admin-prohibited'
serve
reaches "IPv6 is prohibited" quic 60 -s quic "$six" "$four"
rules near

# Our own routes: the last kind says nothing to anybody.
for fate in prohibit=60 unreachable=60 blackhole=300; do
    ip -6 route add "${fate%=*}" fd00:77::2/128
    serve
    reaches "the route to IPv6 is of type ${fate%=*}" quic "${fate#*=}" -s quic "$six" "$four"
    ip -6 route del fd00:77::2/128
done

# The other host shows a key that is not the server's.
serve
background stranger nsenter -t "$other" -n "$program" -l 4433
stranger=$started
wait_for 10 grep -q -- --pin "$work/stranger.log" || fail "no stranger"
reaches "a wrong certificate on the first address" quic 110 -s quic "$elsewhere" "$four"
grep -q "quic to 10.78.0.2:4433: failed .*pinned" "$work/report.log" ||
    fail "the wrong certificate did not fail"

kill "$stranger"
gone "$stranger" || true

# 1 kbyte/s, and a queue: the other host's part of a handshake takes seconds. It is the same peer.
inside other tc qdisc add dev path0 root tbf rate 8kbit burst 1540 latency 60s ||
    skip "this kernel cannot slow a link down"
own=(-C "$work/cert.pem" -k "$work/key.pem")
background slow nsenter -t "$other" -n "$program" "${own[@]}" -l 4433
wait_for 10 grep -q -- --pin "$work/slow.log" || fail "no slow server"
for _ in 1 2 3; do
    inside other bash -c 'head -c 1400 /dev/zero > /dev/udp/10.78.0.1/9' 2> "$work/queue.log" || true
done
serve "${own[@]}"
reaches "the first address is slow" quic 300 -s quic "$elsewhere" "$four"
grep -q "quic to 10.78.0.2:4433: lost after .*heard nothing" "$work/report.log" ||
    fail "the slow address was not slow"

# UDP is blocked, both ways, when all is well already, and there is no other stack. What is left to be
# said fails, and the error says why, once the idle timeout and then Bounds::continuity (30 s each)
# have passed.
serve -s quic
mkfifo "$work/words"
exec 8<> "$work/words"
background client sh -c 'words=$1; shift; exec "$@" < "$words"' sh "$work/words" \
    timeout 90 "$program" -s quic --pin "$pin" "$four" 8>&-
client=$started
echo hello >&8
wait_for 10 grep -qx hello "$work/server.log" || fail "no message"
rules near 'meta l4proto udp drop'
rules here 'meta l4proto udp drop'
began=$(date +%s%3N)
echo again >&8
wait_for 75 not_running "$client" || fail "a blocked connection does not end"
took=$(($(date +%s%3N) - began))
if gone "$client"; then fail "a blocked connection ended in good order"; fi
grep -q "connection" "$work/client.log" || fail "nothing says why a blocked connection ended"
[ "$took" -le 61000 ] || fail "a blocked connection ended after $took ms"
printf '%-44s %-10s %4d ms: %s\n' "UDP is blocked after the handshake" quic "$took" \
    "$(head -n 1 "$work/client.log")"
