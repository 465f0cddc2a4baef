#!/bin/sh
# Builds the teaching kernel, the BIOS with the kernel in its ROM, and the ROM that tests the BIOS's
# services. Needs nasm (2.15 or newer). The same sources give the same bytes: no dates, no paths.
#
#   firmware/build.sh           writes the images and their checksums
#   firmware/build.sh --check   builds elsewhere and compares with the images in the repository
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

usage() {
    echo "usage: firmware/build.sh [--check]" >&2
    exit 2
}

case $# in
0) out=$root ;;
1)
    [ "$1" = --check ] || usage
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
    ;;
*) usage ;;
esac

command -v nasm >/dev/null || {
    echo "build.sh: nasm is missing; install it (apt install nasm, brew install nasm)" >&2
    exit 2
}
mkdir -p "$out/firmware/tests" "$out/test-roms/kernel"

# assemble SOURCE OUTPUT [OPTION]…: includes are found beside the source and in the shared folders.
assemble() {
    source=$1 output=$2
    shift 2
    nasm -Wall -Werror -f bin -I "$(dirname "$root/$source")/" -I "$here/include/" \
        -I "$root/test-roms/include/" "$@" -o "$output" "$root/$source"
}

# byte_sum FILE [SKIP]: the sum of its bytes, from SKIP on.
byte_sum() {
    od -An -v -t u1 -j "${2:-0}" "$1" |
        awk '{ for (i = 1; i <= NF; i++) sum += $i } END { printf "%.0f\n", sum }'
}

# rom OUTPUT [IMAGE]: the BIOS with an image. The second pass knows which byte makes the BIOS's sum
# zero; it is the only difference.
BIOS_BYTES=65536
rom() {
    if [ $# -eq 2 ]; then
        image_bytes=$(wc -c <"$2")
        # with the descriptor's 32 bytes, rounded up to 64 KiB
        area=$(((image_bytes + 32 + 65535) / 65536 * 65536))
        set -- "$1" -D "IMAGE=\"$2\"" -D "IMAGE_SUM=$(byte_sum "$2")" -D "IMAGE_AREA=$area"
    else
        set -- "$1" -D IMAGE_AREA=65536
        area=65536
    fi
    output=$1
    shift
    assemble firmware/bios/rom.asm "$output" "$@" -D BIOS_FIX=0
    fix=$(((256 - $(byte_sum "$output" "$area") % 256) % 256))
    assemble firmware/bios/rom.asm "$output" "$@" -D "BIOS_FIX=$fix"
}

# symbols MAP: the labels of a map of NASM's by address, as `nm` lists them. Labels inside a routine
# and names that macros made are left out, and so are constants; what bss.inc reserves is a constant
# to NASM and known by where it lies.
symbols() {
    awk 'NF == 3 && $1 ~ /^[0-9A-F]+$/ && $3 !~ /[.]/ {
        printf "%s t %s\n", tolower(substr("00000000" $2, length($2) + 1)), $3
    }
    NF == 2 && $1 >= "00110000" && $1 < "00122000" && $2 !~ /[.]/ {
        printf "%s b %s\n", tolower($1), $2
    }' "$1" | LC_ALL=C sort
}

# checksums LIST FILE…: in the format of sha256sum, with file names relative to the list.
checksums() {
    list=$1
    shift
    (
        cd "$(dirname "$list")"
        if command -v sha256sum >/dev/null; then
            sha256sum "$@"
        else
            shasum -a 256 "$@"
        fi
    ) >"$list"
}

# named IMAGE OPTION…: the kernel with these options, and its labels beside it.
named() {
    image=$1
    shift
    assemble test-roms/kernel/kernel.asm "$image" --before "[map symbols $image.map]" "$@"
    symbols "$image.map" >"${image%.bin}.sym"
    rm "$image.map"
}

kernel=$out/test-roms/kernel.bin
services=$out/firmware/tests/services
named "$kernel"
named "$out/test-roms/kernel-virtualizable.bin" -d VIRTUALIZABLE
named "$out/test-roms/kernel-paravirtual.bin" -d PARAVIRTUAL
named "$out/test-roms/kernel-host.bin" -d HOST
named "$out/test-roms/kernel-balloon.bin" -d BALLOON
assemble test-roms/kernel/guest.asm "$out/test-roms/guest.bin" -d ALONE
rom "$out/firmware/bios.bin" "$kernel"
assemble firmware/tests/services.asm "$services.image" -I "$here/bios/"
rom "$services.bin" "$services.image"
rm "$services.image"
checksums "$out/firmware/SHA256SUMS" bios.bin tests/services.bin
checksums "$out/test-roms/kernel/SHA256SUMS" ../kernel.bin ../kernel.sym \
    ../kernel-virtualizable.bin ../kernel-virtualizable.sym \
    ../kernel-paravirtual.bin ../kernel-paravirtual.sym ../kernel-host.bin ../kernel-host.sym \
    ../kernel-balloon.bin ../kernel-balloon.sym ../guest.bin

[ "$out" = "$root" ] && exit 0
status=0
for file in firmware/bios.bin firmware/SHA256SUMS firmware/tests/services.bin \
    test-roms/kernel.bin test-roms/kernel.sym test-roms/kernel-virtualizable.bin \
    test-roms/kernel-virtualizable.sym test-roms/kernel-paravirtual.bin \
    test-roms/kernel-paravirtual.sym test-roms/kernel-host.bin test-roms/kernel-host.sym \
    test-roms/kernel-balloon.bin test-roms/kernel-balloon.sym test-roms/guest.bin \
    test-roms/kernel/SHA256SUMS; do
    if cmp "$out/$file" "$root/$file"; then
        echo "$file: as built from its source"
    else
        echo "$file: differs from what its source gives; run firmware/build.sh and commit" >&2
        status=1
    fi
done
exit $status
