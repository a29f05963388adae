# shellcheck shell=bash
# What the scripts share: where the tree is, how they speak, how they run something long without silence.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs=$root/target/logs
stamps=$root/target/stamps
# Where cargo builds.
# shellcheck disable=SC2034 # for those who source this
built=${CARGO_TARGET_DIR:-$root/target}
mkdir -p "$logs" "$stamps"

if [ -t 1 ]; then bold=$'\e[1m'; dim=$'\e[2m'; plain=$'\e[0m'; else bold=''; dim=''; plain=''; fi

say() { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

# heading WORDS…: starts a part of a longer run, and says how long the one before took.
part=''
heading() {
    part_done
    part=$*
    part_began=$SECONDS
    printf '\n%s== %s%s\n' "$bold" "$part" "$plain"
}
part_done() {
    [ -z "$part" ] || printf '%s   %s: %s s%s\n' "$dim" "$part" "$((SECONDS - part_began))" "$plain"
    part=''
}

# meanwhile LOG WORDS… -- COMMAND…: runs COMMAND with its output in target/logs/LOG.log. Says WORDS, then every ten
# seconds that it is still at it and the last line written; when it fails, shows the end of the log. Ctrl-C ends it.
meanwhile() {
    local log=$logs/$1.log words='' began=$SECONDS pid state=0 told=0 stopped=''
    shift
    while [ "$1" != -- ]; do words+="${words:+ }$1"; shift; done
    shift
    say "$words …"
    trap stopped=yes INT TERM
    # A process group of its own: what a shell starts in the background without one is deaf to Ctrl-C, with all its children.
    set -m
    "$@" >"$log" 2>&1 </dev/null &
    set +m
    pid=$!
    while kill -0 "$pid" 2>/dev/null && [ -z "$stopped" ]; do
        sleep 0.2 || true
        if [ $((SECONDS - began)) -ge $((told + 10)) ]; then
            told=$((SECONDS - began))
            printf '%s   %s s: %s%s\n' "$dim" "$told" "$(tail -n 20 "$log" | tr -d '\r' | sed 's/^ *//; /^$/d' | tail -n 1 | cut -c1-100)" "$plain"
        fi
    done
    trap - INT TERM
    if [ -n "$stopped" ]; then
        # What runs as root cannot be ended by us, nor should it: half an installation is worse than none.
        kill -TERM -- "-$pid" 2>/dev/null || say "Waiting for what is being installed …"
        wait "$pid" 2>/dev/null || true
        exit 130
    fi
    wait "$pid" || state=$?
    if [ "$state" -ne 0 ]; then
        tail -n 30 "$log" >&2
        fail "That failed (status $state). All of its output is in ${log#"$root"/}."
    fi
}

# need TOOL WORDS: stops with WORDS when TOOL, which only the reader can choose how to install, is missing.
need() {
    command -v "$1" >/dev/null || fail "$1 is missing. $2"
}
