#!/usr/bin/env bash
# TLS over TCP with somebody else's TLS: OpenSSL's s_client meets our server, and our client its
# s_server. The handshake is TLS 1.3 with our ALPN token, what follows begins as QMux says, and who
# cannot agree is told so by the right alert.
#
# Exit code 77 and "skipped: why" without openssl.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
program=$(our_program examples/parallel_fetch)
[ -n "$program" ] || skip "the example parallel_fetch is not built"
begin
make_certificate
mkdir "$work/folder"
echo content > "$work/folder/file"

# said FILE: the first bytes in hex, without spaces.
said() {
    od -An -v -tx1 -N 10 "$1" | tr -d ' \n'
}
# QMux: the first frame is QX_TRANSPORT_PARAMETERS, whose type reads "\xffQS0\r\n\r\n"; before it is
# the record's size in two bytes.
begins_as_qmux() {
    [[ $(said "$1") =~ ^4...ff5153300d0a0d0a$ ]]
}

port=$(free_port)
background server "$program" serve "$work/folder" --port "$port" --cert "$work/cert.pem" \
    --key "$work/key.pem"
wait_for 10 grep -q "$port" "$work/server.log" || fail "our server does not listen"

# client NAME OPTION...: s_client with these options; what our server said is in $work/NAME.out.
client() {
    local name=$1
    shift
    (sleep 1) | timeout 10 openssl s_client -connect "127.0.0.1:$port" -servername localhost \
        -CAfile "$work/cert.pem" -verify_return_error -quiet -no_ign_eof "$@" \
        > "$work/$name.out" 2> "$work/$name.log"
}

client fine -alpn post-qmux/1 || true
begins_as_qmux "$work/fine.out" || fail "our server does not begin as QMux: $(said "$work/fine.out")"
echo "ok   s_client: TLS 1.3, and our server begins as QMux"
for cipher in TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256; do
    client "$cipher" -alpn post-qmux/1 -ciphersuites "$cipher" || true
    begins_as_qmux "$work/$cipher.out" || fail "not with $cipher"
    echo "ok   s_client: $cipher"
done
client groups -alpn post-qmux/1 -groups P-384:P-256 || true
begins_as_qmux "$work/groups.out" || fail "not with another group first"
echo "ok   s_client: another group than the one we like best"

# refused NAME ALERT OPTION...
refused() {
    local name=$1 alert=$2
    shift 2
    if client "$name" "$@"; then fail "$name: s_client is content"; fi
    grep -q "alert number $alert" "$work/$name.log" || fail "$name: no alert $alert"
    echo "ok   s_client: $name ends with alert $alert"
}
refused "another ALPN" 120 -alpn h2
refused "no ALPN" 120
refused "TLS 1.2" 40 -alpn post-qmux/1 -tls1_2

# Our client: s_server shows what it got, and answers nothing. Its input has to stay open.
their_port=$((port + 1))
background s_server bash -c 'exec openssl s_server "$@" < <(sleep 20)' s_server \
    -accept "$their_port" -cert "$work/cert.pem" -key "$work/key.pem" -alpn post-qmux/1 -quiet
sleep 0.5
timeout 2 "$program" get "post://localhost:$their_port" --stack tls --ca "$work/cert.pem" \
    > "$work/get.log" 2>&1 && fail "our client is content with a server that says nothing"
begins_as_qmux "$work/s_server.log" ||
    fail "our client does not begin as QMux: $(said "$work/s_server.log")"
echo "ok   s_server: our client begins as QMux"
