#!/usr/bin/env bash
# Early data (0-RTT) with ngtcp2's own example server and client, gtlsserver and gtlsclient, in both
# roles, under the ALPN h3: each connects a second time with what is kept of the first, and sends at
# once. What is said is nothing of HTTP/3; that it came early, and was taken, is what counts.
#
#   interop/ngtcp2_early.sh     takes the pair that tests/bench/get_ngtcp2_pair has built, else the
#                               one in $PATH (Debian: ngtcp2-server and ngtcp2-client)
#
# Exit code 77 and "skipped: why" where there is none.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cache=${POST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/post}

# theirs NAME
theirs() {
    if [ -x "$cache/bench/ngtcp2/$1" ]; then
        echo "$cache/bench/ngtcp2/$1"
    else
        command -v "$1" || true
    fi
}

handshake=$(our_program interop/handshake)
[ -n "$handshake" ] || skip "interop/handshake is not built"
gtlsserver=$(theirs gtlsserver)
gtlsclient=$(theirs gtlsclient)
[ -n "$gtlsserver" ] && [ -n "$gtlsclient" ] ||
    skip "no gtlsserver and gtlsclient here; tests/bench/get_ngtcp2_pair makes them"

begin
make_certificate

port=$(free_port)
background server "$gtlsserver" --no-quic-dump --no-http-dump -d "$work" \
    127.0.0.1 "$port" "$work/key.pem" "$work/cert.pem"
wait_for 10 port_is_bound "$port" || fail "gtlsserver does not listen"
timeout 20 "$handshake" client 127.0.0.1 "$port" "$work/cert.pem" h3 early \
    > "$work/client.log" 2>&1 || fail "our client"
kill "$started"
gone "$started" || true
grep -qx "early 1 taken" "$work/client.log" || fail "gtlsserver did not take our early data"
grep -q "rx .* type=0RTT" "$work/server.log" || fail "gtlsserver saw no 0-RTT packet"
echo "ok   our client, gtlsserver: early data was taken"

background server "$handshake" server 0 "$work/cert.pem" "$work/key.pem" h3 early
server=$started
wait_for 10 grep -q '^listening ' "$work/server.log" || fail "our server does not listen"
port=$(sed -n 's/^listening //p' "$work/server.log")
for visit in 1 2; do
    timeout 20 "$gtlsclient" --no-quic-dump --no-http-dump --session-file="$work/session" \
        --tp-file="$work/parameters" --timeout=1s --exit-on-all-streams-close \
        127.0.0.1 "$port" "https://localhost:$port/" > "$work/client$visit.log" 2>&1 || true
done
kill -TERM "$server"
gone "$server" || fail "our server ends badly"
grep -qx early "$work/server.log" || fail "our server saw nothing early of gtlsclient"
! grep -qi "early data was rejected" "$work/client2.log" || fail "gtlsclient was rejected"
echo "ok   gtlsclient, our server: early data was taken"
