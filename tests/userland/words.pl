# Counts, patterns, and numbers in and out of text.
use strict;
my (%count, $sum, $pairs);
while (<>) {
    $count{$_}++ for split;
    $pairs++ while /(\w)\1/g;
    $sum += $1 if /(\d+\.\d+)/;
}
my @top = sort { $count{$b} <=> $count{$a} || $a cmp $b } grep { /[a-z]/ } keys %count;
printf "%s %d\n", $_, $count{$_} for @top[0 .. 4];
printf "%d pairs, %.6f, %d different\n", $pairs, $sum, scalar keys %count;
printf "%.17g %.17g %.17g\n", 1 / 3, 2 ** 0.5, 1e23;
print unpack('H*', pack('d>f<w', -2.5, 1.1, 300)), "\n";
