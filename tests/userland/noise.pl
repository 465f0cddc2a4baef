# So many bytes that do not compress, from a linear congruential generator.
use integer;
my ($left, $x, $out) = ($ARGV[0], 1, '');
while ($left-- > 0) {
    $x = $x * 6364136223846793005 + 1442695040888963407;
    $out .= chr($x >> 56 & 255);
}
binmode STDOUT;
print $out;
