# shellcheck shell=bash
# What the scripts share that race over the system's own network: a server whose key is known, and
# how long it takes to reach it. Sourced, behind interop/common.sh; $program is post-nc, and what
# stands in $there goes before the server's command (it may live in another namespace).
there=()

# serve OPTION...: on port 4433; its pin is in $pin, the process in $server.
serve() {
    background server "${there[@]}" "$program" "$@" -l 4433 < /dev/null
    server=$started
    wait_for 10 grep -q -- --pin "$work/server.log" || fail "no server"
    pin=$(sed -n 's/^post-nc --pin \([^ ]*\) .*/\1/p' "$work/server.log")
}

# reaches WHAT STACK MOST URL...: the message arrives over STACK, and connecting takes at most MOST
# ms; options of post-nc may stand among the URLs.
reaches() {
    local what=$1 stack=$2 most=$3 took
    shift 3
    echo hello | timeout 20 "$program" --report --pin "$pin" "$@" > "$work/said" \
        2> "$work/report.log" || fail "$what: no connection"
    gone "$server" || fail "$what: the server failed"
    grep -qx hello "$work/server.log" || fail "$what: no message"
    grep -q " $stack to .*: won" "$work/report.log" || fail "$what: $stack did not win"
    took=$(sed -n 's/.*: connected after \([0-9]*\)\.[0-9]* ms$/\1/p' "$work/report.log")
    [ "$took" -le "$most" ] || fail "$what: took $took ms, more than $most"
    printf '%-44s %-10s %4d ms (at most %d)\n' "$what" "$stack" "$took" "$most"
}
