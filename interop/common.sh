# shellcheck shell=bash
# What the scripts here share: how one is skipped or fails, where programs are, certificates,
# processes that end with the script, and captures of the loopback interface with Wireshark's own
# decoder. Sourced, never run. A script that calls begin() has a folder $work, which goes with it.
export POST_POLICY=  # whatever this machine prefers
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${POST_INTEROP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/post/interop}
work=
processes=()

skip() {
    echo "skipped: $*"
    exit 77
}

# Shows the ends of the logs, too.
fail() {
    local log
    echo "FAILED: $*" >&2
    if [ -n "$work" ]; then
        for log in "$work"/*.log; do
            [ -s "$log" ] && { echo "--- ${log##*/}"; tail -n 20 "$log"; } >&2
        done
    fi
    exit 1
}

begin() {
    work=$(mktemp -d)
    trap finish EXIT
}

finish() {
    local process
    for process in "${processes[@]}"; do
        kill "$process" 2> /dev/null || true
        wait "$process" 2> /dev/null || true
    done
    rm -rf "$work"
}

# our_program FOLDER/NAME: where it was built; nothing when it was not.
our_program() {
    local candidate
    for candidate in "${POST_BUILD_DIR:-}/$1" "$root"/build/*/"$1"; do
        if [ -x "$candidate" ]; then
            echo "$candidate"
            return
        fi
    done
}

# wait_for SECONDS COMMAND...
wait_for() {
    local left=$(($1 * 10))
    shift
    until "$@"; do
        [ $((left--)) -gt 0 ] || return 1
        sleep 0.1
    done
}

# background NAME COMMAND...: its output is in $work/NAME.log, its process id in $started.
background() {
    local name=$1
    shift
    : > "$work/$name.log" # now: nobody shall read what an earlier one of this name wrote
    "$@" >> "$work/$name.log" 2>&1 &
    started=$!
    processes+=("$started")
}

# pairing NAME SERVER-COMMAND -- CLIENT-COMMAND: sets the caller's name, serves and asks.
pairing() {
    name=$1
    shift
    serves=()
    while [ "$1" != -- ]; do serves+=("$1"); shift; done
    shift
    # shellcheck disable=SC2034 # for the caller
    asks=("$@")
}

# gone PROCESS: waits for one that was told to end; its exit status.
gone() {
    local process others=()
    wait_for 10 not_running "$1" || fail "process $1 does not end"
    for process in "${processes[@]}"; do [ "$process" = "$1" ] || others+=("$process"); done
    processes=("${others[@]}")
    wait "$1"
}

not_running() {
    ! kill -0 "$1" 2> /dev/null
}

# The second column is the local address, the port in hex.
port_is_bound() {
    local hex
    hex=$(printf ':%04X' "$1")
    awk -v port="$hex" '$2 ~ port "$" { found = 1 } END { exit !found }' \
        /proc/net/udp /proc/net/udp6
}

free_port() {
    local port=$((20000 + RANDOM % 10000))
    while port_is_bound "$port"; do port=$((port + 1)); done
    echo "$port"
}

# A key and a certificate for localhost that is its own authority: $work/key.pem, $work/cert.pem.
make_certificate() {
    command -v openssl > /dev/null || skip "openssl makes the certificate and is not here"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj /CN=localhost -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' \
        -keyout "$work/key.pem" -out "$work/cert.pem" > "$work/openssl.log" 2>&1 ||
        fail "openssl made no certificate"
}

# in_namespace ADDRESS: runs the script again in a network namespace of its own, where lo is up and
# post0 has ADDRESS, with nobody at the other end of its link.
in_namespace() {
    if [ -z "${POST_NAMESPACE:-}" ]; then
        unshare -rn true 2> /dev/null || skip "no network namespace may be made"
        exec unshare -rn env POST_NAMESPACE=yes bash "$0"
    fi
    command -v ip > /dev/null || skip "iproute2 is not installed"
    ip link set lo up
    ip link add post0 type veth peer name post1 || skip "the namespace may have no interface"
    ip link set post1 up
    ip link set post0 up
    ip addr add "$1" dev post0 nodad
}

# What quinn can be reached by: Deno, its program; installed from npm where it is not.
find_deno() {
    local package='@deno/linux-x64-glibc' deno
    if [ -n "${DENO:-}" ]; then
        echo "$DENO"
        return
    fi
    command -v deno && return
    deno=$cache/deno/node_modules/$package/deno
    if [ ! -x "$deno" ]; then
        [ "$(uname -sm)" = "Linux x86_64" ] || skip "no deno, and $package is for Linux x86_64" >&2
        command -v npm > /dev/null || skip "neither deno nor npm is here" >&2
        mkdir -p "$cache/deno"
        npm install --prefix "$cache/deno" --ignore-scripts --no-audit --no-fund "$package" \
            > "$cache/deno/npm.log" 2>&1 || skip "npm cannot install $package, see" \
            "$cache/deno/npm.log" >&2
        chmod +x "$deno"
    fi
    echo "$deno"
}

# make_authority FOLDER: an authority and a certificate of it: quinn's verifier refuses a certificate
# that is its own authority.
make_authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj "/CN=interop authority" -addext basicConstraints=critical,CA:TRUE \
        -keyout "$1/ca.key" -out "$1/ca.pem"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" \
        -keyout "$1/key.pem" -out "$1/cert.csr"
    openssl x509 -req -in "$1/cert.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -CAcreateserial \
        -days 2 -out "$1/cert.pem" -extfile <(printf '%s\n' \
            'subjectAltName=DNS:localhost,IP:127.0.0.1' 'basicConstraints=critical,CA:FALSE')
}

# start_server NAME COMMAND...: a server with the certificate in $work and the protocol $alpn, in the
# background; its port is in $port.
start_server() {
    local name=$1
    shift
    : > "$work/$name.out" # now: it is read before the server may have begun to run
    "$@" server 0 "$work/cert.pem" "$work/key.pem" "$alpn" \
        >> "$work/$name.out" 2> "$work/$name.log" &
    server=$!
    processes+=("$server")
    port=
    for _ in $(seq 100); do
        port=$(sed -n 's/^listening //p' "$work/$name.out")
        [ -n "$port" ] && return
        kill -0 "$server" 2> /dev/null || break
        sleep 0.1
    done
    fail "the server $name does not listen"
}

stop_server() {
    kill "$server" 2> /dev/null || true
    gone "$server" || true
}

# The file has its header once the interface is open.
capturing_or_gone() {
    [ -s "$work/run.pcapng" ] || not_running "$capture"
}

# begin_capture PORT: into $work/run.pcapng.
begin_capture() {
    command -v tshark > /dev/null || skip "tshark is not installed"
    background tshark tshark -i lo -f "udp port $1" -w "$work/run.pcapng"
    capture=$started
    wait_for 10 capturing_or_gone || fail "tshark does not begin to capture"
    not_running "$capture" &&
        skip "tshark may not capture: $(grep '^tshark: .' "$work/tshark.log" | head -n 1)"
    return 0
}

# KEEP=folder keeps the capture and the key log there.
end_capture() {
    sleep 1 # dumpcap writes what it has within half a second
    kill -INT "$capture"
    gone "$capture" || true
    if [ -n "${KEEP:-}" ]; then
        mkdir -p "$KEEP"
        cp "$work/run.pcapng" "$work/keys.log" "$KEEP"
    fi
}

# fields PCAP KEYLOG FILTER FIELD...: one line a datagram, several values of a field with commas,
# the fields with tabs between them.
fields() {
    local pcap=$1 keys=$2 filter=$3 field
    local -a columns=()
    shift 3
    for field in "$@"; do columns+=(-e "$field"); done
    # A port is not enough for Wireshark to try QUIC; decoding by heuristics is on by default.
    tshark -Q -r "$pcap" -o "tls.keylog_file:$keys" -Y "$filter" -T fields "${columns[@]}" \
        2> >(grep -v "This could be dangerous" >&2) ||
        fail "tshark cannot read $pcap"
}
