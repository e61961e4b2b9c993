#!/usr/bin/env bash
# Foreign byte streams with other people's programs, in both roles: openssl s_client and s_server,
# gnutls-cli and gnutls-serv, nc, socat, an nginx that is asked in HTTP/1.1 as typed by hand, and
# Python's asyncio with length-prefixed messages. Each program that is missing is named and left
# out.
#
# Exit code 77 and "skipped: why" without openssl.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
program=$(our_program interop/byte_streams)
[ -n "$program" ] || skip "interop/byte_streams is not built"
begin
make_certificate
head -c 3000000 /dev/urandom > "$work/data"
port=$(free_port)

has() { command -v "$1" > /dev/null || { echo "skip $1: it is not here"; return 1; }; }
# serving NAME ARGUMENT...: our server; its port is $port.
serving() {
    local name=$1
    shift
    background "$name" "$program" "$@"
    wait_for 10 grep -q listening "$work/$name.log" || fail "$name: our server does not listen"
    port=$(sed -n 's/^listening //p' "$work/$name.log")
}
# theirs NAME COMMAND...: their server, on $port.
theirs() {
    background "$@"
    wait_for 10 is_open || fail "$1 does not listen"
}
is_open() { (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; }
same() {
    cmp -s "$work/data" "$work/$1.out" || fail "$1: what came back is not what was sent"
    echo "ok   $1"
}
next_port() { port=$((port + 1)); while is_open; do port=$((port + 1)); done; }

serving tls-echo echo 0 tls - "$work/cert.pem" "$work/key.pem"
tls_port=$port
# It stays until it is told to go: with -no_ign_eof letters of its input would be commands.
(cat "$work/data"; sleep 3) | timeout 5 openssl s_client -connect "127.0.0.1:$tls_port" \
    -servername localhost -CAfile "$work/cert.pem" -verify_return_error -quiet \
    > "$work/s_client.out" 2> "$work/s_client.log" || true
same s_client
if has gnutls-cli; then
    (cat "$work/data"; sleep 2) | timeout 30 gnutls-cli --x509cafile "$work/cert.pem" \
        --verify-hostname=localhost --logfile="$work/gnutls-cli.log" -p "$tls_port" 127.0.0.1 \
        > "$work/gnutls-cli.out" || true
    same gnutls-cli
fi
serving named-echo echo 0 tls http/1.1 "$work/cert.pem" "$work/key.pem"
(echo hello; sleep 1) | timeout 10 openssl s_client -connect "127.0.0.1:$port" -alpn h2,http/1.1 -quiet \
    -servername localhost -CAfile "$work/cert.pem" -no_ign_eof > "$work/alpn.out" \
    2> "$work/alpn.log" || true
grep -qx hello "$work/alpn.out" || fail "s_client: no echo with an ALPN"
echo "ok   s_client: one of its protocols is ours"
timeout 10 openssl s_client -connect "127.0.0.1:$port" -quiet -servername localhost \
    > /dev/null 2> "$work/none.log" < /dev/null && fail "no ALPN: s_client is content"
grep -q "alert number 120" "$work/none.log" || fail "no ALPN: no alert"
echo "ok   s_client: no ALPN where one is wanted"

serving tcp-echo echo 0 tcp - - -
tcp_port=$port
if has nc; then
    timeout 20 nc -N 127.0.0.1 "$tcp_port" < "$work/data" > "$work/nc.out"
    same nc
fi
if has socat; then
    timeout 20 socat -t 20 - "TCP:127.0.0.1:$tcp_port" < "$work/data" > "$work/socat.out"
    same socat
fi
timeout 20 "$program" connect 127.0.0.1 "$tcp_port" tcp - - < "$work/data" > "$work/ours.out"
same ours
timeout 20 "$program" connect 127.0.0.1 "$tls_port" tls - "$work/cert.pem" < "$work/data" \
    > "$work/ours-tls.out"
same ours-tls

# Our client.
if has socat; then
    next_port
    theirs socat-echo socat "TCP-LISTEN:$port,reuseaddr,fork" PIPE
    timeout 20 "$program" connect 127.0.0.1 "$port" tcp - - < "$work/data" \
        > "$work/to-socat.out"
    same to-socat
    # An unchanged program has the Stream for its standard input and output.
    next_port
    theirs socat-file socat -U "TCP-LISTEN:$port,reuseaddr,fork" "SYSTEM:cat $work/data"
    timeout 20 "$program" connect 127.0.0.1 "$port" tcp - - \
        sh -c "cat > '$work/to-program.out'"
    same to-program
fi
request=$'GET /data HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
# body NAME: behind the empty line.
body() {
    python3 - "$work/$1.raw" "$work/$1.out" << 'END'
import sys
head, _, body = open(sys.argv[1], "rb").read().partition(b"\r\n\r\n")
assert b" 200 " in head.split(b"\r\n")[0], head
open(sys.argv[2], "wb").write(body)
END
}
next_port
theirs s_server bash -c 'cd "$0" && exec openssl s_server "$@"' "$work" -accept "$port" \
    -cert "$work/cert.pem" -key "$work/key.pem" -alpn http/1.1 -HTTP -quiet
printf %s "$request" | timeout 20 "$program" connect 127.0.0.1 "$port" tls http/1.1 \
    "$work/cert.pem" > "$work/s_server.raw" 2> "$work/s_server-client.log" || true
cmp -s <(tail -c 3000000 "$work/s_server.raw") "$work/data" || fail "s_server: not the file"
echo "ok   s_server"
if has gnutls-serv; then
    next_port
    theirs gnutls-serv gnutls-serv --echo -q -p "$port" --x509keyfile "$work/key.pem" \
        --x509certfile "$work/cert.pem"
    (echo "hello gnutls"; sleep 1) | timeout 20 "$program" connect 127.0.0.1 "$port" tls - \
        "$work/cert.pem" > "$work/gnutls-serv.out"
    grep -q "hello gnutls" "$work/gnutls-serv.out" || fail "gnutls-serv: no echo"
    echo "ok   gnutls-serv"
fi
nginx=$(command -v nginx || echo /usr/sbin/nginx)
if [ -x "$nginx" ]; then
    next_port
    cat > "$work/nginx.conf" << END
daemon off; pid $work/nginx.pid; error_log $work/nginx-error.log; worker_processes 1;
events {}
http {
    access_log off; client_body_temp_path $work/t1; proxy_temp_path $work/t2;
    fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4; scgi_temp_path $work/t5;
    server {
        listen 127.0.0.1:$port ssl; root $work; ssl_protocols TLSv1.3;
        ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;
    }
}
END
    chmod 755 "$work"
    chmod 644 "$work/data"
    theirs nginx "$nginx" -c "$work/nginx.conf" -p "$work"
    # As a person would: whoever ends its direction at once is served, and then cut.
    (printf %s "$request"; sleep 2) | timeout 20 "$program" connect 127.0.0.1 "$port" tls http/1.1 \
        "$work/cert.pem" > "$work/nginx.raw" || fail "nginx: our client fails"
    body nginx
    same nginx
else
    echo "skip nginx: it is not here"
fi

if has python3; then
    serving frames frames 0
    python3 - "$port" << 'END' || fail "asyncio: see above"
import asyncio, struct, sys

async def main():
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    texts = [b"a", b"hello post", b"x" * 100000, b""]
    for text in texts:
        frame = struct.pack("!I", len(text)) + text
        for part in (frame[:3], frame[3:]):
            writer.write(part)
            await writer.drain()
    for text in texts:
        size, = struct.unpack("!I", await reader.readexactly(4))
        assert await reader.readexactly(size) == text.upper()
    writer.close()

asyncio.run(asyncio.wait_for(main(), 20))
END
    echo "ok   asyncio: length-prefixed messages"
fi
