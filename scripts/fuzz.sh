#!/usr/bin/env bash
# `make fuzz [SECONDS_EACH=60]`: every fuzz target for a minute, on stable Rust (no sanitizer, so no nightly compiler).
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"

command -v cargo-fuzz >/dev/null || meanwhile cargo-fuzz "Installing cargo-fuzz" -- cargo install cargo-fuzz --locked
mapfile -t targets < <(cargo fuzz list --fuzz-dir tests/fuzz)
[ "${#targets[@]}" -gt 0 ] || fail "tests/fuzz lists no target."
for target in "${targets[@]}"; do
    heading "fuzz: $target"
    seeds=tests/fuzz/seeds/$target
    mkdir -p "tests/fuzz/corpus/$target"
    if [ -d "$seeds" ]; then cp -n "$seeds"/* "tests/fuzz/corpus/$target/"; fi
    cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none "$target" -- \
        -max_total_time="${SECONDS_EACH:-60}" -timeout=5 -rss_limit_mb=2048 -print_final_stats=1
done
part_done
