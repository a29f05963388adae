#!/usr/bin/env bash
# `make saved [CALLS=24]`: one of two RTPEngines is killed with calls up, half of them of browsers; prints for how long they had no
# audio. A browser in a call takes a tenth of a core, so 50 calls want four of them. `make test` does the same with six.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"
export PATH=$PATH:/usr/sbin:/sbin

scripts/install.sh --for test
scripts/build-web.sh
meanwhile build-tests "Building" -- cargo build --workspace --bins --tests
export CAUSEWAY_CALLS=$CALLS
# One process for all pages costs less than one for each.
export CHROMIUM_ARGS='--renderer-process-limit=1 --process-per-site'
exec cargo test --package causeway-tests --test failure calls_of_a_killed -- --nocapture
