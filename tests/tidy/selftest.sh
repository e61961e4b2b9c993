#!/usr/bin/env bash
# The test of the tidy test: each rule is broken once in a small tree, and must be reported.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
passed=0 failed=0

# expect WHAT FILE TEXT: with TEXT in FILE (after a first comment) the tidy test says WHAT;
# an empty WHAT: it is content.
expect() {
    rm -rf "$tree"/*
    mkdir -p "$tree/$(dirname "$2")"
    printf '// A file.\n%b\n' "$3" >"$tree/$2"
    local out status=0
    out=$(bash "$here/run.sh" "$tree" 2>&1) || status=$?
    if { [ -z "$1" ] && [ "$status" -eq 0 ]; } ||
        { [ -n "$1" ] && [ "$status" -ne 0 ] && grep -q "$2:[0-9]*: .*$1" <<<"$out"; }; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'wanted "%s" for %s: %s\ngot: %s\n' "$1" "$2" "$3" "$out"
    fi
}

expect '' lib/association/a.cpp '#include "lib/association/a.hpp"\n#include "mappings/mapping.hpp"'
expect '' lib/context.cpp '#include "lib/io/io.hpp"\n#include "mappings/quic/quic.hpp"'
expect '' lib/io/a.cpp '#include <sys/socket.h>\nauto x = std::chrono::steady_clock::now();'
expect '' mappings/quic/a.cpp '#include <ngtcp2/ngtcp2.h>\n#include "mappings/wire/reader.hpp"'
expect '' mappings/http3/a.cpp '#include "mappings/quic/quic.hpp"'
expect '' include/post/a.hpp '#pragma once\n#include <post/b.hpp>\n#include <vector>'
expect '' lib/context.cpp 'std::shared_ptr<int> a;'
expect '' lib/a.cpp 'using namespace std::chrono_literals;'
expect 'using namespace std' lib/a.cpp 'using namespace std;'
expect '' tests/unit/a.cpp '#include <arpa/inet.h>\n#include "lib/io/io.hpp"'
expect '' lib/a.cpp '// https://example.net/a#b time(0) steady_clock::now()'
expect '' lib/a.cpp 'auto t = round_trip_time(0); auto u = self.time(0);'

expect 'public header' include/post/a.hpp '#include "lib/a.hpp"'
expect 'public header' include/post/a.hpp '#include <gnutls/gnutls.h>'
expect 'adapter' lib/carrier/a.cpp '#include <post/coro.hpp>'
expect 'mappings/ never includes lib/' mappings/quic/a.cpp '#include "lib/association/a.hpp"'
expect 'may not include' mappings/quic/a.cpp '#include "mappings/tls/a.hpp"'
expect 'may not include' mappings/framing/a.cpp '#include "mappings/quic/a.hpp"'
expect 'itself only' mappings/wire/a.cpp '#include "mappings/crypto/a.hpp"'
expect 'write "lib' lib/association/a.cpp '#include "a.hpp"'
expect 'only the root' lib/carrier/a.cpp '#include "lib/io/io.hpp"'
expect 'only the root' lib/association/a.cpp '#include "lib/io/io.hpp"'
expect 'nobody includes the root' lib/carrier/a.cpp '#include "lib/context_core.hpp"'
expect 'does not know the mappings' lib/carrier/a.cpp '#include "mappings/mapping.hpp"'
expect 'layer below' lib/association/a.cpp '#include "lib/carrier/carrier.hpp"'
expect 'belongs to mappings/quic' lib/association/a.cpp '#include <ngtcp2/ngtcp2.h>'
expect 'belongs to mappings/quic' mappings/crypto/a.cpp '#include <ngtcp2/ngtcp2.h>'
expect 'belongs to mappings/crypto and' mappings/tls/a.cpp '#include <gnutls/gnutls.h>'
expect 'belongs to lib/io' lib/association/a.cpp '#include <ares.h>'
expect 'edge knows sockets' mappings/quic/a.cpp '#include <sys/socket.h>'
expect 'only lib/io asks' lib/association/a.cpp 'auto t = std::chrono::steady_clock::now();'
expect 'only lib/io asks' mappings/quic/a.cpp 'auto t = time(nullptr);'
expect 'sleeps' tests/unit/a.cpp 'std::this_thread::sleep_for(1s);'
expect 'a macro' lib/a.cpp '#define A 1'
expect 'a tab' lib/a.cpp '\tint a;'
expect 'blanks' lib/a.cpp 'int a; '
expect 'wider than' lib/a.cpp "int $(printf 'a%.0s' {1..100});"
expect 'longer than' lib/a.cpp "$(printf 'int a;\\n%.0s' {1..500})"
expect 'shared_ptr' lib/carrier/a.cpp 'std::shared_ptr<int> a;'
rm -rf "$tree"/*
mkdir -p "$tree/lib"
echo 'int a;' >"$tree/lib/a.cpp"
if { bash "$here/run.sh" "$tree" || true; } | grep -q 'begins with a paragraph'; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo 'a file without a first comment was not reported'
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
