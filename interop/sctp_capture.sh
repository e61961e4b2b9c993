#!/usr/bin/env bash
# Shows from outside what SCTP right over UDP looks like: Wireshark's own decoder, in a capture of
# the loopback interface, finds I-DATA and no DATA chunks, on as many even streams as the client has
# Carriers, lowest first.
#
# KEEP=folder keeps the capture there. Exit code 77 and "skipped: why" without tshark, or without
# the right to capture.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
program=$(our_program interop/sctp_clear)
[ -n "$program" ] || skip "our sctp_clear is not built"
begin
: > "$work/keys.log"
port=$(free_port)
begin_capture "$port"
background server "$program" server 5001 "$port"
wait_for 10 grep -q listening "$work/server.log" || fail "our server does not listen"
timeout 20 "$program" client 127.0.0.1 5001 "$port" 8 3000 > "$work/client.out" \
    2> "$work/client.log" || fail "our client does not get its answers"
end_capture

# seen FILTER FIELD: its values, each once.
seen() {
    tshark -Q -r "$work/run.pcapng" -d "udp.port==$port,sctp" -Y "$1" -T fields -e "$2" \
        2> "$work/decode.log" | tr ',' '\n' | sort -n | uniq
}
types=$(seen sctp sctp.chunk_type)
grep -qx 64 <<< "$types" || fail "no I-DATA among the chunks:" $types
grep -qx 0 <<< "$types" && fail "DATA among the chunks:" $types
grep -qx 130 <<< "$types" || fail "no RE-CONFIG among the chunks:" $types
streams=$(seen "udp.dstport == $port && sctp.chunk_type == 64" sctp.data_sid | tr '\n' ' ')
[ "$streams" = "0x0000 0x0002 0x0004 0x0006 0x0008 0x000a 0x000c 0x000e " ] ||
    [ "$streams" = "0 2 4 6 8 10 12 14 " ] || fail "the streams are $streams"
echo "ok   8 Carriers are the even streams 0 to 14, in I-DATA chunks"
