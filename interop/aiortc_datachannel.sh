#!/usr/bin/env bash
# Data channels against aiortc (Debian: python3-aiortc): DTLS, SCTP and DCEP over one plain UDP
# socket without ICE, in both roles: label, protocol, order, retransmissions, lifetimes, strings and
# bytes, empty messages, 1 byte to 256 KiB, 100 channels, ends from either side, fingerprints that
# do not fit. aiortc against aiortc comes first: so a failure behind it is ours.
#
#   interop/aiortc_datachannel.sh      what it needs, it finds in build/*/ or $POST_BUILD_DIR
#
# Exit code 77 and "skipped: why" where something that is not ours is missing.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# serve NAME COMMAND...: one that listens, with the identity of $work/server; its port is in $port.
serve() {
    local name=$1 believed=$2
    shift 2
    background "$name" "$@" server 0 "$work/server/cert.pem" "$work/server/key.pem" "$believed"
    wait_for 10 grep -q '^listening ' "$work/$name.log" || fail "the server $name does not listen"
    port=$(sed -n 's/^listening //p' "$work/$name.log")
}

# ask NAME BELIEVED COMMAND...: a client with the identity of $work/client.
ask() {
    local name=$1 believed=$2
    shift 2
    timeout 20 "$@" client "$port" "$work/client/cert.pem" "$work/client/key.pem" "$believed" \
        > "$work/$name.out" 2> "$work/$name.log"
}

# play NAME SERVER-COMMAND -- CLIENT-COMMAND
play() {
    local name
    local -a serves asks
    pairing "$@"
    serve "$name-server" "$client" "${serves[@]}"
    ask "$name-client" "$server" "${asks[@]}" || { cat "$work/$name-client.out"; fail "$name"; }
    [ "$(grep -c '^ok ' "$work/$name-client.out")" -eq 7 ] || fail "$name did not go to its end"
    sed "s/^ok  /ok   $name:/" "$work/$name-client.out"
    kill "$started"
    gone "$started" || true
    # A server that somebody else was expected at, and a client that expects somebody else.
    serve "$name-strange-server" "$server" "${serves[@]}"
    ask "$name-strange-client" "$server" "${asks[@]}" && fail "$name: a stranger was believed"
    kill "$started" 2> /dev/null || true
    gone "$started" || true
    serve "$name-other-server" "$client" "${serves[@]}"
    ask "$name-other-client" "$client" "${asks[@]}" && fail "$name: a strange server was believed"
    kill "$started" 2> /dev/null || true
    gone "$started" || true
    echo "ok   $name: strange fingerprints are refused"
}

# certificate NAME: in $work/NAME.
certificate() {
    mkdir "$work/$1"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj "/CN=$1" -keyout "$work/$1/key.pem" -out "$work/$1/cert.pem" 2> "$work/openssl.log" ||
        fail "openssl made no certificate"
    openssl x509 -in "$work/$1/cert.pem" -noout -fingerprint -sha256 | sed 's/.*=/sha-256 /'
}

command -v openssl > /dev/null || skip "openssl makes the certificates and is not here"
# What Debian packages lies beside the interpreter that they were made for.
python=/usr/bin/python3
[ -x "$python" ] && "$python" -c 'import aiortc' 2> /dev/null || skip "python3-aiortc is not installed"
begin
server=$(certificate server)
client=$(certificate client)

theirs=("$python" -W ignore "$root/interop/aiortc_datachannel.py")
ours=$(our_program interop/data_channels)
[ -n "${THEIRS_ALONE:-}" ] && { play aiortc-aiortc "${theirs[@]}" -- "${theirs[@]}"; exit; }
[ -n "$ours" ] || skip "our data_channels is not built"
play ours-ours "$ours" -- "$ours"
play ours-serves "$ours" -- "${theirs[@]}"
play aiortc-serves "${theirs[@]}" -- "$ours"
