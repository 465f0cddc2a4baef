#!/bin/sh
# Assembles the test ROMs that roms.txt lists into bin/, and writes SHA256SUMS. Needs nasm only.
#
#     build.sh            build all
#     build.sh NAME...    build these
#     build.sh --check    build into a temporary folder; fail unless it equals bin/ byte for byte
set -eu
cd "$(dirname "$0")"

command -v nasm >/dev/null || { echo "build.sh: nasm is not installed" >&2; exit 2; }

names() { sed -n 's/^\([a-z0-9][a-z0-9-]*\) | .*/\1/p' roms.txt; }

assemble() { # NAME FOLDER
    nasm -f bin -w+error -I include/ -o "$2/$1.bin" "$1.asm"
    size=$(wc -c <"$2/$1.bin")
    [ "$size" -eq 65536 ] || { echo "build.sh: $1.bin has $size bytes, not 65536" >&2; exit 1; }
}

if [ "${1-}" = --check ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    status=0
    for name in $(names); do
        assemble "$name" "$folder"
        cmp "$folder/$name.bin" "bin/$name.bin" || status=1
    done
    for image in bin/*.bin; do
        name=$(basename "$image" .bin)
        [ -f "$folder/$name.bin" ] || { echo "$image is not in roms.txt" >&2; status=1; }
    done
    sha256sum --quiet -c SHA256SUMS || status=1
    [ $status -eq 0 ] && echo "test ROMs: all images are what their sources give"
    exit $status
fi

mkdir -p bin
for name in ${*:-$(names)}; do
    assemble "$name" bin
done
for name in $(names); do
    [ -f "bin/$name.bin" ] && sha256sum "bin/$name.bin"
done >SHA256SUMS
