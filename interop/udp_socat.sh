#!/usr/bin/env bash
# Plain datagrams with socat, in a network namespace of their own: an echo in both roles, and
# multicast both ways, in IPv4, and in IPv6 to socat, which cannot choose the interface there.
#
# Exit code 77 and "skipped: why" without socat, or without the right to a namespace.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
command -v socat > /dev/null || skip "socat is not installed"
program=$(our_program interop/udp_peer)
[ -n "$program" ] || skip "our udp_peer is not built"
in_namespace fd00:7::1/64
begin

# heard NAME TEXT: the program NAME prints it.
heard() {
    wait_for 10 grep -q -- "$2" "$work/$1.log" || fail "$1 does not hear \"$2\""
}

# Our server, socat asks.
port=$(free_port)
background our_echo "$program" echo "$port"
heard our_echo listening
for family in 4:127.0.0.1 '6:[::1]'; do
    got=$(echo "via UDP${family%%:*}" | socat -t 2 - "UDP${family%%:*}:${family#*:}:$port")
    [ "$got" = "via UDP${family%%:*}" ] || fail "socat asked over UDP${family%%:*} and got '$got'"
done

# Their server, we ask.
port=$(free_port)
background their_echo socat "UDP4-RECVFROM:$port,bind=127.0.0.1,fork" EXEC:cat
wait_for 10 port_is_bound "$port" || fail "socat does not listen"
got=$(timeout 10 "$program" ask 127.0.0.1 "$port" "a question") || fail "our question has no answer"
[ "$got" = "127.0.0.1: a question" ] || fail "we asked and got '$got'"

# A group: their source, our sinks, two on one port.
port=$(free_port)
group=239.255.7.9
background our_sink "$program" sink "$group" "$port" lo
background our_second_sink "$program" sink "$group" "$port" lo
heard our_sink listening
heard our_second_sink listening
echo "to the group" |
    socat -u - "UDP4-DATAGRAM:$group:$port,bind=127.0.0.1,ip-multicast-if=127.0.0.1"
heard our_sink "127.0.0.1: to the group"
heard our_second_sink "127.0.0.1: to the group"

# Our source, their sink.
port=$(free_port)
background their_sink socat -u \
    "UDP4-RECV:$port,bind=$group,ip-add-membership=$group:127.0.0.1,reuseaddr" -
wait_for 10 port_is_bound "$port" || fail "socat does not join the group"
"$program" source "$group" "$port" lo "from our source" || fail "our source does not send"
heard their_sink "from our source"

# The same in IPv6.
port=$(free_port)
group=ff15::7:9
background their_sink_v6 socat -u "UDP6-RECV:$port,ipv6-join-group=[$group]:post0,reuseaddr" -
wait_for 10 port_is_bound "$port" || fail "socat does not join the group over IPv6"
"$program" source "$group" "$port" post0 "from our source" || fail "our source does not send"
heard their_sink_v6 "from our source"
echo "socat and we understand each other"
