#!/usr/bin/env bash
# A peer that breaks QUIC's rules one at a time (negative.py, made of aioquic) against our server:
# each has to end its connection with the error code that the RFC names, and none of them the server.
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
ROLE=server TESTCASE=transfer WWW=$work/www CERTS=$work/certs PORT=4433 \
    background server "$program"
wait_for 10 grep -q '^listening' "$work/server.log" || fail "our server does not listen"
cp "$folder/negative.py" "$work"
CELL=$work
export CELL
status=0
(in_tree python3 /interop/negative.py 127.0.0.1 4433 hq-interop) || status=$?
not_running "$started" && fail "the server ended"
exit "$status"
