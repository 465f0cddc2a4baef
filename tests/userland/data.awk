# Lines of a number, another, a fraction and words, from a generator of its own.
BEGIN {
    split("alpha beagle cacao dine eerie fiasco gaiety hello idea jigsaw keen llama moon", word, " ")
    if (!rows) rows = 4000
    x = 12345
    for (row = 0; row < rows; row++) {
        x = (x * 16807) % 2147483647
        line = x % 100000 " " row % 1013 " " x / 65536
        for (n = 0; n < 1 + x % 7; n++) line = line " " word[1 + (x + n * row) % 13]
        print line
    }
}
