# A program that prints without end and repeats what is typed: text runs through rows 2 to 21, and the last key
# stands in row 1. Its argument is how many KiB it prints each second.
use strict;
use warnings;

my $rate = shift // 800;
system("stty", "-echo");
my ($keys, $line) = ("", 0);
syswrite STDOUT, "\e[2J";
while (1) {
    my $ready = "";
    vec($ready, 0, 1) = 1;
    if (select($ready, undef, undef, 0.01)) {
        sysread(STDIN, $keys, 256, length $keys) or exit;
        while ($keys =~ s/^([^\r\n]*)[\r\n]//) {
            syswrite STDOUT, "\e[1;1H\e[K$1";
        }
    }
    for (1 .. $rate / 100) {
        my $text = "";
        for (1 .. 10) {
            my $words = join "", map { chr(97 + int rand 26) } 1 .. 70;
            $text .= sprintf("\e[%d;1H\e[K%08d %s", 2 + $line % 20, $line, $words);
            $line++;
        }
        syswrite STDOUT, $text;
    }
}
