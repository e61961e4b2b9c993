#!/usr/bin/env bash
# Shows from outside that N Carriers are N streams of one QUIC connection: Wireshark's own QUIC
# decoder, with the key log of the run, counts the connections and the client's bidirectional
# streams that carry data in a capture of the loopback interface.
#
#   interop/capture.sh [N]                   runs examples/parallel_fetch with N Carriers (16): one
#                                            for the catalogue, the others forked from it
#   interop/capture.sh count PCAP KEYLOG N   judges a capture that is already there
#
# KEEP=folder keeps the capture and the key log there. Exit code 77 and "skipped: why" without
# tshark, or without the right to capture.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

skip() {
    echo "skipped: $*"
    exit 77
}

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# fields PCAP KEYLOG FILTER FIELD...: one line a packet, several values of a field with commas.
fields() {
    local pcap=$1 keys=$2 filter=$3 field
    local -a columns=()
    shift 3
    for field in "$@"; do columns+=(-e "$field"); done
    # A port is not enough for Wireshark to try QUIC; decoding by heuristics is on by default.
    tshark -Q -r "$pcap" -o "tls.keylog_file:$keys" -Y "$filter" -T fields "${columns[@]}" \
        2> >(grep -v "This could be dangerous" >&2) ||
        fail "tshark cannot read $pcap"
}

# count PCAP KEYLOG N
count() {
    local pcap=$1 keys=$2 wanted=$3 initials connections streams ids
    initials=$(fields "$pcap" "$keys" 'quic.long.packet_type == 0' quic.connection.number | wc -l)
    [ "$initials" -gt 0 ] || fail "no QUIC in $pcap"
    connections=$(fields "$pcap" "$keys" quic quic.connection.number |
        tr ',' '\n' | sort -un | wc -l)
    # RFC 9000, 2.1: the last two bits of a client's bidirectional stream are 00.
    ids=$(fields "$pcap" "$keys" quic.stream.stream_id quic.stream.stream_id |
        tr ',' '\n' | awk '$1 != "" && $1 % 4 == 0' | sort -un)
    [ -n "$ids" ] || fail "no stream was decrypted; is $keys the key log of this run?"
    streams=$(wc -l <<< "$ids")
    echo "connections: $connections"
    echo "client's bidirectional streams: $streams, the last has id $(tail -n 1 <<< "$ids")"
    [ "$connections" -eq 1 ] || fail "one connection was wanted"
    [ "$streams" -eq "$wanted" ] || fail "$wanted streams were wanted"
    echo "ok: $wanted Carriers are $streams streams of one connection"
}

command -v tshark > /dev/null || skip "tshark is not installed"

if [ "${1:-}" = count ]; then
    [ $# -eq 4 ] || fail "usage: capture.sh count PCAP KEYLOG N"
    count "$2" "$3" "$4"
    exit
fi

carriers=${1:-16}
program=
for candidate in "${POST_BUILD_DIR:-}"/examples/parallel_fetch \
    "$root"/build/*/examples/parallel_fetch; do
    [ -x "$candidate" ] && program=$candidate && break
done
[ -n "$program" ] || skip "examples/parallel_fetch is not built"

work=$(mktemp -d)
processes=()
cleanup() {
    for process in "${processes[@]}"; do
        kill "$process" 2> /dev/null || true
        wait "$process" 2> /dev/null || true
    done
    rm -rf "$work"
}
trap cleanup EXIT

# wait_for SECONDS COMMAND...
wait_for() {
    local left=$(($1 * 10))
    shift
    until "$@"; do
        [ $((left--)) -gt 0 ] || return 1
        sleep 0.1
    done
}

# The second column is the local address, the port in hex.
port_is_bound() {
    local hex
    hex=$(printf ':%04X' "$1")
    awk -v port="$hex" '$2 ~ port "$" { found = 1 } END { exit !found }' \
        /proc/net/udp /proc/net/udp6
}

# The file has its header once the interface is open.
capturing_or_gone() {
    [ -s "$work/run.pcapng" ] || ! kill -0 "$capture" 2> /dev/null
}

port=$((20000 + RANDOM % 10000))
while port_is_bound "$port"; do port=$((port + 1)); done

# One file a fork, so that every one of them has something to carry.
mkdir "$work/www"
for i in $(seq $((carriers - 1))); do head -c 3000 /dev/urandom > "$work/www/file$i"; done

tshark -i lo -f "udp port $port" -w "$work/run.pcapng" > /dev/null 2> "$work/tshark.log" &
capture=$!
processes+=("$capture")
wait_for 10 capturing_or_gone || fail "tshark does not begin to capture"
kill -0 "$capture" 2> /dev/null ||
    skip "tshark may not capture: $(grep '^tshark: .' "$work/tshark.log" | head -n 1)"

"$program" serve "$work/www" --port "$port" > "$work/server.log" 2>&1 &
processes+=("$!")
wait_for 10 test -s "$work/server.log" || fail "parallel_fetch does not serve"
pin=$(sed -n 's/.* --pin //p' "$work/server.log")
[ -n "$pin" ] || fail "parallel_fetch does not serve: $(tail -n 3 "$work/server.log")"

SSLKEYLOGFILE=$work/keys.log timeout 60 "$program" get "post://localhost:$port" \
    --carriers $((carriers - 1)) --pin "$pin" > "$work/client.log" 2>&1 ||
    fail "parallel_fetch does not get: $(tail -n 3 "$work/client.log")"
[ -s "$work/keys.log" ] || fail "SSLKEYLOGFILE was ignored"

sleep 1 # dumpcap writes what it has within half a second
kill -INT "$capture"
wait "$capture" 2> /dev/null || true
processes=("${processes[@]:1}")
if [ -n "${KEEP:-}" ]; then
    mkdir -p "$KEEP"
    cp "$work/run.pcapng" "$work/keys.log" "$KEEP"
fi
count "$work/run.pcapng" "$work/keys.log" "$carriers"
