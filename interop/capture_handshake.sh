#!/usr/bin/env bash
# Shows from outside how two of our own ends begin: Wireshark's own QUIC decoder reads a capture of
# the loopback interface with the key log of the run.
#
#   version   a client that begins with QUIC version 1 and a server that prefers version 2 come to
#             the latter without a round trip (compatible version negotiation, RFC 9368): the
#             client's first Initial is of version 1; the server's Initial and all Handshake packets
#             are of version 2
#   retry     a server that always demands an address validation (QuicOptions::address_validation):
#             there is a Retry, all later Initials of the client carry its token, and their packet
#             numbers go on from the first one's (RFC 9000, 17.2.5.3)
#
#   interop/capture_handshake.sh                      both
#   interop/capture_handshake.sh CASE PCAP KEYLOG     judges a capture that is already there
#
# KEEP=folder keeps captures and key logs there, in one folder a case. Exit code 77 and "skipped:
# why" without tshark, or without the right to capture.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
v1=0x00000001
v2=0x6b3343cf
# Packet types by version: RFC 9000, 17.2; RFC 9369, 3.2.
v1_initial=0 v1_handshake=2 v1_retry=3
v2_initial=1 v2_handshake=3

# Whoever sent the first datagram is the client.
client_port() {
    fields "$1" "$2" quic udp.srcport | sed -n 1p
}

# count_of PCAP KEYLOG FILTER: datagrams.
count_of() {
    fields "$1" "$2" "$3" frame.number | wc -l
}

judge_version() {
    local pcap=$1 keys=$2 client from_client from_server first others
    client=$(client_port "$pcap" "$keys")
    [ -n "$client" ] || fail "no QUIC in $pcap"
    from_client="udp.srcport == $client"
    from_server="udp.dstport == $client"
    first=$(fields "$pcap" "$keys" "$from_client && quic" \
        quic.version quic.long.packet_type | sed -n 1p)
    [ "$first" = "$v1"$'\t'"$v1_initial" ] || fail "the client begins with: $first"
    echo "client's first datagram: Initial of version $v1"
    # Nothing of the server is of another version, whatever it is.
    others=$(fields "$pcap" "$keys" "$from_server && quic.version" quic.version |
        tr ',' '\n' | sort | uniq -c | awk '{ print $1, $2 }')
    [ "$(awk '{ print $2 }' <<< "$others")" = "$v2" ] || fail "the server's packets are: $others"
    echo "server's long packets, and their version: $others"
    [ "$(count_of "$pcap" "$keys" "$from_server && quic.long.packet_type_v2 == $v2_initial")" \
        -gt 0 ] || fail "there is no Initial of the server"
    [ "$(count_of "$pcap" "$keys" "quic.long.packet_type == $v1_handshake")" -eq 0 ] ||
        fail "there is a Handshake packet of version $v1"
    for side in "$from_client" "$from_server"; do
        [ "$(count_of "$pcap" "$keys" "$side && quic.long.packet_type_v2 == $v2_handshake")" \
            -gt 0 ] || fail "there is no Handshake packet where $side"
    done
    echo "Handshake packets of both ends: version $v2, none of $v1"
    # The keys fit, and it went on.
    [ "$(count_of "$pcap" "$keys" "quic.stream.stream_id")" -gt 0 ] ||
        fail "no stream was decrypted; is $keys the key log of this run?"
    echo "ok: from version 1 to version 2 without a round trip"
}

judge_retry() {
    local pcap=$1 keys=$2 client retry at number token packet all last=-1 later=0 before=0
    client=$(client_port "$pcap" "$keys")
    [ -n "$client" ] || fail "no QUIC in $pcap"
    # A client that was slow to hear of the first may get another; only the first one counts.
    retry=$(fields "$pcap" "$keys" \
        "udp.dstport == $client && quic.long.packet_type == $v1_retry" \
        frame.number quic.retry_token | sed -n 1p)
    [ -n "$retry" ] || fail "there is no Retry"
    IFS=$'\t' read -r at token <<< "$retry"
    [ -n "$token" ] || fail "the Retry has no token"
    echo "Retry in frame $at, with a token of $((${#token} / 2)) bytes"
    # Initials are alone in their datagrams until the server has answered one, and that is enough:
    # of coalesced packets the Initial is the first.
    all=$(fields "$pcap" "$keys" \
        "udp.srcport == $client && quic.long.packet_type == $v1_initial" \
        frame.number quic.packet_number quic.token)
    while IFS=$'\t' read -r number packet carried; do
        packet=${packet%%,*} carried=${carried%%,*}
        [ -n "$packet" ] || fail "the Initial in frame $number was not decrypted"
        [ "$packet" -gt "$last" ] || fail "packet number $packet follows $last in frame $number"
        last=$packet
        if [ "$number" -lt "$at" ]; then
            before=$((before + 1))
            [ -z "$carried" ] || fail "the client has a token before there was one"
        else
            later=$((later + 1))
            [ "$carried" = "$token" ] || fail "frame $number carries another token: $carried"
        fi
        echo "client's Initial in frame $number: packet number $packet," \
            "token: $([ -n "$carried" ] && echo "that of the Retry" || echo none)"
    done <<< "$all"
    [ "$before" -gt 0 ] && [ "$later" -gt 0 ] || fail "an Initial before and after was wanted"
    [ "$(count_of "$pcap" "$keys" "quic.stream.stream_id")" -gt 0 ] ||
        fail "no stream was decrypted; is $keys the key log of this run?"
    echo "ok: Retry, its token, and packet numbers that go on"
}

# run_case CASE SERVER-OPTIONS CLIENT-OPTIONS
run_case() {
    local kind=$1 port
    port=$(free_port)
    rm -f "$work/keys.log" "$work/run.pcapng"
    begin_capture "$port"
    # shellcheck disable=SC2086 # words
    background server "$handshake" server "$port" "$work/cert.pem" "$work/key.pem" \
        post-interop $2
    wait_for 10 grep -q '^listening ' "$work/server.log" || fail "our server does not listen"
    # shellcheck disable=SC2086 # words
    SSLKEYLOGFILE=$work/keys.log timeout 20 "$handshake" client 127.0.0.1 "$port" \
        "$work/cert.pem" post-interop hello $3 > "$work/client.log" 2>&1 ||
        fail "$kind: our client"
    kill -TERM "$started"
    gone "$started" || fail "$kind: our server ends badly"
    KEEP=${KEEP:+$KEEP/$kind} end_capture
    "judge_$kind" "$work/run.pcapng" "$work/keys.log"
}

command -v tshark > /dev/null || skip "tshark is not installed"

if [ $# -gt 0 ]; then
    [ $# -eq 3 ] && { [ "$1" = version ] || [ "$1" = retry ]; } ||
        fail "usage: capture_handshake.sh version|retry PCAP KEYLOG"
    "judge_$1" "$2" "$3"
    exit
fi

handshake=$(our_program interop/handshake)
[ -n "$handshake" ] || skip "interop/handshake is not built"
begin
make_certificate
run_case version "v2 v1" "v1 v2"
run_case retry "v1 retry" v1
