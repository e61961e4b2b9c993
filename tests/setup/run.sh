#!/usr/bin/env bash
# Tests of the setup step, all without a network and without changing this machine: where all is
# there, where a system is not Debian, with a cache that cannot be written, beside another setup.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
setup=$(cd "$here/../.." && pwd)/.ci/setup
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
code=0

# run COMMAND...: its output in $work/out, its exit code in $code. No network: apt-get, apt-cache
# and what they would start are replaced by programs that complain.
mkdir "$work/offline"
for name in apt-get apt-cache sudo curl wget; do
    printf '#!/bin/sh\necho "the network was asked: %s $*"\nexit 100\n' "$name" \
        >"$work/offline/$name"
done
chmod +x "$work/offline"/*
run() {
    code=0
    PATH=$work/offline:$PATH timeout 60 "$@" >"$work/out" 2>&1 </dev/null || code=$?
}

# verdict WHAT CONDITION...: the condition is a command.
verdict() {
    local what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $what (exit code $code), it said:"
        sed 's/^/    /' "$work/out"
    fi
}
said() { grep -qE -- "$1" "$work/out"; }
both() { [ "$code" -eq "$1" ] && said "$2"; }
quiet() { [ "$code" -eq 0 ] && [ ! -s "$work/out" ]; }
not_asked() { ! said 'network was asked'; }

on_debian() { grep -qE '^ID(_LIKE)?=.*debian' /etc/os-release && ! grep -q ubuntu /etc/os-release; }

# ---- usage
run "$setup" --help
verdict "--help tells the options" both 0 '--os-release FILE'
run "$setup" --wrong
verdict "an unknown option is named, and the usage follows" both 2 'unknown option: --wrong'
run "$setup" --os-release
verdict "--os-release wants a file" both 2 'usage:'
run "$setup" --os-release "$work/nowhere"
verdict "a file that is not there is named" both 1 'cannot read .*nowhere'

# ---- all there
if on_debian; then
    start=$(date +%s%N)
    run "$setup"
    took=$((($(date +%s%N) - start) / 1000000))
    verdict "where all is there, nothing is done and nothing said" quiet
    # A second is meant; ten times that is allowed, since other tests run beside this one.
    verdict "and it takes a moment ($took ms)" test "$took" -lt 10000
    run "$setup" --check
    verdict "--check agrees, offline" both 0 'all there'
    run bash -c "cd / && '$setup' --check"
    verdict "it works from any folder" both 0 'all there'
else
    echo "skipped: this is not Debian, so the system's packages are not looked after"
    skipped=$((skipped + 4))
fi

# ---- something optional missing: tried once, and never a reason to fail
if on_debian && [ "$(uname -m)" = x86_64 ]; then
    mkdir "$work/optional"
    built=${POST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/post}/deps
    [ ! -e "$built" ] || ln -s "$(readlink -f "$built")" "$work/optional/deps"
    # A compiler that does not find the header of libipsec-mb.
    cat >"$work/compiler" <<'END'
#!/bin/sh
case $* in *' -') ;; *) exec c++ "$@" ;; esac
text=$(cat)
case $text in *ipsec-mb*) exit 1 ;; esac
printf '%s\n' "$text" | exec c++ "$@"
END
    chmod +x "$work/compiler"
    without=(env CXX="$work/compiler" POST_CACHE="$work/optional")
    run "${without[@]}" "$setup" --check
    verdict "--check names what is optional, and is content" both 0 'not needed: libipsec-mb'
    run "${without[@]}" "$setup"
    verdict "what is optional is asked for, and gone on without" both 0 'going on without libipsec'
    run "${without[@]}" "$setup"
    verdict "but only once" quiet
else
    echo "skipped: libipsec-mb is fetched on Debian on x86-64 only"
    skipped=$((skipped + 3))
fi

# ---- elsewhere: pkg-config is the judge
printf 'ID=fedora\nVERSION_ID=43\nPRETTY_NAME="Fedora Linux 43"\n' >"$work/fedora"
printf 'ID=arch\nPRETTY_NAME="Arch Linux"\n' >"$work/arch"
printf 'ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\nPRETTY_NAME="Ubuntu 24.04"\n' \
    >"$work/ubuntu"
: >"$work/unknown"
for system in fedora arch ubuntu unknown; do
    run env POST_CACHE="$work/empty" PKG_CONFIG_LIBDIR="$work/none" PKG_CONFIG_PATH= \
        "$setup" --os-release "$work/$system"
    verdict "on $system what is needed is named, with versions" both 1 'c-ares 1\.34 or newer'
    verdict "on $system ngtcp2 too" said 'ngtcp2 1\.22\.1 or newer .*libngtcp2_crypto_gnutls'
    verdict "on $system GnuTLS too" said 'GnuTLS 3\.7\.9'
    verdict "on $system no package is installed" not_asked
done
run env POST_CACHE="$work/empty" PKG_CONFIG_LIBDIR="$work/none" PKG_CONFIG_PATH= \
    "$setup" --os-release "$work/fedora"
verdict "the system is called by its name" said 'Fedora Linux 43'

# A prefix that pretends to hold everything.
mkdir -p "$work/pretend"
pretend() {
    printf 'Name: %s\nDescription: pretended\nVersion: %s\nLibs:\nCflags:\n' "$1" "$2" \
        >"$work/pretend/$1.pc"
}
pretend usrsctp 0.9.5
pretend libngtcp2 1.22.1
pretend libngtcp2_crypto_gnutls 1.22.1
pretend libcares 1.34.0
pretend libnghttp3 1.15.0
pretend sqlite3 3.40.1
pretend gnutls 3.8.9
run env POST_CACHE="$work/empty" PKG_CONFIG_LIBDIR="$work/pretend" PKG_CONFIG_PATH= \
    "$setup" --os-release "$work/arch"
verdict "elsewhere what pkg-config finds is taken" both 0 'all that post needs is there'
pretend libngtcp2 1.11.0
pretend libngtcp2_crypto_gnutls 1.11.0
run env POST_CACHE="$work/empty" PKG_CONFIG_LIBDIR="$work/pretend" PKG_CONFIG_PATH= \
    "$setup" --os-release "$work/arch"
verdict "an ngtcp2 that only compiles is taken with a warning" both 0 \
    'ngtcp2 is older than 1\.22\.1'
pretend libcares 1.33.9
run env POST_CACHE="$work/empty" PKG_CONFIG_LIBDIR="$work/pretend" PKG_CONFIG_PATH= \
    "$setup" --os-release "$work/arch"
verdict "a c-ares that is too old is not" both 1 'c-ares 1\.34 or newer'

# ---- something missing on Debian
printf 'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian 12"\n' >"$work/debian"
offline_etc=$work/etc
mkdir -p "$offline_etc/sources.list.d"
if ! on_debian; then
    echo "skipped: installing is for Debian"
    skipped=$((skipped + 6))
else
    # Tools from the system; libraries from nowhere.
    mkdir -p "$work/only-gnutls"
    PKG_CONFIG_PATH='' pkg-config --exists gnutls &&
        cp "$(PKG_CONFIG_PATH='' pkg-config --variable=pcfiledir gnutls)"/*.pc "$work/only-gnutls/"
    rm -f "$work/only-gnutls"/libng* "$work/only-gnutls/libcares.pc"
    without=(env "PKG_CONFIG_LIBDIR=$work/only-gnutls" PKG_CONFIG_PATH=)
    # What is in /usr/share is needed too (gnutls asks for nothing there today).
    run "${without[@]}" POST_CACHE="$work/cache" "$setup" --check --os-release "$work/debian"
    verdict "--check names the missing library" both 1 'missing: c-ares 1\.34'
    verdict "--check makes no cache" test ! -e "$work/cache"

    echo 'not a folder' >"$work/file"
    run "${without[@]}" POST_CACHE="$work/file/cache" "$setup" --os-release "$work/debian"
    verdict "a cache that cannot be written is named" both 1 \
        'cannot write to the cache folder .*/file/cache'

    run "${without[@]}" POST_CACHE="$work/cache" POST_APT_ETC="$offline_etc" \
        "$setup" --os-release "$work/debian"
    verdict "without an archive in apt's sources it says so" both 1 "found no archive for 'bookworm'"

    # Both forms of apt's sources; a source package that the (absent) network cannot give.
    printf 'deb [arch=amd64 signed-by=/k.gpg] http://archive.invalid/debian bookworm main\n' \
        >"$offline_etc/sources.list"
    printf 'Types: deb\nURIs: %s\nSuites: bookworm bookworm-updates\nComponents: main\n' \
        http://second.invalid/debian >"$offline_etc/sources.list.d/debian.sources"
    run "${without[@]}" POST_CACHE="$work/cache" POST_APT_ETC="$offline_etc" \
        "$setup" --os-release "$work/debian"
    verdict "without a network it says what was tried" both 1 'cannot be had\. Tried: '
    verdict "and leaves no half-built prefix" bash -c "! ls -d '$work/cache'/deps* 2>/dev/null"
    verdict "nor a folder of work" bash -c "! ls -d '$work/cache'/work-* 2>/dev/null"

    # Another setup at work: the second waits for it.
    exec 8>"$work/cache/lock"
    flock 8
    code=0
    PATH=$work/offline:$PATH "${without[@]}" POST_CACHE="$work/cache" timeout 2 \
        "$setup" --os-release "$work/debian" >"$work/out" 2>&1 8>&- </dev/null || code=$?
    flock -u 8
    verdict "two at once: the second waits" said 'another setup is at work'
    mkdir "$work/cache/work-killed"
    run "${without[@]}" POST_CACHE="$work/cache" POST_APT_ETC="$offline_etc" \
        "$setup" --os-release "$work/debian"
    verdict "what a killed setup left is cleared away" test ! -e "$work/cache/work-killed"
fi

line="$passed passed, $failed failed"
if [ "$skipped" -gt 0 ]; then line+=", $skipped skipped"; fi
echo "$line"
[ "$failed" -eq 0 ]
