#!/usr/bin/env bash
# Two machines with two links between them, in namespaces of the example's own: in the middle of a
# transfer the better interface is taken down, and comes back, and it ends complete, as the one
# connection that it began as.
#
# Exit code 77 and "skipped: why" without the right to a namespace.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../interop/common.sh"
program=$(our_program examples/roaming)
[ -n "$program" ] || skip "examples/roaming is not built"
command -v ip > /dev/null || skip "ip (iproute2) is not installed"
begin
as_root=()
[ "$(id -u)" = 0 ] || as_root=(unshare --user --map-root-user)
status=0
timeout 120 "${as_root[@]}" "$program" 128 > "$work/roaming.log" 2>&1 || status=$?
[ "$status" != 77 ] || skip "$(tail -n 1 "$work/roaming.log")"
[ "$status" = 0 ] || fail "it ended with $status"
for line in 'established from 10.10.0.1' 'near0 is taken down' 'it goes on from 10.11.0.1' \
    'near0 is back' 'it goes on from 10.10.0.1' \
    'over one connection and'; do
    grep -q -- "$line" "$work/roaming.log" || fail "no line: $line"
done
grep 'goes on\|the other side' "$work/roaming.log"
