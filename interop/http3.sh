#!/usr/bin/env bash
# HTTP/3 with other people's software, in both roles: h3-get and h3-serve meet each other, ngtcp2's
# example client and server (nghttp3 too, but in other hands), curl with OpenSSL's QUIC, aioquic in
# both roles, and Chromium. Files of several lengths are fetched, one at a time and many at once, and
# are compared.
#
# Exit code 77 and "skipped: why" when the examples are not built; a peer that is missing is named.
# curl and aioquic live in the Debian 13 tree that interop/peers/get_tree makes.
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

# ---- curl and aioquic, inside of their tree, where $work is /interop; needs root
tree=$("$root/interop/peers/get_tree" --check) || tree=
# from_tree COMMAND...: replaces the shell; what it mounts goes with it.
from_tree() {
    # shellcheck disable=SC2016
    CELL=$work exec unshare --mount bash -c '. "$0" && in_tree "$@"' \
        "$root/interop/peers/common.sh" "$@"
}
if [ -z "$tree" ] || ! unshare --mount true 2> /dev/null; then
    echo "without curl and aioquic, whose tree interop/peers/get_tree makes, for root"
else
    rm -rf "$work/theirs" && mkdir "$work/theirs"
    for file in "${files[@]}"; do
        (from_tree curl -sS --http3-only --cacert /interop/cert.pem -w '%{http_version} %{http_code}' \
            -o "/interop/theirs/${file##*/}" "https://localhost:$port/$file") \
            > "$work/curl.out" 2> "$work/curl.log" || fail "curl: $file"
        [ "$(cat "$work/curl.out")" = "3 200" ] || fail "curl: $file: $(cat "$work/curl.out")"
        [ -e "$work/theirs/${file##*/}" ] || : > "$work/theirs/${file##*/}" # it makes no empty ones
    done
    same curl "$work/theirs" "${files[@]}"
    (from_tree curl -sS --http3-only --cacert /interop/cert.pem --range 10-19 -o /interop/theirs/part \
        "https://localhost:$port/large.bin") > "$work/curl.out" 2> "$work/curl.log" ||
        fail "curl: a range"
    cmp -s <(tail -c +11 "$work/site/large.bin" | head -c 10) "$work/theirs/part" ||
        fail "curl: another range"
    (from_tree curl -sS --http3-only --cacert /interop/cert.pem -I "https://localhost:$port/large.bin") \
        > "$work/head.out" 2> "$work/curl.log" || fail "curl: HEAD"
    grep -qi '^content-length: 20000000' "$work/head.out" || fail "curl: HEAD has no length"
    echo "ok   curl gets files, a range and HEAD from h3-serve"

    examples=/usr/share/doc/python-aioquic-doc/examples
    rm -rf "$work/theirs" && mkdir "$work/theirs"
    urls=()
    for file in small.txt folder/middle.bin; do urls+=("https://localhost:$port/$file"); done
    (from_tree timeout 60 python3 "$examples/http3_client.py" --ca-certs /interop/cert.pem \
        --output-dir /interop/theirs "${urls[@]}") > "$work/aioquic.log" 2>&1 ||
        fail "aioquic's client failed"
    same "aioquic's client" "$work/theirs" small.txt folder/middle.bin
    echo "ok   aioquic's client gets files from h3-serve"

    their_port=$(free_port)
    background aioquic from_tree env STATIC_ROOT=/interop/site python3 "$examples/http3_server.py" \
        --host 127.0.0.1 --port "$their_port" -c /interop/cert.pem -k /interop/key.pem
    wait_for 20 port_is_bound "$their_port" || fail "aioquic does not listen"
    fetch "h3-get and aioquic" "$their_port" small.txt folder/middle.bin
    echo "ok   h3-get gets files from aioquic"

    # Its WebTransport is extended CONNECT, and sends datagrams back.
    endpoint=$(our_program interop/quic_endpoint)
    if [ -n "$endpoint" ]; then
        cp "$work/cert.pem" "$work/ca.pem"
        ROLE=client TESTCASE=tunnel CERTS=$work REQUESTS="https://localhost:$their_port/wt" \
            PROTOCOL=webtransport timeout 20 "$endpoint" > "$work/tunnel.log" 2>&1 ||
            fail "no datagram comes back from aioquic"
        echo "ok   a tunnel to aioquic, and a datagram there and back"
    fi
fi

# ---- Chromium: a page whose script asks for 50 files at once, a large one and a range
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -n "$browser" ]; then
    cat > "$work/site/page.html" << 'END'
<!doctype html><title>page</title><body>not yet<script>
(async () => {
    const many = await Promise.all([...Array(50).keys()].map(
        (i) => fetch(`small.txt?${i}`).then((reply) => reply.text())));
    const large = await (await fetch("folder/middle.bin")).arrayBuffer();
    const part = await fetch("folder/middle.bin", { headers: { range: "bytes=10-19" } });
    document.body.textContent = `${many.filter((text) => text === "small\n").length} small, ` +
        `${large.byteLength} bytes, part ${part.status}`;
})();
</script>
END
    # It believes this one key, and nobody listens on TCP.
    spki=$(openssl x509 -pubkey -noout -in "$work/cert.pem" | openssl pkey -pubin -outform der |
        openssl dgst -sha256 -binary | base64)
    browse() {
        HOME=$work timeout 90 "$browser" --headless --no-sandbox --disable-gpu \
            --disable-dev-shm-usage --user-data-dir="$work/profile" --virtual-time-budget=20000 \
            --origin-to-force-quic-on="localhost:$port" \
            --ignore-certificate-errors-spki-list="$spki" --dump-dom \
            "https://localhost:$port/$1" 2> "$work/chromium.log"
    }
    browse page.html > "$work/page.out" || fail "Chromium failed"
    grep -q '50 small, 300000 bytes, part 206' "$work/page.out" ||
        fail "Chromium: $(cat "$work/page.out")"
    browse folder/ > "$work/folder.out" || fail "Chromium failed"
    grep -q 'middle.bin' "$work/folder.out" || fail "Chromium: no listing"
    echo "ok   Chromium browses h3-serve: a listing, 50 requests at once, a range"
else
    echo "without Chromium, which is not here"
fi
