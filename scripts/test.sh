#!/usr/bin/env bash
# `make test`: installs what is missing, then every test of the project, in the order in which a mistake shows soonest.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"
# Debian keeps the daemons that the tests start in sbin, which a user's PATH leaves out.
export PATH=$PATH:/usr/sbin:/sbin

heading "What the tests need"
scripts/install.sh --for test

heading "The demo page: lint, types, unit tests, build"
npm run --prefix web-demo lint
npm run --prefix web-demo typecheck
npm run --prefix web-demo test
scripts/build-web.sh

heading "The driver of the browser tests"
npm test --prefix tests/browser

# Built with all targets, so that the binary which the end-to-end tests start shares its dependencies with the tests.
heading "Building Causeway and its tests"
meanwhile build-tests "Building (five to fifteen minutes the first time)" -- cargo build --workspace --all-targets

heading "Unit, property, torture, mutation and end-to-end tests"
cargo test --workspace

# As it is shipped: counts of an unoptimised build would say nothing.
heading "Instructions a message, by callgrind"
meanwhile build-instructions "Building in release mode" -- cargo build --release --package causeway-tests-pure --bin instructions
"$built"/release/instructions check

part_done
say "" "All tests passed in $((SECONDS / 60)) min $((SECONDS % 60)) s."
