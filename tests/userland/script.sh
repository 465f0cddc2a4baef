# What Debian's userland prints, the same on every CPU: run in the guest and on the host, in an
# empty folder, by `sh script.sh FILES`, where FILES is the folder of this file. No time, no
# address, no name of the machine may reach the output.

files=$1
export PATH=/usr/bin:/bin LC_ALL=C TZ=UTC HOME=/ TMPDIR=.
umask 022
exec 2>&1

section() {
    echo "== $*"
}

# A failing command shows as a line that the host does not have.
attempt() {
    "$@" || echo "failed with $?: $*"
}

section data
attempt mawk -f "$files/data.awk" > text
attempt mawk -v rows=800 -f "$files/data.awk" > small
wc -lc text small
attempt perl "$files/noise.pl" 120000 > noise
wc -c noise

section coreutils
attempt sha256sum text noise
attempt sha512sum text noise
attempt sha1sum noise
attempt md5sum noise
attempt b2sum noise
attempt cksum noise
sort text | sha256sum
sort -k2,2n -k1,1r text | sha256sum
sort -g -k3,3 small | md5sum
cut -d' ' -f2 text | sort -n | uniq -c | sort -rn | head -3
od -A d -t x1z -t f8 noise | sha256sum
base64 noise | tr 'A-Za-z' 'N-ZA-Mn-za-m' | fold -w 61 | md5sum
factor 18446744073709551557 1000000016000000063 6700417000001
seq -f %.17g 0 0.1 2 | md5sum
printf '%.17g %a\n' 0.1 0.1 3.14159265358979 3.14159265358979
grep -c 'a.*e.*i' text
sed -E 's/([a-z])\1+/<\1>/g; s/^([^ ]+) ([^ ]+)/\2 \1/' text | md5sum

section awk
mawk '{ n[$1 % 97] += $3; s += sin($2) * cos($3) }
    END { for (i = 0; i < 97; i += 12) printf "%d %.10f\n", i, n[i]; printf "%.9f\n", s }' text

section perl
attempt perl "$files/words.pl" text

section compression
cat text noise > both
cat both text small noise both small text both noise text both > large
wc -c large
attempt xz -9 -k large
attempt xz -t large.xz
wc -c large.xz
attempt sha256sum large.xz
xz -dc large.xz | cmp - large && echo 'xz gives back what it got'
gzip -9 -c -n both | sha256sum
gzip -9 -c -n both | gzip -dc | cmp - both && echo 'gzip gives back what it got'

section openssl
sh "$files/openssl.sh"

section python
attempt python3 -I -S -B "$files/numbers.py"

section gcc
sh "$files/gcc.sh" "$files"

section end
