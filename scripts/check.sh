#!/usr/bin/env bash
# `make check`: formats, lints as errors and documentation, of the Rust and of the page; no test is run.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"

heading "Formats"
cargo fmt --all --check

heading "The demo page: lint and types"
scripts/install.sh --for run
npm run --prefix web-demo lint
npm run --prefix web-demo typecheck
# The binary embeds the page: without it the lints below would look at another program.
scripts/build-web.sh

heading "Lints"
cargo clippy --workspace --all-targets -- -D warnings

heading "Documentation"
RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps

if command -v shellcheck >/dev/null; then
    heading "Shell scripts"
    shellcheck --external-sources scripts/*.sh .ci/run
fi
part_done
