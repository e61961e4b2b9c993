#!/usr/bin/env bash
# Every row of post_bench gives a figure, or says why it cannot; with counts so small that the
# figures mean nothing.
set -euo pipefail

program=$POST_BUILD_DIR/tests/post_bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$program" --list | awk '{ print $1 }' | sort >"$work/listed"
"$program" --rounds 2 --seconds 0.3 --warm-up 0.05 --associations 8 --carriers 64 \
    --json "$work/lines"

sed -n 's/^{"row": "\([^"]*\)".*/\1/p' "$work/lines" | sort -u >"$work/measured"
if ! diff "$work/listed" "$work/measured"; then
    echo "rows without a figure, or figures without a row: see above"
    exit 1
fi
if grep -E '"value": (0|-?nan|-?inf|-[0-9.]+),' "$work/lines" | grep '"name": "\(rate\|p50\|p99\)"'; then
    echo "a rate or a time that cannot be: see above"
    exit 1
fi
for words in "nosuch" "--rounds 0" "--seconds x" "--stack nosuch" "--protection nosuch" "--end middle bulk" "--json"; do
    # shellcheck disable=SC2086
    if "$program" $words >"$work/out" 2>&1 || [ $? -ne 2 ]; then
        echo "accepted, or not refused as wrong: $words"
        exit 1
    fi
done
echo "$(wc -l <"$work/listed") rows in order"
