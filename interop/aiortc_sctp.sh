#!/usr/bin/env bash
# SCTP right over UDP (RFC 6951) against aiortc (Debian: python3-aiortc), which is nobody's usrsctp:
# its echo server gives back what our sctp_clear sends, and ours what its client sends.
#
#   interop/aiortc_sctp.sh      what it needs, it finds in build/*/ or $POST_BUILD_DIR
#
# Exit code 77 and "skipped: why" where something that is not ours is missing.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

python=/usr/bin/python3
[ -x "$python" ] && "$python" -c 'import aiortc' 2> /dev/null || skip "python3-aiortc is not installed"
ours=$(our_program interop/sctp_clear)
[ -n "$ours" ] || skip "our sctp_clear is not built"
theirs=("$python" -W ignore "$root/interop/aiortc_sctp.py")
begin

for case in "1 1000" "5 1180" "20 60000"; do
    port=$(free_port)
    background aiortc "${theirs[@]}" server "$port" 5001
    wait_for 10 grep -q listening "$work/aiortc.log" || fail "aiortc does not listen"
    # shellcheck disable=SC2086 # two words
    timeout 20 "$ours" client 127.0.0.1 5001 "$port" $case > "$work/client.out" \
        2> "$work/client.log" || fail "aiortc serves: streams and bytes $case"
    kill "$started"
    gone "$started" || true
    echo "ok   aiortc serves: streams and bytes $case"
done

port=$(free_port)
background ours "$ours" server 5001 "$port"
wait_for 10 grep -q listening "$work/ours.log" || fail "our server does not listen"
for case in "1 1000" "5 1180" "20 60000"; do
    # shellcheck disable=SC2086
    timeout 20 "${theirs[@]}" client 127.0.0.1 5001 "$port" $case > "$work/client.out" \
        2> "$work/client.log" || fail "ours serves aiortc: streams and bytes $case"
    echo "ok   ours serves aiortc: streams and bytes $case"
done
