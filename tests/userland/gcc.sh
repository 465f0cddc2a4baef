# Compiles a program at several levels and runs it; all levels must print the same.

files=$1
for level in -O0 -O2; do
    gcc $level -fwrapv -ffp-contract=off -Wall -o program "$files/program.c" -lm || echo "gcc failed"
    ./program > "printed$level" || echo "the program failed with $?"
done
cat printed-O2
cmp printed-O0 printed-O2
# What the compiler itself computed, and what it wrote.
gcc -O2 -fwrapv -ffp-contract=off -S -o - "$files/program.c" | grep -v '\.file\|\.ident' | sha256sum
gcc -O2 -m32 -S -ffreestanding -mfpmath=387 -o - "$files/division.c" | grep -c 'f\|div'
objdump -d --no-show-raw-insn program | wc -l
