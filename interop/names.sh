#!/usr/bin/env bash
# Names by other people's software: Knot DNS serves signed zones with every kind of record that the
# library asks for, Unbound validates over it, and servers are reached by nothing but what these two
# say: no authority is believed. All of it in a network namespace.
#
#   signed.test     signed, and unbound knows its key
#   plain.test      nobody has signed it
#   bogus.test      signed, with another key than the one that unbound was told
#
# Exit code 77 and "skipped: why" where Knot DNS or Unbound is not there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
program=$(our_program interop/names)
[ -n "$program" ] || skip "interop/names is not built"
for tool in knotd keymgr unbound openssl; do
    PATH=$PATH:/usr/sbin command -v "$tool" > /dev/null ||
        skip "$tool is not here (Debian: knot, unbound, openssl)"
done
PATH=$PATH:/usr/sbin
in_namespace fd00:9::1/64
ip addr add 10.9.0.1/24 dev post0
begin

# ------------------------------------------------------------------- certificates and their names

certificate() { # NAME SUBJECT...: of the authority in $work; its chain has the authority in it
    local name=$1 names
    shift
    names=$(printf 'DNS:%s,' "$@")
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
        -keyout "$work/$name.key" -out "$work/$name.csr"
    openssl x509 -req -in "$work/$name.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" \
        -CAcreateserial -days 2 -out "$work/$name.leaf" \
        -extfile <(echo "subjectAltName=${names%,}")
    cat "$work/$name.leaf" "$work/ca.pem" > "$work/$name.pem"
}
key_digest() { # CERTIFICATE: SHA-256 of its key, as TLSA x 1 1 has it
    openssl x509 -in "$1" -pubkey -noout | openssl pkey -pubin -outform DER |
        openssl dgst -sha256 -r | cut -d' ' -f1
}
{
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj "/CN=names authority" -addext basicConstraints=critical,CA:TRUE \
        -keyout "$work/ca.key" -out "$work/ca.pem"
    certificate named ta.signed.test target.signed.test
    certificate strange strange.example
} > "$work/openssl.log" 2>&1 || fail "openssl made no certificates"
strange=$(key_digest "$work/strange.leaf")
authority=$(key_digest "$work/ca.pem")
wrong=$(printf '0%.0s' {1..64})

# ------------------------------------------------------------------------------------- the zones

dns=127.0.0.54
named_port=4433 strange_port=4434
# Both transports: a TLSA record for TCP and one for UDP.
tlsa() { # PORT NAME USAGE DIGEST
    printf '_%s._%s.%s TLSA %s 1 1 %s\n' "$1" udp "$2" "$3" "$4" "$1" tcp "$2" "$3" "$4"
}
zone() {
    printf '$TTL 60\n@ SOA ns post.invalid. 1 60 60 60 60\n@ NS ns\nns A %s\n' "$dns"
    cat
}
both='alpn="post-quic/1,post-qmux/1"'
{
    printf '%s A 127.0.0.1\n' ee ta wrong four strange none target
    printf '%s AAAA ::1\n' ee ta wrong six none
    tlsa $strange_port ee 3 "$strange"
    tlsa $named_port ta 2 "$authority"
    tlsa $strange_port ta 2 "$authority"
    tlsa $named_port wrong 3 "$wrong"
    tlsa $strange_port strange 3 "$strange"
    tlsa $named_port target 2 "$authority"
    echo "cname CNAME ee"
    echo "once CNAME twice"
    echo "twice CNAME four"
    echo "outside CNAME ee.plain.test."
    # Service mode: everything that has a key.
    echo "_4433._post.service SVCB 1 strange port=$strange_port $both mandatory=alpn,port" \
        "ipv4hint=127.0.0.1"
    echo "service A 10.9.0.9"
    # One before it has a key that nobody knows and must know; and HTTP alone.
    echo "_4433._post.mandatory SVCB 1 none key667=x mandatory=key667"
    echo "_4433._post.mandatory SVCB 2 four alpn=h3 no-default-alpn port=9"
    echo "_4433._post.mandatory SVCB 3 strange port=$strange_port $both"
    echo "mandatory A 10.9.0.9"
    # Alias mode, twice.
    echo "_4433._post.alias SVCB 0 pool"
    echo "pool SVCB 0 pool2"
    echo "pool2 SVCB 1 strange port=$strange_port $both"
    echo "alias A 10.9.0.9"
    echo "_4433._post.wrongly SVCB 1 wrong port=$named_port $both"
    echo "wrongly A 10.9.0.9"
    echo "web HTTPS 1 four alpn=h3 port=8443 ipv4hint=127.0.0.9"
    echo "web A 10.9.0.9"
    echo "_echo._udp.srv SRV 1 1 $strange_port strange"
    echo "_echo._udp.srv SRV 0 1 $named_port target"
    echo "_gone._udp.srv SRV 0 0 0 ."
    echo "srv A 10.9.0.9"
} | zone > "$work/signed.zone"
{
    printf 'ee A 127.0.0.1\nbad A 127.0.0.1\n'
    tlsa $strange_port ee 3 "$strange"
    tlsa $strange_port bad 3 "$wrong"
} | zone > "$work/plain.zone"
printf 'ee A 127.0.0.1\n' | zone > "$work/bogus.zone"

cat > "$work/knot.conf" << END
server:
    rundir: "$work"
    listen: $dns@5353
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stdout
    any: info
database:
    storage: "$work/knot"
zone:
  - domain: signed.test
    file: "$work/signed.zone"
    dnssec-signing: on
  - domain: bogus.test
    file: "$work/bogus.zone"
    dnssec-signing: on
  - domain: plain.test
    file: "$work/plain.zone"
END
mkdir "$work/knot"
background knotd knotd -c "$work/knot.conf"
signed() {
    keymgr -c "$work/knot.conf" "$1" ds 2> /dev/null | grep ' 2 ' | head -n 1 > "$work/$1.ds" &&
        grep -q "\[$1.\].*signed" "$work/knotd.log"
}
for name in signed.test bogus.test; do
    wait_for 10 signed "$name" || fail "knotd does not sign $name"
done

cat > "$work/unbound.conf" << END
server:
    directory: "$work"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    verbosity: 1
    num-threads: 1
    interface: 127.0.0.1@5300
    interface: 10.9.0.1@5300
    access-control: 127.0.0.0/8 allow
    access-control: 10.9.0.0/24 allow
    do-not-query-localhost: no
    module-config: "validator iterator"
    ede: yes
    local-zone: "test." nodefault
    local-zone: "invalid." nodefault
    trust-anchor: "$(cat "$work/signed.test.ds")"
    trust-anchor: "$(sed 's/[0-9A-Fa-f]\{64\}/'"$wrong"'/' "$work/bogus.test.ds")"
$(for name in signed plain bogus; do
    printf 'stub-zone:\n    name: "%s.test."\n    stub-addr: %s@5353\n' "$name" "$dns"
done)
remote-control:
    control-enable: no
END
background unbound unbound -d -c "$work/unbound.conf"
here=127.0.0.1:5300 there=10.9.0.1:5300
wait_for 10 "$program" resolve "$here" post://four.signed.test > "$work/first.log" 2>&1 ||
    fail "unbound does not answer"

# ------------------------------------------------------------------------------------- resolving

resolves() { # WHOM ADDRESS...
    local whom=$1
    shift
    "$program" resolve "$here" "$whom" > "$work/said.log" 2>&1 ||
        fail "$whom was not resolved"
    printf '%s\n' "$@" | cmp -s - "$work/said.log" || fail "$whom is not $*"
    echo "$whom is $*"
}
says() { # WHOM TEXT
    if "$program" resolve "$here" "$1" > "$work/said.log" 2>&1; then fail "$1 was resolved"; fi
    grep -q -- "$2" "$work/said.log" || fail "$1: nothing says: $2"
    echo "$1: $2"
}
resolves post://four.signed.test '127.0.0.1:4433'
resolves post://six.signed.test '[::1]:4433'
resolves post://once.signed.test:7 '127.0.0.1:7'
resolves post://service.signed.test "127.0.0.1:$strange_port" '10.9.0.9:4433'
resolves post://mandatory.signed.test '127.0.0.1:9' "127.0.0.1:$strange_port" '10.9.0.9:4433'
resolves post://alias.signed.test "127.0.0.1:$strange_port" '10.9.0.9:4433'
resolves https://web.signed.test '127.0.0.1:8443' '10.9.0.9:443'
resolves echo@srv.signed.test "127.0.0.1:$named_port" "127.0.0.1:$strange_port"
says gone@srv.signed.test "there is no service gone at srv.signed.test: its SRV record says so"
says post://nobody.signed.test "name servers 127.0.0.1:5300"
says post://ee.bogus.test "SERVFAIL"
grep -q "they say: DNSSEC bogus (6)\|they say: DNSKEY missing (9)" "$work/said.log" ||
    fail "nothing says why bogus.test is refused"

# ------------------------------------------------------------------------------------ connecting

background named "$program" serve 0.0.0.0 $named_port "$work/named.pem" "$work/named.key"
background strange "$program" serve 0.0.0.0 $strange_port "$work/strange.pem" "$work/strange.key"
for name in named strange; do
    wait_for 10 grep -q listening "$work/$name.log" || fail "no server"
done

reaches() { # STACK WHOM WHY [SERVER TRUST]
    "$program" reach "${4:-$here}" "${5:-untrusted}" "$1" "$2" > "$work/said.log" 2>&1 ||
        fail "$2 was not reached over $1: $3"
    echo "$2 over $1: $(sed -n 's/.*: \(connected after .*\)/\1/p' "$work/said.log"), by $3"
}
refuses() { # STACK WHOM TEXT WHY [SERVER TRUST]
    if "$program" reach "${5:-$here}" "${6:-untrusted}" "$1" "$2" > "$work/said.log" 2>&1; then
        fail "$2 was reached over $1, although: $4"
    fi
    grep -q -- "$3" "$work/said.log" || fail "$2 over $1: nothing says: $3"
    echo "$2 over $1 is refused: $4"
}
dane="certificate is not the one that DNS names (TLSA)"
authorities="certificate of nobody that is trusted"

for stack in quic tls sctp-dtls; do
    reaches $stack "post://ee.signed.test:$strange_port" "DANE-EE, whatever its certificate says"
    reaches $stack "post://ta.signed.test" "DANE-TA"
    refuses $stack "post://ta.signed.test:$strange_port" "$dane" "the authority's, of another name"
    refuses $stack "post://wrong.signed.test" "$dane" "another key"
    reaches $stack "post://cname.signed.test:$strange_port" "the certificate of the alias's end"
done
for stack in quic tls; do
    reaches $stack "post://service.signed.test" "the certificate of SVCB's target"
    reaches $stack "post://alias.signed.test" "that of the target behind two aliases"
    refuses $stack "post://wrongly.signed.test" "$dane" "another key than the target's"
    reaches $stack "echo@srv.signed.test" "the certificate of SRV's target, made out to it"
    # No DANE without the AD bit, or from somebody whose word does not count.
    refuses $stack "post://ee.plain.test:$strange_port" "$authorities" "nobody signed its record"
    refuses $stack "post://outside.signed.test:$strange_port" "$authorities" \
        "nobody signed the alias's end"
    refuses $stack "post://bad.plain.test:$strange_port" "$authorities" \
        "a wrong record that nobody signed says nothing, and no authority is believed"
    refuses $stack "post://ee.signed.test:$strange_port" "$authorities" \
        "that server is not on this machine, and not trusted" "$there"
    reaches $stack "post://ee.signed.test:$strange_port" "a server that is trusted" "$there" trusted
    refuses $stack "post://ee.bogus.test" "SERVFAIL" "its signatures are wrong"
done
reaches any "post://service.signed.test" "whatever is first"
