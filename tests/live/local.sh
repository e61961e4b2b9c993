#!/usr/bin/env bash
# Interfaces, addresses and ports of the system's own network: a machine with two interfaces, in a
# namespace that this makes, and a server behind both of them, in another.
#
# Exit code 77 and "skipped: why" without the right to a namespace.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../interop/common.sh"
program=$(our_program examples/post-nc)
[ -n "$program" ] || skip "examples/post-nc is not built"
command -v nsenter > /dev/null || skip "nsenter is not installed"
in_namespace fd00:9::1/64
begin
remote=post://10.9.0.1:4433 # the server's own address, which both of its links lead to

background far unshare -n sleep 300
far=$started
there() { nsenter -t "$far" -n "$@"; }
wait_for 10 there test -e /proc/self/ns/net || fail "no second namespace"
[ "$(there readlink /proc/self/ns/net)" != "$(readlink /proc/self/ns/net)" ] ||
    wait_for 10 eval '[ "$(there readlink /proc/self/ns/net)" != "$(readlink /proc/self/ns/net)" ]'

# link NAME NET: here NAME with 10.NET.0.1, there far-NAME with 10.NET.0.2.
link() {
    local here=02:00:00:00:0$2:01 far_end=02:00:00:00:0$2:02
    ip link add "$1" address "$here" type veth peer name "far-$1" address "$far_end"
    # Without IPv6, where that may be said: it reports its groups whenever it likes.
    ip link set "$1" addrgenmode none
    { echo 1 > "/proc/sys/net/ipv6/conf/$1/disable_ipv6"; } 2> /dev/null || true
    ip link set "far-$1" netns "$far"
    ip addr add "10.$2.0.1/24" dev "$1"
    ip link set "$1" up
    there ip addr add "10.$2.0.2/24" dev "far-$1"
    there ip link set "far-$1" up
    # Nobody asks for anybody, so that nothing is on the link but what the tests send.
    ip neigh replace "10.$2.0.2" lladdr "$far_end" dev "$1" nud permanent
    there ip neigh replace "10.$2.0.1" lladdr "$here" dev "far-$1" nud permanent
    ip route add 10.9.0.1 via "10.$2.0.2" dev "$1" metric "$2"
}
there ip link set lo up
there ip addr add 10.9.0.1/32 dev lo
link near0 1
link near1 2

serve() {
    background server nsenter -t "$far" -n "$program" "$@" -l 4433 < /dev/null
    server=$started
    wait_for 10 grep -q -- --pin "$work/server.log" || fail "no server"
    pin=$(sed -n 's/^post-nc --pin \([^ ]*\) .*/\1/p' "$work/server.log")
}
end_server() {
    kill "$server"
    gone "$server" || true
}

sent_by() { ip -s link show "$1" | awk '/TX:/ { getline; print $2 }'; }

# reaches WHAT REPORTED OPTION...: the message arrives, and the report says REPORTED.
reaches() {
    local what=$1 reported=$2
    shift 2
    echo hello | timeout 20 "$program" --report --pin "$pin" "$@" "$remote" > "$work/said" \
        2> "$work/report.log" || fail "$what: no connection"
    gone "$server" || fail "$what: the server failed"
    grep -qx hello "$work/server.log" || fail "$what: no message"
    grep -q -- "$reported" "$work/report.log" || fail "$what: the report does not say '$reported'"
    echo "$what"
}

# refused WHAT TEXT OPTION...: nothing is reached, and the error says TEXT.
refused() {
    local what=$1 text=$2
    shift 2
    if timeout 20 "$program" "$@" "$remote" < /dev/null > "$work/said" 2> "$work/report.log"; then
        fail "$what: it was reached"
    fi
    grep -q -- "$text" "$work/report.log" || fail "$what: the error does not say '$text'"
    echo "$what"
}

"$program" --plan --local near1 --local near0 -s quic "$remote" > "$work/plan.log"
sed -n 2p "$work/plan.log" | grep -q "0 ms  quic to 10.9.0.1:4433 over near1 from 10.2.0.1 " ||
    fail "the plan does not begin with near1: $(cat "$work/plan.log")"
sed -n 3p "$work/plan.log" | grep -q "250 ms  quic to 10.9.0.1:4433 over near0 from 10.1.0.1 " ||
    fail "the plan does not go on with near0: $(cat "$work/plan.log")"
grep -q "not  interface lo: the Local names near1, near0" "$work/plan.log" ||
    fail "the plan does not say what becomes of lo"
echo "the plan has the paths in the order of the Local"

serve
reaches "nothing is named: the best route" " quic to 10.9.0.1:4433: won"

for stack in quic sctp-dtls tls sctp-udp tcp; do
    serve -s "$stack"
    before=$(sent_by near0)
    reaches "$stack over the interface with the worse route" \
        " $stack to 10.9.0.1:4433 over near1 from 10.2.0.1: won" -s "$stack" --local near1
    [ "$(sent_by near0)" = "$before" ] || fail "$stack: something left by near0"
done

serve
reaches "an interface by its address" " over near1 from 10.2.0.1: won" --local near1 \
    --local 10.2.0.1
serve
reaches "an address alone" " quic to 10.9.0.1:4433: won" --local 10.2.0.1

# Nothing comes back to near1: the next path is taken.
serve
there ip route add blackhole 10.2.0.1/32
reaches "the first path is dead" " over near0 from 10.1.0.1: won" --local near1 --local near0
there ip route del blackhole 10.2.0.1/32

refused "an interface that nobody has" "that the Local names, eth7; there are:" --local eth7
grep -q "  near0 (wired): 10.1.0.1" "$work/report.log" || fail "the error does not list near0"

# Ports.
background holder python3 -c '
import socket, time
held = []
for port in (4000, 4001):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        one = socket.socket(socket.AF_INET, kind)
        one.bind(("0.0.0.0", port))
        held.append(one)
time.sleep(60)'
wait_for 10 port_is_bound 4001 || fail "nobody holds the ports"
for stack in quic tls; do
    refused "$stack: a range that is taken" "the ports 4000 to 4001 are all taken" \
        -s "$stack" --local :4000-4001
done
serve
background client bash -c "{ echo hello; sleep 3; } | '$program' -s quic --local 10.1.0.1:4000-4002 --pin '$pin' '$remote'"
client=$started
wait_for 10 port_is_bound 4002 || fail "the free port of the range was not taken"
gone "$client" || fail "the connection from the range failed"
gone "$server" || fail "the server failed"
echo "the free port of a range is taken"

# A Listener on one interface.
serve -s tls --local far-near0
refused "a Listener on another interface" "refused" -s tls --local near1
reaches "a Listener on this interface" " tls to 10.9.0.1:4433 over near0 " -s tls --local near0

# The mark that all packets bear, counted where they arrive.
refused "a DSCP that there is not" "a number from 0 to 63" --dscp 64
PATH=$PATH:/usr/sbin:/sbin
if there nft 'add table inet marks
    add chain inet marks input { type filter hook input priority 0; }
    add rule inet marks input ip dscp ef counter comment "ef"
    add rule inet marks input meta l4proto udp ip dscp != ef counter comment "other"
    add rule inet marks input tcp flags & rst == 0 ip dscp != ef counter comment "other"' \
    2> "$work/nft.log"; then
    for stack in quic tls; do
        serve
        reaches "$stack: a DSCP" " $stack to 10.9.0.1:4433" -s "$stack" --dscp 46
    done
    there nft list table inet marks > "$work/marks.log"
    grep 'comment "ef"' "$work/marks.log" | grep -q 'packets [1-9]' || fail "no packet bears the DSCP"
    # A reset of a connection that there is no more is the system's own.
    ! grep 'comment "other"' "$work/marks.log" | grep -qv 'packets 0 ' || fail "some bear another DSCP"
else
    echo "skipped: the mark that packets bear (nft: $(head -1 "$work/nft.log"))"
fi
