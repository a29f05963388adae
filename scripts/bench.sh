#!/usr/bin/env bash
# `make bench [BENCH="ARGUMENTS"]`: what a message costs and what a connection or a registered device holds, ours beside Kamailio's and a bare reflector's.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
cd "$root"
export PATH=$PATH:/usr/sbin:/sbin

scripts/install.sh --for test
scripts/build-web.sh
meanwhile build-release "Building in release mode" -- \
    cargo build --release --package causeway --package causeway-tests --package causeway-tests-pure --bins
# shellcheck disable=SC2086 # BENCH holds several arguments
"$built"/release/bench ${BENCH-}
# Of the pure path alone, by callgrind: what `make test` holds to its baseline.
exec "$built"/release/instructions check
