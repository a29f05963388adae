# shellcheck shell=bash
# What the scripts share: where the tree is, how they speak, how they run something long without silence.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs=$root/target/logs
stamps=$root/target/stamps
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
# seconds that it is still at it and the last line written; when it fails, shows the end of the log.
meanwhile() {
    local log=$logs/$1.log words='' began=$SECONDS pid state=0 told=0
    shift
    while [ "$1" != -- ]; do words+="${words:+ }$1"; shift; done
    shift
    say "$words …"
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - began)) -ge $((told + 10)) ]; then
            told=$((SECONDS - began))
            printf '%s   %s s: %s%s\n' "$dim" "$told" "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)" "$plain"
        fi
    done
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
