#!/usr/bin/env bash
# `make matrix`: every kind of party calls every other and walks through all steps; prints the table. ONLY=core takes the pairs
# whose name holds that word. `make test` runs one call of every pair.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"
# Debian keeps RTPEngine in sbin, which a user's PATH leaves out.
export PATH=$PATH:/usr/sbin:/sbin

heading "What the matrix needs"
scripts/install.sh --for test
scripts/build-web.sh

heading "Building Causeway and the matrix"
meanwhile build-causeway "Building Causeway" -- cargo build --package causeway
meanwhile build-matrix "Building the matrix" -- cargo test --no-run --package causeway-tests --test matrix

heading "The matrix"
CAUSEWAY_MATRIX=whole cargo test --quiet --package causeway-tests --test matrix -- ${ONLY:+"$ONLY"}
part_done
