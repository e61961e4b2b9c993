#!/usr/bin/env bash
# The tidy test: the rules about the tree that a machine can check. Prints each offence as
# file:line: reason, and ends with a count. With an argument it checks the tree that stands there
# (the test of the test, selftest.sh, uses that).
set -euo pipefail

root=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
cd "$root"

files=$(for folder in include lib mappings interop tests examples; do
    [ ! -d "$folder" ] || find "$folder" -type f \( -name '*.hpp' -o -name '*.cpp' \)
done | LC_ALL=C sort)
[ -n "$files" ] || { echo "skipped: no sources below $root"; exit 77; }

# shellcheck disable=SC2086
LC_ALL=C.UTF-8 awk -v files_max=500 -v columns_max=100 '
function offence(reason) { printf "%s:%d: %s\n", FILENAME, FNR, reason; bad++ }

function under(folder) { return index(FILENAME, folder "/") == 1 }

# The edge and the programs around the library may touch the system; the rest may not.
function outside() { return under("tests") || under("examples") || under("interop") }

function is_context() { return FILENAME ~ /^lib\/context[^\/]*\.(cpp|hpp)$/ || under("lib/context") }

# The folder of mappings/ that the file is in: "quic", or "" for mappings/*.hpp.
function own_mapping(    parts) {
    return split(FILENAME, parts, "/") > 2 ? parts[2] : ""
}

# ---- what may be included where

function check_project_include(name,    folder, own, parts) {
    if (outside()) return
    if (under("include")) {
        if (name !~ /^post\//) offence("a public header includes " name ", not <post/...> or std")
        return
    }
    if (name ~ /^post\//) {
        if (name == "post/coro.hpp" || name == "post/asio.hpp")
            offence(name " is an adapter for applications")
        return
    }
    if (under("mappings")) {
        if (name ~ /^lib\//) { offence("mappings/ never includes lib/: " name); return }
        if (name !~ /^mappings\//) { offence("write \"mappings/...\", not \"" name "\""); return }
        split(name, parts, "/")
        folder = name ~ /^mappings\/[^\/]+\// ? parts[2] : ""
        own = own_mapping()
        if (folder == "" || folder == own || folder ~ /^(framing|crypto|wire)$/) {
            if (own == "wire" && folder != "" && folder != "wire")
                offence("mappings/wire includes itself only, not " name)
            return
        }
        if (folder == "streams" && own ~ /^(quic|tls)$/) return
        if (own == "http3" && folder == "quic") return
        offence("mappings/" own " may not include " name)
        return
    }
    if (name !~ /^(lib|mappings)\//) {
        offence("write \"lib/...\" or \"mappings/...\", not \"" name "\"")
        return
    }
    if (name ~ /^lib\/io\// && !under("lib/io") && !is_context())
        offence("only the root (lib/context*) includes the edge: " name)
    if (name ~ /^lib\/context/ && !is_context()) offence("nobody includes the root: " name)
    if (name ~ /^mappings\// && (under("lib/carrier") || under("lib/io") || under("lib/values")) &&
        !(under("lib/io") && name ~ /^mappings\/wire\//))
        offence("this layer does not know the mappings: " name)
    if (name ~ /^lib\/carrier\// && (under("lib/association") || under("lib/io")))
        offence("a layer below does not include the one above: " name)
    if (name ~ /^lib\/association\// && under("lib/io"))
        offence("the edge knows no association: " name)
}

function check_system_include(name) {
    if (name ~ /^(nghttp3)\// && FILENAME !~ /^mappings\/http3\// && !outside())
        offence("<" name "> belongs to mappings/http3")
    if (name ~ /^usrsctp/ && FILENAME !~ /^mappings\/sctp\// && !outside())
        offence("<" name "> belongs to mappings/sctp")
    if (outside()) return
    if (FILENAME == "include/post/asio.hpp" && name ~ /^asio\//) return
    if (under("include") && name !~ /^post\// && name ~ /[.\/]/) {
        offence("a public header includes <" name ">, not <post/...> or std")
        return
    }
    if (name ~ /^ngtcp2\/ngtcp2_crypto/) {
        if (!under("mappings/quic") && !under("mappings/crypto"))
            offence("<" name "> belongs to mappings/quic and mappings/crypto")
    } else if (name ~ /^ngtcp2\//) {
        if (!under("mappings/quic")) offence("<" name "> belongs to mappings/quic")
    } else if (name ~ /^gnutls\//) {
        if (!under("mappings/crypto") && !under("mappings/quic"))
            offence("<" name "> belongs to mappings/crypto and mappings/quic")
    } else if (name ~ /^(intel-ipsec-mb|[a-z]*mmintrin)\.h$/) {
        if (FILENAME != "mappings/crypto/packet_protection_ipsec_mb.cpp")
            offence("<" name "> belongs to mappings/crypto/packet_protection_ipsec_mb.cpp")
    } else if (name ~ /^ares/) {
        if (!under("lib/io")) offence("<" name "> belongs to lib/io")
    } else if (name ~ /^sqlite3/) {
        if (!under("lib/io")) offence("<" name "> belongs to lib/io")
    } else if (name ~ /^(sys\/(socket|epoll|eventfd|timerfd|uio|ioctl|un)|poll|netdb|ifaddrs)\.h$/ ||
               name ~ /^(netinet|arpa|net|linux)\//) {
        # ngtcp2 names addresses by sockaddr_in, so its mapping may know what one looks like.
        if (!under("lib/io") && !(under("mappings/quic") && name == "netinet/in.h"))
            offence("<" name "> belongs to lib/io: the edge knows sockets")
    } else if (name ~ /^post\//) {
        check_project_include(name)
    }
}

# ---- each file

FNR == 1 {
    in_block = 0
    if ($0 !~ /^\/\/ *[^ ]/) offence("a file begins with a paragraph that says what it is (//)")
}

/\t/ { offence("a tab") }
/[ ]$/ { offence("blanks at the end of the line") }
length($0) > columns_max && $0 !~ /:\/\// {
    offence("wider than " columns_max " columns (" length($0) ")")
}
FNR == files_max + 1 { offence("longer than " files_max " lines: a noun wants to move out") }

{
    code = $0
    gsub(/"([^"\\]|\\.)*"/, "\"\"", code)
    sub(/\/\/.*/, "", code)
}

/^[ ]*#[ ]*include[ ]*"/ {
    name = $0; sub(/^[^"]*"/, "", name); sub(/".*/, "", name)
    check_project_include(name)
    next
}
/^[ ]*#[ ]*include[ ]*</ {
    name = $0; sub(/^[^<]*</, "", name); sub(/>.*/, "", name)
    check_system_include(name)
    next
}
# doctest asks for its own main to be requested by a macro.
code ~ /^[ ]*#[ ]*define/ && code !~ /DOCTEST_CONFIG_/ { offence("a macro (S18)") }
code ~ /\/\*/ { offence("a comment is written with // (S22)") }
code ~ /using namespace std;/ { offence("using namespace std") }
# The root may: handles count references to a Context.
code ~ /shared_ptr/ && (under("lib/association") || under("lib/carrier") || under("mappings")) {
    offence("no shared_ptr in the core (S9)")
}

code ~ /(_clock::now|clock_gettime|gettimeofday|[^_a-zA-Z0-9.>:]time\((NULL|nullptr|0)?\))/ {
    if (!under("lib/io") && !under("tests/sim") && !under("tests/live") && !under("tests/bench") &&
        !under("interop") && !under("examples"))
        offence("only lib/io asks the clock (S4)")
}
code ~ /(^|[^a-z_])(sleep|usleep|nanosleep|sleep_for|sleep_until)\(/ {
    if (!under("tests/live") && !under("interop") && !under("examples") && !under("tests/bench"))
        offence("nothing sleeps outside the live tests")
}

END {
    if (bad) { printf "tidy: %d offences\n", bad; exit 1 }
}' $files

echo "tidy: $(wc -l <<<"$files") files in order"
