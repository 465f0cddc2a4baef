#!/bin/sh
# Boots the firmware and the teaching kernel under QEMU, types commands on the serial console and
# checks the answers. Takes about half a minute; each wait is bounded. Exit status 1: something differs.
set -u

here=$(cd "$(dirname "$0")" && pwd)
kernel=$here/../test-roms/kernel.bin
qemu=${QEMU:-qemu-system-i386}
seconds=30
failures=0

command -v "$qemu" >/dev/null || {
    echo "SKIPPED: firmware and teaching kernel under QEMU: $qemu is not installed" >&2
    exit 0
}

dir=$(mktemp -d)
machine=
cleanup() {
    [ -z "$machine" ] || kill "$machine" 2>/dev/null
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# start QEMU-OPTION…: runs a machine whose console is $dir/out and descriptor 3. Its time is counted
# in instructions, so that a busy host loses no timer tick.
start() {
    rm -f "$dir/in" "$dir/out"
    mkfifo "$dir/in"
    : >"$dir/out"
    "$qemu" -display none -serial stdio -no-reboot -icount shift=3 -rtc clock=vm "$@" <"$dir/in" >"$dir/out" 2>"$dir/err" &
    machine=$!
    exec 3>"$dir/in"
}

# Ends the machine that start began, if it still runs; its exit status becomes $status.
stop() {
    kill "$machine" 2>/dev/null
    finish
}
finish() {
    wait "$machine"
    status=$?
    machine=
    exec 3>&-
}

# expect TEXT: waits until the console shows it. expect_line TEXT: a whole line of it.
expect() {
    await "$1" -qF
}
expect_line() {
    await "$1" -qxF
}
await() {
    tries=$((seconds * 10))
    while ! shown "$@"; do
        tries=$((tries - 1))
        if [ $tries -eq 0 ] || ! kill -0 "$machine" 2>/dev/null; then
            shown "$@" && return
            echo "FAILED: $name: no \"$1\" on the console:" >&2
            tail -n 20 "$dir/out" >&2
            failures=$((failures + 1))
            return
        fi
        sleep 0.1
    done
}
shown() {
    tr -d '\r' <"$dir/out" | grep "$2" -- "$1"
}

# ends_with STATUS: the machine must end by itself, with this status.
ends_with() {
    tries=$((seconds * 10))
    while kill -0 "$machine" 2>/dev/null && [ $tries -gt 0 ]; do
        tries=$((tries - 1))
        sleep 0.1
    done
    [ $tries -gt 0 ] || kill "$machine"
    finish
    if [ "$status" -ne "$1" ]; then
        echo "FAILED: $name: exit status $status, not $1" >&2
        failures=$((failures + 1))
    fi
}

# type TEXT: printf's escapes work.
type_keys() {
    # shellcheck disable=SC2059 # the text is a format on purpose
    printf "$1" >&3
}

exit_port="-device isa-debug-exit,iobase=0xf4,iosize=4"

name="services of the BIOS"
for memory in 2 16 17 64 3072; do
    start -m $memory -bios "$here/tests/services.bin" $exit_port
    expect "PASS bios-services"
    ends_with 33
done
start -m 64 -cpu 486 -bios "$here/tests/services.bin" $exit_port
ends_with 33

name="a ROM without an image"
{
    head -c 65536 /dev/zero | tr '\0' '\377'
    tail -c 65536 "$here/bios.bin"
} >"$dir/rom"
start -bios "$dir/rom"
expect "Nothing to start: no image in the ROM, and no disk services. Stopped."
stop

name="a ROM whose image is damaged"
{
    printf 'X'
    tail -c +2 "$here/bios.bin"
} >"$dir/rom"
start -bios "$dir/rom"
expect "The image in ROM cannot be started: its checksum is wrong."
stop

name="a machine of 1 MiB"
start -m 1 -bios "$here/bios.bin"
expect "The image in ROM cannot be started: the machine has too little memory for it."
stop

# The commands of the teaching kernel, whichever way it was started.
check_kernel() {
    expect "Type help for the commands."
    expect "cutaway> "
    type_keys 'help\r'
    expect "walk       ADDR [PID]"
    type_keys 'tasks\r'
    expect "    4  primes      3  sleeping"
    type_keys 'mem\r'
    expect "page frames up to 00ffffff: 15 used"
    type_keys 'walk 0x40100000 2\r'
    expect "linear 40100000: directory entry 256, table entry 256, offset 0000"
    expect "writable, user, accessed, dirty"
    type_keys 'walk 0\r'
    expect "not mapped: an access would be a page fault"
    type_keys 'fault\r'
    expect "#PF page fault in task 5 (fault), error code 00000004"
    expect "linear address deadbeef: page not present, read, in user mode"
    expect "task 5 (fault) ended by #PF page fault"
    type_keys 'divide\r'
    expect "task 6 (divide) ended by #DE divide error"
    type_keys 'gp\r'
    expect "task 7 (gp) ended by #GP general protection"
    type_keys 'breakpoint\r'
    expect "behind the breakpoint"
    expect "task 8 (break) exited with code 0"
    type_keys 'syscall\r'
    expect "CPL of this program: 3"
    expect "sleep(10): it took 10 ticks"
    expect "write from the kernel's memory: -2"
    expect "call number 99: -1"
    expect "task 9 (syscalls) exited with code 7"
    type_keys 'run scribble\r'
    expect "linear address 40000000: page protection, write, in user mode"
    type_keys 'run overflow\r'
    expect "linear address 401feffc: page not present, write, in user mode"
    type_keys 'spawn spin\r'
    expect "task 12 (spin) started"
    type_keys 'spawn spin\r'
    expect "task 13 (spin) started"
    type_keys 'echo the shell still answers\r'
    expect_line "the shell still answers"
    type_keys 'kill 12\rkill 13\r'
    expect "task 12 (spin) was killed"
    expect "task 13 (spin) was killed"
    type_keys 'run spin\r'
    sleep 1
    type_keys '\003'
    expect "task 14 (spin) was killed"
    type_keys 'regs\r'
    expect "CR0 80010015 PE EM ET WP PG"
    type_keys 'regs 2\r'
    expect "task 2 (clock) entered the kernel by vector 80"
    type_keys 'peek 100000\r'
    expect "  00100000  02 b0 ad 1b 02 00 01 00"
    type_keys 'gdt\r'
    expect "TSS, busy (in TR) DPL 0"
    type_keys 'idt\r'
    expect "interrupt gate, DPL 3  system call"
    type_keys 'pic\r'
    expect "IRR 00  ISR 00  IMR ea"
    type_keys 'time\r'
    expect "$(date -u +%Y)-"
    type_keys 'ticks\ruptime\r'
    expect "timer interrupts since boot, 100 a second"
    expect "up "
    type_keys 'ecko\177\177ho edited\r'
    expect_line "edited"
    type_keys 'nonsense\025nothing\r'
    expect "nothing: no such command; help lists them all"
    type_keys 'mem\r'
    expect "page frames up to 00ffffff: 15 used"
}

name="teaching kernel, from reset by the BIOS"
start -bios "$here/bios.bin" $exit_port
expect "Cutaway BIOS"
expect "rom       ok"
expect "timer irq ok"
expect "started by Cutaway BIOS"
check_kernel
type_keys 'poweroff\r'
expect "switching off"
ends_with 33

name="teaching kernel, by multiboot"
start -kernel "$kernel" $exit_port
check_kernel
type_keys 'halt\r'
expect "halted"
stop

name="teaching kernel, switched off by ACPI"
start -bios "$here/bios.bin"
expect "cutaway> "
type_keys 'poweroff\r'
ends_with 0

name="teaching kernel, rebooting"
start -bios "$here/bios.bin"
expect "cutaway> "
type_keys 'reboot\r'
ends_with 0

[ $failures -eq 0 ] || exit 1
echo "firmware and teaching kernel under QEMU: all as expected"
