#!/usr/bin/env bash
# `make soak [SECONDS=600] [SEED=5]`: calls of every kind at a steady rate, ng packets lost, an RTPEngine started anew; afterwards
# nothing may be left. What is drawn comes from the seed.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"
export PATH=$PATH:/usr/sbin:/sbin

scripts/install.sh --for test
scripts/build-web.sh
meanwhile build-tests "Building" -- cargo build --workspace --bins --tests
export CAUSEWAY_SOAK_SECONDS=$SECONDS_LONG CAUSEWAY_SOAK_SEED=$SEED
exec cargo test --package causeway-tests --test failure soak -- --nocapture
