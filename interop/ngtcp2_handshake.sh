#!/usr/bin/env bash
# Handshakes with ngtcp2's own example server and client, gtlsserver and gtlsclient, in both roles.
# They speak HTTP/3 only, which the library does not speak yet: under the ALPN h3 each connection is
# made, says what was agreed, and is closed. With and without a demand for Retry, in QUIC version 1,
# and in version 2 by compatible version negotiation (RFC 9368).
#
#   interop/ngtcp2_handshake.sh     takes the pair that tests/bench/get_ngtcp2_pair has built, else
#                                   the one in $PATH (Debian: ngtcp2-server and ngtcp2-client)
#
# Exit code 77 and "skipped: why" where there is none.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
v1=0x00000001
v2=0x6b3343cf
cache=${POST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/post}

# theirs NAME
theirs() {
    if [ -x "$cache/bench/ngtcp2/$1" ]; then
        echo "$cache/bench/ngtcp2/$1"
    else
        command -v "$1" || true
    fi
}

# expect_line LOG LINE PLAYER: a whole line.
expect_line() {
    grep -qx "$2" "$work/$1.log" || fail "$3 does not say: $2"
}

# expect_retry LOG yes|no PATTERN
expect_retry() {
    if [ "$2" = yes ]; then
        grep -q "$3" "$work/$1.log" || fail "no Retry was seen"
    else
        ! grep -q "$3" "$work/$1.log" || fail "a Retry was seen that nobody had demanded"
    fi
}

# ask NAME VERSION RETRY OPTION...: our client, their server with the options.
ask() {
    local name=$1 version=$2 retry=$3 port
    shift 3
    port=$(free_port)
    background server "$gtlsserver" "$@" --no-quic-dump --no-http-dump -d "$work" \
        127.0.0.1 "$port" "$work/key.pem" "$work/cert.pem"
    wait_for 10 port_is_bound "$port" || fail "gtlsserver does not listen"
    timeout 20 "$handshake" client 127.0.0.1 "$port" "$work/cert.pem" h3 \
        > "$work/client.log" 2>&1 || fail "$name: our client"
    expect_line client "completed alpn h3 version $version" "our client"
    expect_line client closed "our client"
    # Both end it at once: our client closes with NO_ERROR. Before that it refuses the control
    # streams that an HTTP/3 server opens, and ends a request stream without a request; whichever
    # the server sees first, it closes for it with H3_CLOSED_CRITICAL_STREAM (RFC 9114, 6.2.1) or
    # H3_FRAME_UNEXPECTED.
    wait_for 5 grep -qE \
        'rx .* CONNECTION_CLOSE.*\(0x0\)|tx .* CONNECTION_CLOSE.*error_code=.*\(0x10[45]\)' \
        "$work/server.log" || fail "$name: gtlsserver does not see our close"
    kill "$started"
    gone "$started" || true
    expect_line server "QUIC handshake has completed" gtlsserver
    expect_line server "Negotiated ALPN is h3" gtlsserver
    expect_retry server "$retry" '^Sending Retry packet'
    [ "$retry" = no ] || expect_line server "Token was successfully validated" gtlsserver
    echo "ok   $name: $(head -n 1 "$work/client.log"), Retry: $retry, closed"
}

# answer NAME VERSION RETRY OUR-OPTIONS CLIENT-OPTION...: their client, our server.
answer() {
    local name=$1 version=$2 retry=$3 options=$4 port server client
    shift 4
    # shellcheck disable=SC2086 # words
    background server "$handshake" server 0 "$work/cert.pem" "$work/key.pem" h3 $options
    server=$started
    wait_for 10 grep -q '^listening ' "$work/server.log" || fail "our server does not listen"
    port=$(sed -n 's/^listening //p' "$work/server.log")
    background client "$gtlsclient" "$@" --no-quic-dump --no-http-dump 127.0.0.1 "$port"
    client=$started
    wait_for 10 grep -q '^completed ' "$work/server.log" || fail "$name: nobody came to our server"
    kill -TERM "$server"
    gone "$server" || fail "$name: our server ends badly"
    gone "$client" || fail "$name: gtlsclient ends badly"
    expect_line server "completed alpn h3 version $version" "our server"
    expect_line server closed "our server"
    expect_line client "QUIC handshake has completed" gtlsclient
    expect_line client "Negotiated ALPN is h3" gtlsclient
    grep -q 'rx .* CONNECTION_CLOSE.*error_code=.*(0x0)' "$work/client.log" ||
        fail "$name: gtlsclient does not see our close"
    expect_retry client "$retry" 'pkt rx .* type=Retry'
    echo "ok   $name: $(sed -n 2p "$work/server.log"), Retry: $retry, closed"
}

handshake=$(our_program interop/handshake)
[ -n "$handshake" ] || skip "interop/handshake is not built"
gtlsserver=$(theirs gtlsserver)
gtlsclient=$(theirs gtlsclient)
[ -n "$gtlsserver" ] && [ -n "$gtlsclient" ] ||
    skip "no gtlsserver and gtlsclient here; tests/bench/get_ngtcp2_pair makes them"

begin
make_certificate
ask "our client, gtlsserver" "$v1" no
ask "our client, gtlsserver that demands Retry" "$v1" yes -V
ask "our client, gtlsserver that prefers v2" "$v2" no --preferred-versions=v2
ask "our client, gtlsserver that prefers v2 and demands Retry" "$v2" yes -V --preferred-versions=v2
answer "gtlsclient, our server" "$v1" no ""
answer "gtlsclient, our server that demands Retry" "$v1" yes retry
answer "gtlsclient that begins with v2, our server" "$v2" no "" -v v2
answer "gtlsclient that offers v2, our server that prefers it and demands Retry" "$v2" yes \
    "retry v2 v1" --available-versions=v1,v2
