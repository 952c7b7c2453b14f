/* Fuzz target: any bytes as Markdown, appended in pieces that the first bytes choose, at two widths; the lines must fit and be those of the whole. */
#include "fuzz.h"
#include "ui/markdown.h"

static void compare(struct markdown *a, struct markdown *b, int columns)
{
    size_t na, nb;
    const struct md_line *x = markdown_lines(a, columns, &na), *y = markdown_lines(b, columns, &nb);
    check(na == nb);
    for (size_t i = 0; i < na; i++) {
        check(x[i].n == y[i].n && memcmp(x[i].text, y[i].text, x[i].n) == 0 && x[i].n_segments == y[i].n_segments &&
              x[i].from == y[i].from);
        check(x[i].columns <= (columns < 2 ? 2 : columns) && x[i].from <= x[i].to);
        check(i == 0 || x[i - 1].from <= x[i].from);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct markdown *whole, *grown;
    struct err e;
    if (size < 3) return 0;
    size_t step = 1u + data[0], n;
    int columns = 1 + data[1] % 100;
    const char *text = (const char *)data + 2;
    size -= 2;
    check(markdown_new(&whole, &e) == ERR_OK && markdown_new(&grown, &e) == ERR_OK);
    check(markdown_set(whole, text, size));
    for (size_t at = 0; at < size; at += step) {
        check(markdown_append(grown, text + at, size - at < step ? size - at : step));
        markdown_lines(grown, columns, &n);
    }
    compare(whole, grown, columns);
    for (size_t i = 0; i < markdown_code_count(whole); i++) check(markdown_code(whole, i, &n) != NULL);
    compare(whole, grown, 1 + columns / 3);
    markdown_free(whole);
    markdown_free(grown);
    return 0;
}
