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
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

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
program=$(our_program examples/parallel_fetch)
[ -n "$program" ] || skip "examples/parallel_fetch is not built"

begin
# One file a fork, so that every one of them has something to carry.
mkdir "$work/www"
for i in $(seq $((carriers - 1))); do head -c 3000 /dev/urandom > "$work/www/file$i"; done

port=$(free_port)
begin_capture "$port"
background server "$program" serve "$work/www" --port "$port"
wait_for 10 test -s "$work/server.log" || fail "parallel_fetch does not serve"
pin=$(sed -n 's/.* --pin //p' "$work/server.log")
[ -n "$pin" ] || fail "parallel_fetch does not serve"

SSLKEYLOGFILE=$work/keys.log timeout 60 "$program" get "post://localhost:$port" \
    --carriers $((carriers - 1)) --pin "$pin" > "$work/client.log" 2>&1 ||
    fail "parallel_fetch does not get"
[ -s "$work/keys.log" ] || fail "SSLKEYLOGFILE was ignored"

end_capture
count "$work/run.pcapng" "$work/keys.log" "$carriers"
