#!/bin/bash
# Makes the pictures of the stepping screen, from the screen's own export:
#   docs/images/make.sh            writes them
#   docs/images/make.sh --check    says which of them are not what the program draws
# CUTAWAY names the program if it is not to be built.
set -euo pipefail
cd "$(dirname "$0")"

if [ -z "${CUTAWAY:-}" ]; then
    cargo build --release --quiet
    target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    CUTAWAY=$target/release/cutaway
fi
made=$(mktemp -d)
trap 'rm -r "$made"' EXIT

# picture NAME SIZE LAYOUT COMMAND...: the screen of a layout after some commands.
picture() {
    local name=$1 size=$2 layout=$3 commands=()
    shift 3
    for command in "$@"; do
        commands+=(-e "$command")
    done
    "$CUTAWAY" step --export "$made/$name.svg" --size "$size" --layout "$layout" "${commands[@]}"
}

# A task of the teaching kernel is about to be switched.
picture step 120x48 cpu 'break schedule' continue delete 'to interrupt'
picture paging 120x40 paging 'break schedule' continue
picture interrupts 120x40 interrupts 'break schedule' continue delete 'to interrupt'
picture devices 120x40 devices 'break schedule' continue

# Two guests spin and a third sleeps.
"$CUTAWAY" vm host --guest name=web,shares=2 --guest name=db,model=hardware --guest name=batch,cap=20 \
    -e 'host goto 40000000' -e 'type spawn spin\r' -e 'host look db' -e 'type spawn spin\r' \
    -e 'host goto 100000000' --export "$made/host.svg" --size 120x40

if [ "${1:-}" = --check ]; then
    for picture in "$made"/*.svg; do
        cmp "$picture" "$(basename "$picture")" || exit 1
    done
else
    cp "$made"/*.svg .
fi
