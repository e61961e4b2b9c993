#!/usr/bin/env bash
# Two servers on one port take each other's tickets, whose keys come from a Redis or Valkey of this
# test's own; and without it they say what they need.
#
# Exit code 77 and "skipped: why" where there is none, or the example was not built.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../interop/common.sh"
program=$(our_program examples/ticket_fleet)
[ -n "$program" ] || skip "examples/ticket_fleet is not built (it needs hiredis)"
store=$(command -v valkey-server || command -v redis-server) || skip "no valkey-server or redis-server"
in_namespace 10.77.0.1/32
begin

status=0
timeout 20 "$program" 127.0.0.1:7777 4477 > "$work/alone.log" 2>&1 || status=$?
[ "$status" = 77 ] || fail "without a store it ends with $status"
grep -q "it needs a Redis or Valkey at 127.0.0.1:7777" "$work/alone.log" || fail "it does not say so"
echo "without a store it says what it needs"

background store "$store" --port 7777 --bind 127.0.0.1 --save '' --appendonly no --dir "$work"
wait_for 10 grep -qi 'ready to accept connections' "$work/store.log" || fail "no store"
timeout 60 "$program" 127.0.0.1:7777 4477 > "$work/fleet.log" 2>&1 || fail "a ticket was not taken"
grep -qx 'server A: resumed' "$work/fleet.log" || fail "server A took no ticket"
grep -qx 'server B: resumed' "$work/fleet.log" || fail "server B took no ticket"
tail -n 1 "$work/fleet.log"
