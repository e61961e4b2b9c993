#!/usr/bin/env bash
# HTTP/3 with other people's software, in both roles: h3-get and h3-serve meet each other, ngtcp2's
# example client and server (nghttp3 too, but in other hands), and curl where it speaks HTTP/3.
# Files of several lengths are fetched, one at a time and many at once, and are compared.
#
# Exit code 77 and "skipped: why" when the examples are not built; a peer that is missing is named.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
get=$(our_program examples/h3-get)
serve=$(our_program examples/h3-serve)
[ -n "$get" ] && [ -n "$serve" ] || skip "the examples h3-get and h3-serve are not built"
begin
make_certificate

mkdir "$work/site" "$work/site/folder"
: > "$work/site/empty"
echo small > "$work/site/small.txt"
head -c 300000 /dev/urandom > "$work/site/folder/middle.bin"
head -c 20000000 /dev/urandom > "$work/site/large.bin"
files=(small.txt folder/middle.bin large.bin empty)

ours() {
    port=$(free_port)
    background h3-serve "$serve" --port "$port" --cert "$work/cert.pem" --key "$work/key.pem" \
        "$work/site"
    wait_for 10 grep -q serving "$work/h3-serve.log" || fail "h3-serve does not listen"
}

# same NAME FOLDER FILE...: what came is what was there.
same() {
    local name=$1 folder=$2 file
    shift 2
    for file in "$@"; do
        cmp -s "$work/site/$file" "$folder/${file##*/}" || fail "$name: $file is another one"
    done
}

# ---- our client
# fetch NAME PORT FILE...
fetch() {
    local name=$1 at=$2 file urls=()
    shift 2
    rm -rf "$work/got" && mkdir "$work/got"
    for file in "$@"; do urls+=("https://localhost:$at/$file"); done
    (cd "$work/got" && timeout 60 "$get" -s -O --ca "$work/cert.pem" "${urls[@]}") \
        2> "$work/get.log" || fail "$name: h3-get failed"
    same "$name" "$work/got" "$@"
}

ours
fetch "h3-get and h3-serve" "$port" "${files[@]}"
head -c 7000000 "$work/site/large.bin" > "$work/got/large.bin"
(cd "$work/got" && "$get" -s -O --ca "$work/cert.pem" "https://localhost:$port/large.bin")
same "a download that goes on" "$work/got" large.bin
"$get" -s -i --ca "$work/cert.pem" "https://localhost:$port/folder/" > "$work/listing"
grep -q 'middle.bin' "$work/listing" || fail "the folder is not listed"
for target in /../../etc/passwd /%2e%2e/%2e%2e/etc/passwd /missing; do
    status=0
    "$get" -s -o "$work/none" --ca "$work/cert.pem" "https://localhost:$port$target" \
        > /dev/null 2> "$work/get.log" || status=$?
    [ "$status" -eq 22 ] || fail "$target is answered: exit code $status"
done
urls=()
for i in $(seq 500); do urls+=("https://localhost:$port/small.txt?$i"); done
timeout 60 "$get" -s --ca "$work/cert.pem" "${urls[@]}" > "$work/many" || fail "500 at once"
[ "$(wc -l < "$work/many")" -eq 500 ] || fail "500 at once: not all came"
echo "ok   h3-get and h3-serve: files, ranges, listings, 500 requests at once, nothing outside"

# ---- ngtcp2's pair
pair=${POST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/post}/bench/ngtcp2
if [ -x "$pair/gtlsclient" ] && [ -x "$pair/gtlsserver" ]; then
    rm -rf "$work/theirs" && mkdir "$work/theirs"
    urls=()
    for file in small.txt folder/middle.bin large.bin; do
        urls+=("https://localhost:$port/$file")
    done
    timeout 60 "$pair/gtlsclient" -q --no-quic-dump --no-http-dump --exit-on-all-streams-close \
        --download "$work/theirs" localhost "$port" "${urls[@]}" > "$work/gtlsclient.log" 2>&1 ||
        fail "gtlsclient failed"
    same gtlsclient "$work/theirs" small.txt folder/middle.bin large.bin
    echo "ok   gtlsclient gets files from h3-serve"

    their_port=$(free_port)
    background gtlsserver "$pair/gtlsserver" -q --no-quic-dump --no-http-dump -d "$work/site" \
        127.0.0.1 "$their_port" "$work/key.pem" "$work/cert.pem"
    sleep 1
    fetch "h3-get and gtlsserver" "$their_port" small.txt folder/middle.bin large.bin
    urls=()
    for i in $(seq 200); do urls+=("https://localhost:$their_port/small.txt?$i"); done
    timeout 60 "$get" -s --ca "$work/cert.pem" "${urls[@]}" > "$work/many" || fail "200 at once"
    [ "$(wc -l < "$work/many")" -eq 200 ] || fail "200 at once: not all came"
    echo "ok   h3-get gets files from gtlsserver, and 200 at once"
else
    echo "without ngtcp2's pair, which tests/bench/get_ngtcp2_pair would build"
fi

# ---- curl
if curl --version 2> /dev/null | grep -q HTTP3; then
    for file in "${files[@]}"; do
        curl -sS --http3-only --cacert "$work/cert.pem" -o "$work/curl.out" \
            "https://localhost:$port/$file" 2> "$work/curl.log" || fail "curl: $file"
        cmp -s "$work/site/$file" "$work/curl.out" || fail "curl: $file is another one"
    done
    echo "ok   curl gets files from h3-serve"
else
    echo "without curl, which has no HTTP/3 here"
fi
