#!/usr/bin/env bash
# Installs what is missing, and nothing else; a second run finds nothing to do. `--for run` (the demo), `--for cluster`, `--for test` or `--for fuzz`.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

purpose='test'
case "${1-}" in
    '') ;;
    --for) purpose=${2-} ;;
    *) fail "usage: scripts/install.sh [--for run|cluster|test|fuzz]" ;;
esac

# PACKAGE:PROBE, where PROBE is a command, or a path when it begins with a slash.
modules=/usr/lib/$(uname -m)-linux-gnu
for_run=(rtpengine-daemon:rtpengine gcc:gcc make:make libc6-dev:/usr/include/stdio.h)
for_cluster=(
    kamailio:kamailio
    "kamailio-extra-modules:$modules/kamailio/modules/dmq_usrloc.so"
)
for_test=(
    chromium:chromium
    firefox-esr:firefox-esr
    baresip-core:baresip
    linphone-cli:linphonec
    sip-tester:sipp
    dnsmasq-base:dnsmasq
    "kamailio-tls-modules:$modules/kamailio/modules/tls.so"
    "kamailio-websocket-modules:$modules/kamailio/modules/websocket.so"
    coturn:turnserver
    sngrep:sngrep
    valgrind:valgrind
    iproute2:ip
    iptables:iptables
)
# libFuzzer, which every fuzz target contains, is C++.
for_fuzz=(gcc:gcc g++:g++ libc6-dev:/usr/include/stdio.h)
case $purpose in
    run) wanted=("${for_run[@]}") ;;
    cluster) wanted=("${for_run[@]}" "${for_cluster[@]}") ;;
    test) wanted=("${for_run[@]}" "${for_cluster[@]}" "${for_test[@]}") ;;
    fuzz) wanted=("${for_fuzz[@]}") ;;
    *) fail "--for takes run, cluster, test or fuzz, not \"$purpose\"" ;;
esac

# Daemons live in sbin, which a user's PATH on Debian leaves out.
PATH=$PATH:/usr/sbin:/sbin

missing() {
    local entry probe
    for entry in "$@"; do
        probe=${entry#*:}
        case $probe in
            /*) [ -e "$probe" ] ;;
            *) command -v "$probe" >/dev/null ;;
        esac || printf '%s\n' "${entry%%:*}"
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then env DEBIAN_FRONTEND=noninteractive "$@"
    else sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

# Debian starts a daemon as soon as it is installed. Ours must not: RTPEngine would want a configuration that nobody wrote, and
# Kamailio would take port 5060. policy-rc.d is Debian's own way to say so; one that is there already is left alone.
guard=/usr/sbin/policy-rc.d
guard_is_ours=''
remove_guard() {
    [ -z "$guard_is_ours" ] || as_root rm -f "$guard"
    guard_is_ours=''
}
install_debian_packages() {
    command -v apt-get >/dev/null || fail "These Debian packages are missing: $*
This system has no apt-get, so they cannot be installed from here. Install their like with your own package manager and try again."
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "These Debian packages are missing: $*
Install them as root (apt-get install $*) and try again; there is no sudo here that could do it."
        # Asked once and here: what runs in the background below could not ask.
        sudo -n true 2>/dev/null ||
            sudo -v -p 'Installing Debian packages needs your password for sudo: ' ||
            fail "These Debian packages are missing: $*
sudo refused, so nothing was installed. Install them as root (apt-get install $*) and try again."
    fi
    if [ ! -e "$guard" ]; then
        trap remove_guard EXIT
        guard_is_ours=yes
        # shellcheck disable=SC2016 # it is the root shell that expands $1
        as_root sh -c 'printf "#!/bin/sh\nexit 101\n" > "$1" && chmod 755 "$1"' sh "$guard"
    fi
    meanwhile apt-update "Asking Debian for its list of packages" -- as_root apt-get update
    meanwhile apt-install "Installing $# Debian packages ($*); this takes a minute or two" -- \
        as_root apt-get install -y --no-install-recommends "$@"
    remove_guard
}

# npm_packages FOLDER: `npm ci`, once for each package-lock.json.
npm_packages() {
    [ -e "$root/$1/package-lock.json" ] || return 0
    local stamp
    stamp=$stamps/npm-${1//\//-}-$(sha256sum <"$root/$1/package-lock.json" | cut -c1-16)
    if [ -e "$stamp" ] && [ -d "$root/$1/node_modules" ]; then return 0; fi
    meanwhile "npm-${1//\//-}" "Installing the npm packages of $1/" -- npm ci --prefix "$root/$1" --no-audit --no-fund
    rm -f "$stamps/npm-${1//\//-}-"*
    touch "$stamp"
}

rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
need cargo "Install Rust $rust or newer from https://rustup.rs, open a new shell and try again."
have=$(cargo --version | cut -d ' ' -f 2)
[ "$(printf '%s\n' "$rust" "$have" | sort -V | head -n 1)" = "$rust" ] ||
    fail "Rust $have is too old: it takes $rust or newer. Debian's own is older; \`rustup update\`, or https://rustup.rs."
if [ "$purpose" != fuzz ]; then
    need node "Install Node 20.19 or newer (https://nodejs.org; Debian 12 has 18, which is too old) and try again."
    need npm "It comes with Node from https://nodejs.org."
    node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
             process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' ||
        fail "Node $(node --version) is too old to build the demo page: it takes 20.19 or newer (https://nodejs.org; not Debian 12's own)."
fi

mapfile -t absent < <(missing "${wanted[@]}")
if [ "${#absent[@]}" -gt 0 ]; then
    install_debian_packages "${absent[@]}"
    mapfile -t absent < <(missing "${wanted[@]}")
    [ "${#absent[@]}" -eq 0 ] || fail "apt-get was content, and yet this is still missing: ${absent[*]}"
fi

[ "$purpose" = fuzz ] || npm_packages web-demo
[ "$purpose" != test ] || npm_packages tests/browser
