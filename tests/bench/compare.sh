#!/usr/bin/env bash
# The test of tests/bench/compare, on canned figures.
set -euo pipefail

command -v python3 >/dev/null || { echo "skipped: there is no python3"; exit 77; }
exec "$(dirname "${BASH_SOURCE[0]}")/compare" --selftest
