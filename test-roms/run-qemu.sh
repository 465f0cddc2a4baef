#!/bin/sh
# Runs the test ROMs under QEMU (TCG) and compares their exit status with roms.txt.
#
#     run-qemu.sh            all that roms.txt says QEMU agrees with, on the least CPU and on "max"
#     run-qemu.sh NAME...    these, also the deviating ones, with their output
#
# Says loudly that it skips everything, and exits with 77, where QEMU is not installed.
set -u
cd "$(dirname "$0")"

qemu=qemu-system-x86_64
command -v $qemu >/dev/null || {
    echo "SKIPPED: all test ROMs under QEMU: $qemu is not installed" >&2
    exit 77
}
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# Our names of CPU models to QEMU's.
model() {
    case $1 in
    x86-64-v1) echo qemu64 ;;
    x86-64-v2) echo qemu64,+cx16,+lahf-lm,+popcnt,+ssse3,+sse4.1,+sse4.2 ;;
    *) echo "$1" ;;
    esac
}

# With -icount the machine's time is that of its instructions, so that a busy host changes nothing.
# Only "debug" runs without, and it waits for no chip: with -icount, QEMU 7.2 counts one iteration too
# many when it single-steps REP.
run() { # NAME CPU MEMORY
    case $1 in
    debug) clock= ;;
    *) clock='-icount shift=2,sleep=off' ;;
    esac
    timeout 120 $qemu -accel tcg,thread=single -M pc -cpu "$(model "$2")" -m "$3" \
        -bios "bin/$1.bin" -display none -monitor none -serial null -parallel none -net none \
        $clock -rtc clock=vm -no-reboot -debugcon "file:$output" \
        -device isa-debug-exit,iobase=0xf4,iosize=4
}

passed=0 failed=0 deviating=0
while IFS='|' read -r name cpu memory status agreement shows; do
    case $name in '#'* | '') continue ;; esac
    name=$(echo $name) cpu=$(echo $cpu) memory=$(echo $memory) status=$(echo $status)
    if [ $# -gt 0 ]; then
        case " $* " in *" $name "*) ;; *) continue ;; esac
    else
        case $agreement in *deviates*) deviating=$((deviating + 1)); continue ;; esac
    fi
    for model in $cpu max; do
        run "$name" "$model" "$memory" </dev/null
        got=$?
        if [ $# -gt 0 ]; then cat "$output"; fi
        if [ $got -eq "$status" ]; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "$name on $model: exit status $got, not $status" >&2
            [ $# -gt 0 ] || cat "$output" >&2
        fi
    done
done <roms.txt
echo "test ROMs under QEMU: $passed runs passed, $failed failed; $deviating ROMs not run (QEMU deviates)"
[ $failed -eq 0 ]
