#!/usr/bin/env bash
# `make run [HOST=ADDRESS]`: everything from a fresh clone to a demo that answers calls. Ctrl-C ends all of it.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

"$root/scripts/install.sh" --for run
"$root/scripts/build-web.sh"
say "Building Causeway (three to five minutes the first time, a moment afterwards) …"
cargo build --manifest-path "$root/Cargo.toml" --release --package causeway
# exec: Ctrl-C and the exit status are then the demo's own; it ends RTPEngine and whatever else it started.
exec "$root/target/release/causeway" demo ${HOST:+--host "$HOST"}
