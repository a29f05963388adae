#!/usr/bin/env bash
# `make run [HOST=ADDRESS]`: everything from a fresh clone to a demo that answers calls. Ctrl-C ends all of it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

cd "$root"

scripts/install.sh --for run
scripts/build-web.sh
meanwhile build-release "Building Causeway (three to ten minutes the first time, a moment afterwards)" -- \
    cargo build --release --package causeway
# exec: Ctrl-C and the exit status are then the demo's own; it ends RTPEngine and whatever else it started.
exec "$built"/release/causeway demo ${HOST:+--host "$HOST"}
