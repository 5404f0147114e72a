/* test_tool_lines.c - bytes are split into lines, in whatever pieces they come. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/tool/lines.h"

struct seen {
    char text[128];
    size_t count, largest, total;
    size_t stop_after;
};

static bool on_line(void *ctx, const char *line, size_t size)
{
    struct seen *seen = ctx;

    if (size < 32)
        snprintf(seen->text + strlen(seen->text), sizeof(seen->text) - strlen(seen->text), "[%.*s]",
                 (int)size, line ? line : "");
    seen->largest = size > seen->largest ? size : seen->largest;
    seen->total += size;
    return ++seen->count != seen->stop_after;
}

Test(tool_lines, are_the_same_in_whatever_pieces_the_bytes_come)
{
    static const char text[] = "one\n\ntwo and\tmore\nthree\r\nlast";

    for (size_t step = 1; step <= sizeof(text) - 1; step++) {
        struct seen seen = {.count = 0};
        struct lines lines = {.line = on_line, .ctx = &seen};

        for (size_t offset = 0; offset < sizeof(text) - 1; offset += step)
            cr_assert(lines_add(&lines, text + offset,
                                offset + step < sizeof(text) - 1 ? step : sizeof(text) - 1 - offset));
        cr_assert_eq(seen.count, 4);
        cr_assert(lines_end(&lines));
        cr_assert_str_eq(seen.text, "[one][][two and\tmore][three\r][last]");
        cr_assert(lines_end(&lines), "nothing is left");
        cr_assert_eq(seen.count, 5);
        lines_fini(&lines);
    }
}

Test(tool_lines, a_line_over_the_bound_comes_in_pieces)
{
    struct seen seen = {.count = 0};
    struct lines lines = {.line = on_line, .ctx = &seen};
    const size_t size = MAX_LINE_BYTES;
    char *text = malloc(size + 1);

    memset(text, 'x', size);
    text[size] = '\n';
    cr_assert(lines_add(&lines, text, size + 1));
    cr_assert_eq(seen.count, 1, "exactly the bound is one line");
    for (int i = 0; i < 3; i++)
        cr_assert(lines_add(&lines, text, size));
    cr_assert(lines_add(&lines, "\n", 1));
    cr_assert_leq(seen.largest, MAX_LINE_BYTES);
    cr_assert_eq(seen.total, 4 * size, "nothing is lost");
    lines_fini(&lines);
    free(text);
}

Test(tool_lines, a_receiver_that_wants_no_more_is_not_called_again)
{
    struct seen seen = {.stop_after = 2};
    struct lines lines = {.line = on_line, .ctx = &seen};

    cr_assert_not(lines_add(&lines, "a\nb\nc\n", 6));
    cr_assert_eq(seen.count, 2);
    lines_fini(&lines);
}
