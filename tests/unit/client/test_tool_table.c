/* test_tool_table.c - tables that fit a terminal (K5): widths of characters, ellipses, order. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/tool/display.h"
#include "client/tool/text_table.h"

#define KANJI "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e" /* three wide characters */
#define E_ACUTE "e\xcc\x81"                          /* e, and a combining accent */
#define ELLIPSIS "\xe2\x80\xa6"

static void use_utf8(void)
{
    setenv("LC_ALL", "C.UTF-8", 1);
}

static void use_ascii(void)
{
    setenv("LC_ALL", "C", 1);
}

Test(tool_table, wide_and_combining_characters_have_their_width)
{
    cr_assert_eq(display_width(tributary_text("")), 0);
    cr_assert_eq(display_width(tributary_text("plain")), 5);
    cr_assert_eq(display_width(tributary_text(KANJI)), 6);
    cr_assert_eq(display_width(tributary_text(E_ACUTE "t" E_ACUTE)), 3);
    cr_assert_eq(display_width(tributary_text("\xf0\x9f\x8e\x89")), 2, "an emoji");
    cr_assert_eq(display_width(tributary_text("\xc3\xa9")), 1);
    cr_assert_eq(display_width((struct tributary_bytes){"ab\xe6\x97", 4}), 3,
                 "a torn character counts as one");
}

static void expect_fitted(const char *text, unsigned width, const char *expected)
{
    struct buf buf = {0};

    display_fit(&buf, tributary_text(text), width);
    buf_byte(&buf, 0);
    cr_assert_str_eq((const char *)buf.data, expected);
    cr_assert_leq(display_width(tributary_text(expected)), width);
    buf_fini(&buf);
}

Test(tool_table, a_long_text_loses_its_middle_between_characters, .init = use_utf8)
{
    expect_fitted("web-1", 5, "web-1");
    expect_fitted("web-12", 5, "we" ELLIPSIS "12");
    expect_fitted("payments-eu-1", 8, "paym" ELLIPSIS "u-1");
    expect_fitted(KANJI KANJI, 7, "\xe6\x97\xa5" ELLIPSIS "\xe6\x9c\xac\xe8\xaa\x9e");
    expect_fitted(KANJI KANJI, 8, "\xe6\x97\xa5\xe6\x9c\xac" ELLIPSIS "\xe8\xaa\x9e");
    expect_fitted(E_ACUTE "bcd" E_ACUTE, 3, E_ACUTE ELLIPSIS E_ACUTE);
    expect_fitted("abc", 1, "a");
    expect_fitted("abc", 0, "");
}

Test(tool_table, who_does_not_use_utf8_gets_two_dots, .init = use_ascii)
{
    expect_fitted("payments-eu-1", 8, "pay..u-1");
}

static const struct text_column columns[] = {
    {"name", COLUMN_FLEXIBLE}, {"more", COLUMN_WIDE}, {"count", COLUMN_RIGHT}, {"state", 0}};

static void add(struct text_table *table, const char *name, uint64_t count, const char *state)
{
    text_table_row(table, "", count);
    text_table_cell(table, name);
    text_table_cell(table, "x");
    text_table_format(table, "%u", (unsigned)count);
    text_table_cell(table, state);
}

static void expect_table(struct text_table *table, unsigned width, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    cr_assert(text_table_print(table, out, width));
    fclose(out);
    cr_assert_str_eq(text, expected);
    free(text);
    text_table_fini(table);
}

Test(tool_table, columns_are_aligned_and_the_flexible_one_gives_way, .init = use_utf8)
{
    struct text_table table;

    text_table_init(&table, columns, 4, false);
    add(&table, KANJI KANJI, 9, "IDLE");
    add(&table, "a-name-that-is-long", 7, "ACTIVE");
    expect_table(&table, 26,
                 "name         count  state\n"
                 "\xe6\x97\xa5\xe6\x9c\xac" ELLIPSIS KANJI "      9  IDLE\n"
                 "a-nam" ELLIPSIS "-long      7  ACTIVE\n");
}

static const struct text_column with_spare[] = {
    {"name", COLUMN_FLEXIBLE}, {"failure", COLUMN_SPARE}, {"n", 0}};

static void add_failure(struct text_table *table, const char *name, const char *failure)
{
    text_table_row(table, "", 0);
    text_table_cell(table, name);
    text_table_cell(table, failure);
    text_table_cell(table, "1");
}

Test(tool_table, a_spare_column_gets_what_the_others_leave, .init = use_utf8)
{
    static const struct {
        const char *failure;
        unsigned width;
        bool is_wide;
        const char *expected;
    } cases[] = {
        {"nothing listens", 0, false,
         "name         failure          n\n"
         "a-long-name  nothing listens  1\nb                             1\n"},
        {"nothing listens", 28, false,
         "name         failure       n\n"
         "a-long-name  nothing lis" ELLIPSIS "  1\n"
         "b                          1\n"},
        {"nothing listens", 27, false, "name         n\na-long-name  1\nb            1\n"},
        {"", 80, false, "name         n\na-long-name  1\nb            1\n"},
        {"", 80, true, "name         failure  n\na-long-name           1\nb                     1\n"},
        {"nothing listens", 12, false, "name       n\na-lo" ELLIPSIS "name  1\nb          1\n"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct text_table table;

        text_table_init(&table, with_spare, 3, cases[i].is_wide);
        add_failure(&table, "a-long-name", cases[i].failure);
        add_failure(&table, "b", "");
        expect_table(&table, cases[i].width, cases[i].expected);
    }
}

Test(tool_table, nothing_is_shortened_without_a_terminal_and_in_wide_tables)
{
    struct text_table table;

    for (unsigned round = 0; round < 2; round++) {
        text_table_init(&table, columns, 4, round == 1);
        add(&table, "a-name-that-is-long", 7, "ACTIVE");
        expect_table(&table, round == 1 ? 20 : 0,
                     round == 0 ? "name                 count  state\na-name-that-is-long      7  ACTIVE\n"
                                : "name                 more  count  state\n"
                                  "a-name-that-is-long  x         7  ACTIVE\n");
    }
}

Test(tool_table, rows_are_sorted_by_name_then_number_and_children_stay_with_their_row)
{
    struct text_table table;

    text_table_init(&table, columns, 1, false);
    for (unsigned i = 0; i < 100; i++) {
        char text[16];

        snprintf(text, sizeof(text), "%u", i);
        text_table_row(&table, i % 2 == 0 ? "b" : "a", i / 4);
        text_table_cell(&table, text);
        if (i == 97) {
            text_table_child(&table);
            text_table_cell(&table, "  of 97");
            text_table_child(&table);
            text_table_cell(&table, "  too");
        }
    }

    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    cr_assert(text_table_print(&table, out, 0));
    fclose(out);
    cr_assert_eq(strncmp(text, "name\n97\n  of 97\n  too\n99\n93\n95\n", 30), 0, "%s", text);
    cr_assert_not_null(strstr(text, "\n1\n3\n96\n98\n92\n"));
    free(text);
    text_table_fini(&table);
}

Test(tool_table, control_characters_are_made_visible)
{
    struct text_table table;

    text_table_init(&table, columns, 1, false);
    text_table_row(&table, "", 0);
    text_table_cell(&table, "a\x1b[31m\tb\n\tc");
    expect_table(&table, 0, "name\na\\x1b[31m\\tb\\n\\tc\n");
}

Test(tool_table, a_table_without_columns_prints_its_rows_as_they_are)
{
    struct text_table table;

    text_table_init(&table, NULL, 0, false);
    for (unsigned i = 0; i < 3; i++) {
        text_table_row(&table, "", i);
        text_table_format(&table, "{\"n\":%u,\t1}", i);
    }
    expect_table(&table, 10, "{\"n\":2,\t1}\n{\"n\":1,\t1}\n{\"n\":0,\t1}\n");
}
