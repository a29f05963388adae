#!/usr/bin/env bash
# `make fuzz [SECONDS_EACH=60]`: every fuzz target for a minute, on stable Rust (no sanitizer, so no nightly compiler).
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"
seconds=${SECONDS_EACH:-60}

scripts/install.sh --for fuzz
command -v cargo-fuzz >/dev/null || meanwhile cargo-fuzz "Installing cargo-fuzz" -- cargo install cargo-fuzz --locked
# Real messages, and what once broke something. They are copied anew each time; what libFuzzer found before stays beside them.
meanwhile fuzz-seeds "Copying the seeds of tests/data" -- \
    cargo run --package causeway-tests-pure --bin seeds -- tests/fuzz/corpus
meanwhile fuzz-build "Building the fuzz targets" -- cargo fuzz build --fuzz-dir tests/fuzz --sanitizer none
mapfile -t targets < <(cargo fuzz list --fuzz-dir tests/fuzz)
[ "${#targets[@]}" -gt 0 ] || fail "tests/fuzz lists no target."
# What was built is run as it is: `cargo fuzz run` would look at the sources again before each.
programs=${CARGO_TARGET_DIR:-tests/fuzz/target}/$(rustc -vV | sed -n 's/^host: //p')/release
for target in "${targets[@]}"; do
    artifacts=tests/fuzz/artifacts/$target
    mkdir -p "tests/fuzz/corpus/$target" "$artifacts"
    (meanwhile "fuzz-$target" "Fuzzing $target for $seconds s" -- \
        "$programs/$target" -artifact_prefix="$artifacts/" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 \
        "tests/fuzz/corpus/$target") ||
        fail "$target broke a promise. Its bytes are in $artifacts: put them into
tests/data/crashes/$target/NAME.bin, and \`cargo test -p causeway-tests-pure\` fails until it is mended."
    # `#12345 DONE cov: 1234 ft: 5678 corp: 99/99Kb lim: 4096 exec/s: 99 rss: 99Mb`
    sed -n "s/^#\([0-9]*\)[[:space:]]*DONE *cov: \([0-9]*\) ft: \([0-9]*\) .*exec\/s: \([0-9]*\).*/   \1 inputs, \4 a second, \2 edges and \3 features covered/p" \
        "$logs/fuzz-$target.log"
done
