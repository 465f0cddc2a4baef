#!/bin/sh
# Writes the table of docs/virtualization.md, which `cutaway vm table` prints.
#
#     docs/virtualization.sh [--check]     --check compares instead
set -eu
cd "$(dirname "$0")/.."
page=docs/virtualization.md
table=$(mktemp)
new=$(mktemp)
trap 'rm -f "$table" "$new"' EXIT
cargo run --release --quiet -- vm table >"$table"
awk -v table="$table" '
    /<!-- table -->/ { print; while ((getline line < table) > 0) print line; skip = 1; next }
    /<!-- end of table -->/ { skip = 0 }
    !skip { print }' "$page" >"$new"
if [ "${1-}" = --check ]; then
    diff "$page" "$new" || { echo "$page: run docs/virtualization.sh and commit" >&2; exit 1; }
    echo "$page: the table is what cutaway vm table prints"
else
    cp "$new" "$page"
fi
