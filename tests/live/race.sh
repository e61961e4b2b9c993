#!/usr/bin/env bash
# Races over the system's own network, in a namespace that this makes: where nothing is wrong, where
# UDP is refused or goes nowhere, where an IPv6 address belongs to nobody, where a certificate is
# wrong, and where nobody is. Each says how long it took, and has a bound of Happy Eyeballs' delays
# and 50 ms.
#
# Exit code 77 and "skipped: why" without the right to a namespace.
set -euo pipefail
export POST_POLICY=  # whatever this machine prefers
. "$(dirname "${BASH_SOURCE[0]}")/../../interop/common.sh"
. "$(dirname "${BASH_SOURCE[0]}")/racing.sh"
program=$(our_program examples/post-nc)
[ -n "$program" ] || skip "examples/post-nc is not built"
in_namespace fd00:9::1/64
begin
nobody='post://[fd00:9::2]:4433' # whom the machine asks the link for, for seconds

serve
reaches "all is well" quic 50 post://127.0.0.1:4433

serve -s tls
reaches "UDP is refused" tls 60 post://127.0.0.1:4433

serve -s tls
background silence python3 -c '
import socket, time
there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
there.bind(("127.0.0.1", 4433))
time.sleep(20)'
wait_for 10 port_is_bound 4433 || fail "nobody takes the datagrams"
silence=$started
reaches "UDP goes nowhere" tls 300 post://127.0.0.1:4433
make_certificate
mkdir -m 700 "$work/kept"
for most in 300 50; do # what one process has learned, the next one knows
    serve -s tls -C "$work/cert.pem" -k "$work/key.pem"
    reaches "the same, and what is learned is kept" tls "$most" \
        --store "$work/kept/associations" post://127.0.0.1:4433
done
kill "$silence"
gone "$silence" || true

serve
reaches "an IPv6 address that nobody has" tls 300 "$nobody" post://127.0.0.1:4433

serve
if "$program" --report --pin "sha256//$(printf 'A%.0s' {1..43})=" post://127.0.0.1:4433 \
    < /dev/null > "$work/said" 2> "$work/report.log"; then
    fail "a wrong pin was believed"
fi
for stack in quic sctp-dtls tls; do
    grep -q "  $stack: verify with 127.0.0.1:4433: " "$work/report.log" ||
        fail "a wrong pin: the error does not tell of $stack"
done
echo "a wrong pin is refused on every stack"
kill "$server"
gone "$server" || true

if "$program" --report --pin "$pin" post://127.0.0.1:4433 < /dev/null > "$work/said" \
    2> "$work/report.log"; then
    fail "nobody was reached"
fi
grep -q "could not reach post://127.0.0.1:4433; tried:" "$work/report.log" ||
    fail "nobody is there: the error does not tell what was tried"
echo "nobody is there: the error tells what was tried"
