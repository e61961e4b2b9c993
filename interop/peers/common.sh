# shellcheck shell=bash
# What the peers' adapters share. Each is a script of this shape, and nothing else needs to know of
# it:
#
#   #!/usr/bin/env bash
#   . "$(dirname "$0")/common.sh"
#   roles="client server"
#   protocols="quic"    # whose cases it plays: quic, tls, sctp (RFC 6951), webrtc (data channels)
#   version() { ... }   # one line: what it is; or: skip "why it cannot be had here"
#   client() { ... }    # REQUESTS from $REQUESTS into $DOWNLOADS; exit code 127: not this TESTCASE
#   server() { ... }    # $WWW with $CERTS on UDP $PORT of all addresses, until SIGTERM
#   peer "$@"
#
# The environment is that of the public runner: TESTCASE, REQUESTS, SSLKEYLOGFILE, QLOGDIR, and WWW,
# CERTS (cert.pem, priv.key; ca.pem) and DOWNLOADS in place of its fixed folders. CASE is the name
# of the test case, where TESTCASE is the order that it comes to; CELL the folder that all others
# are below. The script is started in the network namespace of its end, and may exec.
#
# TESTCASE of the other stacks: tls-echo (a client sends the files below $WWW to $SERVER and writes
# what comes back to $DOWNLOADS; TCP port $PORT), sctp-echo (SCTP port 7, UDP port $PORT; whether
# what comes back is right is the client's exit code) and datachannel (the same over DTLS, with
# aiortc_datachannel.py's requests, where both ends have the certificate in $CERTS).
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

protocols=quic

unsupported() {
    echo "not supported: $TESTCASE"
    exit 127
}

# supports CASE...: of TESTCASE; else this ends with 127.
supports() {
    local name
    for name in "$@"; do [ "$TESTCASE" != "$name" ] || return 0; done
    unsupported
}

# The first request's host and port, and the names of all files.
request_host() {
    local url=${REQUESTS%% *}
    url=${url#https://}
    url=${url%%/*}
    echo "${url%:*}"
}

# The Debian 13 tree; skips where it is not.
tree() {
    "$(dirname "${BASH_SOURCE[0]}")/get_tree" --check || exit 77
}

# echo_files COMMAND...: a TLS client that is at the other end of standard input and output. Its input
# stays open for a while: what was sent is still on its way back.
echo_files() {
    local name
    for name in $REQUESTS; do
        name=${name##*/}
        (cat "$WWW/$name"; sleep 4) | "$@" > "$DOWNLOADS/$name" || true
    done
}

# fingerprint: that of the certificate which both ends of a data channel have.
fingerprint() {
    openssl x509 -in "$CERTS/cert.pem" -noout -fingerprint -sha256 | sed 's/.*=/sha-256 /'
}

# in_tree COMMAND...: replaces the shell by it, inside of the tree, where $CELL is /interop. Only in
# a mount namespace of the run's own.
in_tree() {
    local at name
    at=$(tree)
    mount --bind "$CELL" "$at/interop"
    mount --bind /proc "$at/proc"
    mount --bind /dev "$at/dev"
    for name in hosts resolv.conf; do
        [ -e "$at/etc/$name" ] || : > "$at/etc/$name"
        mount --bind "/etc/$name" "$at/etc/$name"
    done
    for name in WWW CERTS DOWNLOADS SSLKEYLOGFILE QLOGDIR; do
        [ -z "${!name:-}" ] || export "$name=/interop${!name#"$CELL"}"
    done
    exec chroot "$at" env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 "$@"
}

# version_of PACKAGE NAME: as dpkg of the tree has it.
version_of() {
    local at
    at=$(tree) || { echo "$at"; exit 77; }
    echo "$2 $(dpkg-query --admindir="$at/var/lib/dpkg" -W -f '${Version}' "$1")"
}

peer() {
    case ${1:-} in
        roles) echo "$roles" ;;
        protocols) echo "$protocols" ;;
        version | client | server) "$1" ;;
        *)
            echo "usage: ${0##*/} roles | protocols | version | client | server" >&2
            exit 2
            ;;
    esac
}
