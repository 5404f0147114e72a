/* test_tool_lines.c - bytes are split into lines, in whatever pieces they come; and a long line
 * into parts, at characters (finding 41). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/tool/lines.h"
#include "event/text.h"

struct seen {
    char text[256]; /* "[line]", "[1:part]", "[2:last part]!" */
    size_t count, largest, total, torn, last;
    size_t stop_after;
    uint64_t input_bytes;
    bool check_text;
};

static bool on_line(void *ctx, const struct line *line)
{
    struct seen *seen = ctx;
    char number[24] = "";

    if (line->part > 0)
        snprintf(number, sizeof(number), "%d:", (int)line->part);
    if (line->size < 32)
        snprintf(seen->text + strlen(seen->text), sizeof(seen->text) - strlen(seen->text), "[%s%.*s]%s",
                 number, (int)line->size, line->text ? line->text : "",
                 line->part > 0 && line->is_last ? "!" : "");
    if (seen->check_text && !utf8_valid((struct bytes){(const uint8_t *)line->text, line->size}))
        seen->torn++;
    cr_assert_geq(line->input_bytes, seen->input_bytes);
    seen->input_bytes = line->input_bytes;
    seen->last += line->is_last;
    seen->largest = line->size > seen->largest ? line->size : seen->largest;
    seen->total += line->size;
    return ++seen->count != seen->stop_after;
}

/* Splits a text that comes in pieces of `step` bytes, with parts of at most `max`. */
static struct seen split(const char *text, size_t size, size_t step, size_t max)
{
    struct seen seen = {.count = 0};
    struct lines lines = {.line = on_line, .ctx = &seen, .max_bytes = max};

    for (size_t offset = 0; offset < size; offset += step)
        cr_assert(lines_add(&lines, text + offset, offset + step < size ? step : size - offset));
    cr_assert(lines_end(&lines));
    cr_assert_not(lines_in_line(&lines));
    cr_assert_eq(seen.input_bytes, size, "each byte is in one line");
    lines_fini(&lines);
    return seen;
}

Test(tool_lines, are_the_same_in_whatever_pieces_the_bytes_come)
{
    static const char text[] = "one\n\ntwo and\tmore\nthree\r\nlast";

    for (size_t step = 1; step <= sizeof(text) - 1; step++) {
        const struct seen seen = split(text, sizeof(text) - 1, step, 0);

        cr_assert_str_eq(seen.text, "[one][][two and\tmore][three\r][last]");
        cr_assert_eq(seen.count, 5);
        cr_assert_eq(seen.last, 5);
    }
}

Test(tool_lines, the_end_gives_a_line_once)
{
    struct seen seen = {.count = 0};
    struct lines lines = {.line = on_line, .ctx = &seen};

    cr_assert(lines_add(&lines, "a\nb", 3));
    cr_assert_eq(seen.count, 1);
    cr_assert(lines_in_line(&lines));
    cr_assert(lines_end(&lines));
    cr_assert_eq(seen.count, 2);
    cr_assert(lines_end(&lines), "nothing is left");
    cr_assert_eq(seen.count, 2);
    lines_fini(&lines);
}

Test(tool_lines, a_long_line_comes_in_numbered_parts_that_end_at_characters)
{
    static const struct {
        const char *text, *parts;
    } samples[] = {
        {"12345678\n9", "[12345678][9]"},
        {"123456789\n", "[1:12345678][2:9]!"},
        {"12345678abcdefgh\nx", "[1:12345678][2:abcdefgh]![x]"},
        {"1234567\xe2\x82\xac\n", "[1:1234567][2:\xe2\x82\xac]!"},
        {"123456\xe2\x82\xacx", "[1:123456][2:\xe2\x82\xacx]!"},
        {"12345\xe2\x82\xacx", "[1:12345\xe2\x82\xac][2:x]!"},
        {"12345\xf0\x9f\x8c\x8ax", "[1:12345][2:\xf0\x9f\x8c\x8ax]!"},
        {"1234\xf0\x9f\x8c\x8ax", "[1:1234\xf0\x9f\x8c\x8a][2:x]!"},
        {"1234567\xc3\xa9", "[1:1234567][2:\xc3\xa9]!"},
        /* what is no UTF-8 is cut within the bound, too */
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80", "[1:\x80\x80\x80\x80\x80\x80\x80\x80][2:\x80]!"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", "[1:\xff\xff\xff\xff\xff\xff\xff\xff][2:\xff]!"},
        {"\xe2\xe2\xe2\xe2\xe2\xe2\xe2\xe2\xe2", "[1:\xe2\xe2\xe2\xe2\xe2\xe2\xe2][2:\xe2\xe2]!"},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const size_t size = strlen(samples[i].text);

        for (size_t step = 1; step <= size; step++)
            cr_expect_str_eq(split(samples[i].text, size, step, 8).text, samples[i].parts);
    }
}

Test(tool_lines, the_smallest_bound_makes_progress_on_any_bytes)
{
    char text[600];
    unsigned state = 7;

    for (int round = 0; round < 2000; round++) {
        size_t total = 0;

        for (size_t i = 0; i < sizeof(text); i++) {
            state = state * 1103515245 + 12345;
            text[i] = (char)(state >> 16);
            total += text[i] != '\n';
        }
        const struct seen seen = split(text, sizeof(text), 1 + state % 97, 4);

        cr_assert_eq(seen.total, total, "nothing is lost");
        cr_assert_leq(seen.largest, 4);
    }
}

Test(tool_lines, exactly_the_bound_is_one_line)
{
    const size_t size = MAX_LINE_BYTES;
    char *text = malloc(size + 1);

    memset(text, 'x', size);
    text[size] = '\n';
    cr_assert_eq(split(text, size + 1, 4096, 0).count, 1);
    cr_assert_eq(split(text, size, 4096, 0).count, 1);
    text[size] = 'x';
    cr_assert_eq(split(text, size + 1, 4096, 0).count, 2);
    free(text);
}

Test(tool_lines, finding_41_many_characters_and_ten_megabytes)
{
    const size_t euros = 400000;
    const size_t size = 10u << 20;
    char *text = malloc(size);
    struct seen seen = {.check_text = true};
    struct lines lines = {.line = on_line, .ctx = &seen};

    for (size_t i = 0; i < euros; i++)
        memcpy(text + 3 * i, "\xe2\x82\xac", 3);
    cr_assert(lines_add(&lines, text, 3 * euros));
    cr_assert(lines_end(&lines));
    cr_assert_eq(seen.count, 2);
    cr_assert_eq(seen.torn, 0, "no part ends within a character");
    cr_assert_eq(seen.total, 3 * euros);
    lines_fini(&lines);
    memset(text, 'x', size);

    const struct seen large = split(text, size, 65536, 0);

    cr_assert_eq(large.count, 11);
    cr_assert_eq(large.last, 1);
    cr_assert_eq(large.total, size);
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

Test(tool_lines, the_headers_of_a_part_are_its_number_and_whether_it_is_the_last)
{
    struct tributary_header headers[LINE_HEADERS];
    struct line line = {.is_last = true};
    char number[24];

    cr_assert_eq(line_headers(&line, headers, number), 0);
    line = (struct line){.part = 12};
    cr_assert_eq(line_headers(&line, headers, number), 1);
    cr_assert_arr_eq(headers[0].name.data, "line.part", headers[0].name.size);
    cr_assert_arr_eq(headers[0].value.data, "12", headers[0].value.size);
    line.is_last = true;
    cr_assert_eq(line_headers(&line, headers, number), 2);
    cr_assert_arr_eq(headers[1].name.data, "line.last", headers[1].name.size);
}
