/* test_line_stream.c - the function gets whole lines, however they were written. */
#include "base/line_stream.h"

#include <criterion/criterion.h>

static char got[8 * MAX_RING_LINE];
static size_t size;
static unsigned calls;
static struct line_stream stream;

static void on_line(const char *line, size_t line_size)
{
    memcpy(got + size, line, line_size);
    size += line_size;
    got[size] = '\0';
    calls++;
}

static FILE *open_stream(void)
{
    FILE *file = line_stream_open(&stream, on_line);

    cr_assert_not_null(file);
    return file;
}

Test(line_stream, a_line_comes_when_it_ends)
{
    FILE *file = open_stream();

    fprintf(file, "%s: ", "a");
    fputs("b", file);
    cr_assert_eq(calls, 0u);
    fprintf(file, "%d\nc\nd", 7);
    cr_assert_eq(calls, 2u);
    cr_assert_str_eq(got, "a: b7\nc\n");
    fclose(file);
    cr_assert_eq(calls, 3u);
    cr_assert_str_eq(got, "a: b7\nc\nd");
}

Test(line_stream, a_line_that_is_too_long_comes_in_pieces)
{
    FILE *file = open_stream();

    for (unsigned i = 0; i < 2 * MAX_RING_LINE + 10; i++)
        fputc('x', file);
    fputs("\n", file);
    cr_assert_eq(calls, 3u);
    cr_assert_eq(size, 2 * MAX_RING_LINE + 11u);
    fclose(file);
    cr_assert_eq(calls, 3u);
}
