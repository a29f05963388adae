#!/usr/bin/env bash
# `make cluster`: two edges, two registrars, RTPEngine and a core that answers, from a fresh clone. Ctrl-C ends all of it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

cd "$root"

scripts/install.sh --for cluster
scripts/build-web.sh
meanwhile build-release "Building Causeway (three to ten minutes the first time, a moment afterwards)" -- \
    cargo build --release --package causeway
# exec: Ctrl-C, Enter and the exit status are then the demo's own; it ends whatever it started.
exec "$built"/release/causeway demo --cluster
