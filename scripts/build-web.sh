#!/usr/bin/env bash
# Builds the demo page into web-demo/dist, from where the binary embeds it; only when something in it changed.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

cd "$root/web-demo"
state=$(find . \( -name node_modules -o -name dist \) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
if [ -e "$stamps/web-$state" ] && [ -e dist/index.html ]; then exit 0; fi
meanwhile web-build "Building the demo page" -- npm run build
rm -f "$stamps/web-"*
touch "$stamps/web-$state"
