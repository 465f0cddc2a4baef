#!/bin/sh
# Builds workloads.elf, the guest workloads as one static program for any
# x86-64 CPU (SSE2 and nothing later, in our code and in the C library's).
#
#   benches/workloads/build.sh           builds it anew, prints its checksum
#   benches/workloads/build.sh --check   builds it elsewhere and compares
#
# Needs musl-gcc (Debian: musl-tools). The committed file was built with
# Debian 12's gcc 12.2.0 and musl 1.2.3; these give the same bytes again.
set -eu
cd "$(dirname "$0")"

output=workloads.elf
if [ "${1:-}" = --check ]; then
    output=$(mktemp)
    trap 'rm -f "$output"' EXIT
fi

# No vectorizing: the scalar workloads are to stay scalar. No builtins and no
# patterns: calls of string functions are to be calls, and loops to be loops.
musl-gcc -std=gnu11 -O2 -march=x86-64 -mtune=generic -static -no-pie -s \
    -fno-tree-vectorize -fno-tree-loop-distribute-patterns -fno-builtin \
    -ffp-contract=off -fno-ident -Wall -Wextra -Werror -Wl,--build-id=none \
    -o "$output" main.c integer.c float.c memory.c kernel.c

if [ "$output" = workloads.elf ]; then
    sha256sum workloads.elf | tee workloads.elf.sha256
else
    cmp "$output" workloads.elf && echo "workloads.elf is what the sources give"
fi
