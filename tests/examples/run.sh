#!/usr/bin/env bash
# Runs every example as a user would, and looks at what it says and how it ends: also with a wrong
# pin, a file that is not what it was, an address where nobody is, and a command line that is wrong.
set -euo pipefail
export POST_POLICY=  # whatever this machine prefers

build=${POST_BUILD_DIR:?run by ctest, or set POST_BUILD_DIR to a build folder}
bin=$build/examples
if [ ! -x "$bin/parallel_fetch" ]; then
    echo "skipped: the examples are not built"
    exit 77
fi
readme=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/README.md
work=$(mktemp -d)
background=()
cleanup() {
    for process in "${background[@]}"; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap cleanup EXIT
cd "$work"
passed=0 failed=0

# check WHAT STATUS TEXT COMMAND...: it ends with STATUS, and a line of what it says matches TEXT.
check() {
    local what=$1 wanted=$2 text=$3 status=0
    shift 3
    timeout 60 "$@" >said 2>&1 </dev/null || status=$?
    if [ "$status" -eq "$wanted" ] && grep -qE -e "$text" said; then
        passed=$((passed + 1))
        return
    fi
    failed=$((failed + 1))
    echo "FAILED: $what: ended with $status (wanted $wanted), a line like '$text' in:"
    tail -n 20 said
}

# masked: lines with one N for each number, and one blank for many.
masked() { sed -E 's/sha256[^ ]*/PIN/g; s/[0-9]+(\.[0-9]+)?/N/g; s/[[:space:]]+/ /g; s/^ //'; }

# as_in_readme WHAT: each line that README.md shows below "$ ...WHAT" is one of those just said, in
# that order, but for the numbers.
as_in_readme() {
    if ! grep -q ' lo$' /proc/net/if_inet6 2>/dev/null; then
        echo "skipped: what the README shows of '$1', which is of a machine with IPv6"
        return
    fi
    masked <said >said.masked
    awk -v what="$1" '/^```console$/ { getline; inside = index($0, what) > 0; found += inside; next }
        /^```/ { inside = 0 } inside { print } END { exit !found }' "$readme" | masked >shown.masked
    if [ -s shown.masked ] && awk 'NR == FNR { shown[++count] = $0; next }
        at < count && $0 == shown[at + 1] { at++ }
        END { if (at < count) { print "not said: " shown[at + 1]; exit 1 } }' \
        shown.masked said.masked; then
        passed=$((passed + 1))
        return
    fi
    failed=$((failed + 1))
    echo "FAILED: README.md shows what '$1' does not say:"
    cat said
}

# start NAME COMMAND...: in the background; waits until it has said its first line.
start() {
    local name=$1
    shift
    "$@" >"$name.out" 2>&1 &
    background+=("$!")
    for _ in $(seq 100); do
        if [ -s "$name.out" ]; then return; fi
        sleep 0.1
    done
    echo "FAILED: $name says nothing"
    exit 1
}

check "hello" 0 '^Hello!$' "$bin/hello"
if [ -x "$bin/typed_rpc" ]; then
    check "typed_rpc" 0 '^hahaha, hoho$' "$bin/typed_rpc"
else
    echo "skipped: typed_rpc, which is built where nlohmann_json is found"
fi

mkdir traces
check "explain" 0 '^a new Association: the one to .* has another isolation$' "$bin/explain" traces
as_in_readme explain
if command -v python3 >/dev/null; then
    check "explain's trace" 0 '^[1-9][0-9]+ records$' python3 -c '
import glob, json
(file,) = glob.glob("traces/post-*.sqlog")
parts = open(file, "rb").read().split(b"\x1e")
assert parts[0] == b"" and all(part.endswith(b"\n") for part in parts[1:])
records = [json.loads(part) for part in parts[1:]]
assert records[0]["file_schema"] == "urn:ietf:params:qlog:file:sequential"
assert all({"time", "name", "data"} <= set(record) for record in records[1:])
print(len(records), "records")'
else
    echo "skipped: explain's trace, which python3 would read"
fi

check "resume" 0 '^second run: quic, resumed, first byte after [0-9.]+ ms$' "$bin/resume"

check "urgent_under_bulk" 0 '^on another Carrier, all alike +[0-9.]+ ms +[0-9.]+ ms$' \
    "$bin/urgent_under_bulk"

# echo takes its port from the command line: one that was free a moment ago.
free_port() {
    local port hex
    for _ in $(seq 50); do
        port=$((20000 + RANDOM % 10000))
        hex=$(printf ':%04X ' "$port")
        if ! cat /proc/net/udp /proc/net/udp6 2>/dev/null | grep -q "$hex"; then break; fi
    done
    echo "$port"
}
port=$(free_port)
start echo "$bin/echo" "$port"
pin=$(sed -n 's/.*, pin //p' echo.out)
printf 'one\ntwo\n' >lines
check "embed_in_poll" 0 '^two$' sh -c '"$1" "$2" "$3" <lines' sh "$bin/embed_in_poll" "$port" "$pin"
check "embed_in_poll, a wrong pin" 1 'verify with .*another key' \
    sh -c '"$1" "$2" "$3" <lines' sh "$bin/embed_in_poll" "$port" "sha256//$(printf 'A%.0s' $(seq 43))="

# post-nc: each side hears the other, by messages, by bytes, and a command behind a descriptor.
nc=$bin/post-nc
talk='echo "from the client" | timeout 20 "$@"'
start nc sh -c 'echo "from the server" | "$@"' sh "$nc" -l "$(free_port)"
read -r -a reach < <(sed -n 's/^post-nc //p' nc.out)
check "post-nc" 0 '^from the server$' sh -c "$talk" sh "$nc" "${reach[@]}"
start blocked "$nc" -s tls -l "$(free_port)"
read -r -a reach < <(sed -n 's/^post-nc //p' blocked.out)
check "post-nc --report" 0 ' tls to .*: won after .*TCP gets through where UDP does not' \
    sh -c "$talk" sh "$nc" --report "${reach[@]}"
as_in_readme 'post-nc --report'
check "post-nc, the other side" 0 '^from the client$' cat nc.out
start bytes sh -c 'echo "from the server" | "$@"' sh "$nc" -m -s tls -l "$(free_port)"
read -r -a reach < <(sed -n 's/^post-nc //p' bytes.out)
check "post-nc --morph over tls" 0 '^from the server$' sh -c "$talk" sh "$nc" -m "${reach[@]}"
start command "$nc" -x 'tr a-z A-Z' -l "$(free_port)"
read -r -a reach < <(sed -n 's/^post-nc //p' command.out)
check "post-nc --exec" 0 '^FROM THE CLIENT$' sh -c "$talk" sh "$nc" -m "${reach[@]}"
start kept sh -c 'echo "from the server" | "$@"' sh "$nc" -l "$(free_port)"
read -r -a reach < <(sed -n 's/^post-nc //p' kept.out)
check "post-nc --store" 0 '^from the server$' sh -c "$talk" sh "$nc" --store kept/associations "${reach[@]}"
check "post-nc --associations" 0 '^post://localhost:[0-9]+, .* won, .* pin sha256//' \
    "$nc" --store kept/associations --associations
check "post-nc --forget" 0 '^forgotten: 1$' "$nc" --store kept/associations --forget all
check "post-nc --plan" 0 '^ +250 ms  tls to 192.0.2.1:4433' "$nc" --plan post://192.0.2.1
check "post-nc, a requirement" 1 'names a stack that the policy does not' "$nc" -s quic tcp://192.0.2.1:7
check "post-nc, no such stack" 1 'no stack is called carrier-pigeon' "$nc" -s carrier-pigeon post://a.example
check "post-nc, no peer" 2 '^usage: ' "$nc"

mkdir -p www/deep/er
for i in $(seq 20); do head -c $((i * 7001)) /dev/urandom >"www/deep/$i"; done
head -c 3000000 /dev/urandom >www/deep/er/large
: >www/empty
fetch=$bin/parallel_fetch
check "both in one process" 0 '22 files, .*, each verified' "$fetch" --carriers 5 www
check "generated content" 0 '8 files, 20.0 MiB, each verified' "$fetch" --generate 20M
check "more Carriers than files" 0 '22 files' "$fetch" --carriers 100 www
mkdir nothing
check "an empty folder" 0 '0 files' "$fetch" nothing

start serve "$fetch" serve www --port "$(free_port)"
url=$(sed -n 's/.* get \([^ ]*\) --pin .*/\1/p' serve.out)
pin=$(sed -n 's/.* --pin //p' serve.out)
check "get" 0 '22 files' "$fetch" get "$url" --pin "$pin" --carriers 7
check "get --out" 0 '22 files' "$fetch" get "$url" --pin "$pin" --out copy
check "what --out wrote is what was served" 0 '^$' sh -c 'diff -r www copy && echo'
check "get from IPv4" 0 '22 files' "$fetch" get "${url/localhost/127.0.0.1}" --pin "$pin"
check "get from IPv6" 0 '22 files' "$fetch" get "${url/localhost/[::1]}" --pin "$pin"
for stack in sctp-dtls tls; do
    check "get over $stack" 0 '22 files' "$fetch" get "$url" --stack "$stack" --pin "$pin"
    check "a wrong pin over $stack" 1 'verify with .*another key than the one pinned' \
        "$fetch" get "$url" --stack "$stack" --pin "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
done
check "a wrong pin" 1 'verify with .*another key than the one pinned' \
    "$fetch" get "$url" --pin "sha256//$(printf 'A%.0s' $(seq 43))="
check "nobody's certificate" 1 'certificate of nobody that is trusted' "$fetch" get "$url"
cp www/deep/7 seven
printf 'x' | dd of=www/deep/7 conv=notrunc status=none
check "a file that differs" 1 'deep/7: what came is not what the catalogue says' \
    "$fetch" get "$url" --pin "$pin"
cp seven www/deep/7
truncate -s 100 www/deep/er/large
check "a file that shrank" 1 'deep/er/large: .*application.s code 500' \
    "$fetch" get "$url" --pin "$pin"
check "a folder that cannot be written" 1 'cannot be written' \
    "$fetch" get "$url" --pin "$pin" --out /proc/nowhere
check "nobody listens" 1 'connect to .*nobody listens there' \
    "$fetch" get "post://localhost:$(free_port)" --pin "$pin"
check "a bad URL" 2 'not a URL of the form' "$fetch" get http://localhost
check "a bad pin" 2 'pin' "$fetch" get "$url" --pin short
check "a missing folder" 2 'nowhere' "$fetch" serve nowhere
check "an unknown option" 2 '^usage: ' "$fetch" --wrong 1

big=$bin/big_file
check "one message of 100 MiB" 0 '^100.0 MiB in one message: .*memory grew by [0-9]{1,2}\.' "$big" 100M
check "no size" 2 'no size: 5X' "$big" 5X
mkdir shelf
start shelf "$big" serve shelf "$(free_port)"
url=$(sed -n 's/.* FILE \([^ ]*\) .*/\1/p' shelf.out)
pin=$(sed -n 's/.* \([^ ]*\)$/\1/p' shelf.out)
head -c 30000000 /dev/urandom >film
check "a file as one message" 0 'sent: 100 %' "$big" send film "$url" "$pin"
check "what was written is what was sent" 0 '^$' sh -c 'cmp film shelf/film && echo'
check "no such file" 2 'No such file' "$big" send missing "$url" "$pin"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
