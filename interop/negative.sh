#!/usr/bin/env bash
# A peer that breaks rules one at a time, made of aioquic, against our server: those of QUIC
# (negative.py), those of HTTP/3 and QPACK (negative_http3.py), and those of tunnels and datagrams
# (negative_tunnel.py). Each has to be met with the error code that the RFC names, and none of them
# ends the server.
#
#   interop/negative.sh
#
# Exit code 77 and "skipped: why" without the Debian 13 tree that interop/peers/get_tree makes.
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$folder/peers/common.sh"

at=$("$folder/peers/get_tree" --check) || { echo "$at"; exit 77; }
program=$(our_program interop/quic_endpoint)
[ -n "$program" ] || skip "interop/quic_endpoint is not built"
if [ -z "${POST_NAMESPACE:-}" ]; then
    # What is mounted into the tree goes with this.
    [ "$(id -u)" -eq 0 ] && unshare --net --mount true 2> /dev/null ||
        skip "only root may enter the tree"
    exec unshare --net --mount env POST_NAMESPACE=yes bash "$0"
fi
ip link set lo up

begin
mkdir "$work/certs" "$work/www"
make_authority "$work/certs" > "$work/openssl.log" 2>&1 || fail "openssl makes no certificate"
mv "$work/certs/key.pem" "$work/certs/priv.key"
cp "$folder"/negative*.py "$work"
CELL=$work
export CELL
status=0
# meet NAME TESTCASE PORT SCRIPT WORD...
meet() {
    local name=$1 case=$2 port=$3
    shift 3
    ROLE=server TESTCASE=$case WWW=$work/www CERTS=$work/certs PORT=$port \
        background "$name" "$program"
    wait_for 10 grep -q '^listening' "$work/$name.log" || fail "our server does not listen"
    (in_tree python3 "/interop/$1" 127.0.0.1 "$port" "${@:2}") || status=$?
    umount -l "$at/interop" # the next one's is the same folder
    not_running "$started" && fail "the server ended: $name"
    return 0
}
meet quic transfer 4433 negative.py hq-interop
meet http3 http3 4434 negative_http3.py
meet tunnel tunnel 4435 negative_tunnel.py
exit "$status"
