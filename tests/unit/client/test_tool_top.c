/* test_tool_top.c - the rows of `tributary top`: rates of two rounds, order, filter, bounds. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/top_model.h"

enum { EVENTS = 3, BYTES = 4, SUBSCRIBERS = 5 }; /* columns of producers */

static void add(struct top_round *round, const char *name, uint64_t epoch, uint64_t events, int64_t at_ns)
{
    const struct top_row row = {.texts = {name, "transient", "ACTIVE"},
                                .values = {[SUBSCRIBERS] = 2},
                                .epoch = epoch,
                                .totals = {events, 10 * events},
                                .at_ns = at_ns};

    top_round_add(round, &row);
}

static const struct top_row *find(const struct top_round *round, const char *name)
{
    for (size_t i = 0; i < round->count; i++) {
        if (strcmp(round->rows[i].texts[0], name) == 0)
            return &round->rows[i];
    }
    cr_assert_fail("%s is not there", name);
    return NULL;
}

/* Whether the view shows these names, with a space behind each. */
static void expect_order(const struct top_view *view, const struct top_round *round, const char *expected)
{
    char names[256] = "";
    size_t count = 0;
    const struct top_row **rows = top_view_rows(view, round, &count);

    cr_assert(rows);
    for (size_t i = 0; i < count; i++) {
        strcat(names, rows[i]->texts[0]);
        strcat(names, " ");
    }
    cr_assert_str_eq(names, expected);
    free(rows);
}

Test(tool_top, a_rate_is_the_growth_between_two_rounds)
{
    struct top_round first = {.count = 0};
    struct top_round second = {.count = 0};

    add(&first, "web", 7, 100, NS_PER_S);
    add(&first, "db", 7, 50, NS_PER_S);
    top_round_complete(&first, TOP_PRODUCERS, NULL);
    cr_assert_eq(find(&first, "web")->values[EVENTS], TOP_UNKNOWN);
    cr_assert_eq(find(&first, "web")->values[BYTES], TOP_UNKNOWN);
    add(&second, "new", 7, 1000, 3 * NS_PER_S);
    add(&second, "db", 7, 50, 3 * NS_PER_S);
    add(&second, "web", 7, 200, 3 * NS_PER_S);
    top_round_complete(&second, TOP_PRODUCERS, &first);
    cr_assert_float_eq(find(&second, "web")->values[EVENTS], 50, 1e-9);
    cr_assert_float_eq(find(&second, "web")->values[BYTES], 500, 1e-9);
    cr_assert_eq(find(&second, "db")->values[EVENTS], 0);
    cr_assert_eq(find(&second, "new")->values[EVENTS], TOP_UNKNOWN);
    cr_assert_eq(find(&second, "web")->values[SUBSCRIBERS], 2, "no rate stays as it was");
    top_round_fini(&first);
    top_round_fini(&second);
}

Test(tool_top, a_new_epoch_a_fallen_total_and_no_time_begin_anew)
{
    struct top_round first = {.count = 0};
    struct top_round second = {.count = 0};

    add(&first, "epoch", 7, 100, NS_PER_S);
    add(&first, "fell", 7, 100, NS_PER_S);
    add(&first, "same", 7, 100, 2 * NS_PER_S);
    top_round_complete(&first, TOP_PRODUCERS, NULL);
    add(&second, "epoch", 8, 200, 2 * NS_PER_S);
    add(&second, "fell", 7, 99, 2 * NS_PER_S);
    add(&second, "same", 7, 200, 2 * NS_PER_S);
    top_round_complete(&second, TOP_PRODUCERS, &first);
    for (size_t i = 0; i < second.count; i++)
        cr_assert_eq(second.rows[i].values[EVENTS], TOP_UNKNOWN, "%s", second.rows[i].texts[0]);
    top_round_fini(&first);
    top_round_fini(&second);
}

Test(tool_top, rows_are_sorted_reversed_and_filtered)
{
    struct top_round first = {.count = 0};
    struct top_round second = {.count = 0};
    struct top_view view = {.list = TOP_PRODUCERS, .sort = TOP_BY_EVENTS};

    add(&first, "web-2", 7, 0, 0);
    add(&first, "web-1", 7, 0, 0);
    add(&first, "db", 7, 0, 0);
    top_round_complete(&first, TOP_PRODUCERS, NULL);
    add(&second, "web-2", 7, 5, NS_PER_S);
    add(&second, "web-1", 7, 5, NS_PER_S);
    add(&second, "db", 7, 9, NS_PER_S);
    add(&second, "new", 7, 900, NS_PER_S);
    top_round_complete(&second, TOP_PRODUCERS, &first);
    expect_order(&view, &second, "db web-1 web-2 new ");
    view.is_reversed = true;
    expect_order(&view, &second, "new web-1 web-2 db ");
    view.sort = 0;
    expect_order(&view, &second, "web-2 web-1 new db ");
    view.is_reversed = false;
    expect_order(&view, &second, "db new web-1 web-2 ");
    strcpy(view.filter, "WEB");
    expect_order(&view, &second, "web-1 web-2 ");
    strcpy(view.filter, "trans");
    expect_order(&view, &second, "db new web-1 web-2 ");
    strcpy(view.filter, "none");
    expect_order(&view, &second, "");
    top_round_fini(&first);
    top_round_fini(&second);
    expect_order(&view, &second, "");
}

Test(tool_top, a_round_is_bounded_and_counts_what_is_left_out)
{
    struct top_round round = {.count = 0};
    char name[2000];

    for (unsigned i = 0; i < TOP_MAX_ROWS + 3; i++) {
        snprintf(name, sizeof(name), "p%06u", i);
        add(&round, name, 1, i, 0);
    }
    cr_assert_eq(round.count, TOP_MAX_ROWS);
    cr_assert_eq(round.left_out, 3);
    top_round_fini(&round);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    add(&round, name, 1, 1, 0);
    cr_assert_eq(strlen(round.rows[0].texts[0]), TOP_TEXT_CAPACITY - 1);
    top_round_fini(&round);
}

Test(tool_top, cells_are_for_people)
{
    size_t count = 0;
    const struct top_column *columns = top_columns(TOP_PRODUCERS, &count);
    const struct {
        unsigned column;
        double value;
        const char *expected;
    } cases[] = {
        {EVENTS, TOP_UNKNOWN, "-"}, {EVENTS, 0, "0"},          {EVENTS, 0.25, "0.2"},
        {EVENTS, 12345.6, "12346"}, {BYTES, TOP_UNKNOWN, "-"}, {BYTES, 512, "512 B"},
        {BYTES, 1536, "1.5 KiB"},   {SUBSCRIBERS, 3, "3"},
    };
    struct top_row row = {.texts = {"", NULL}};
    char text[64];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        row.values[cases[i].column] = cases[i].value;
        top_cell(&columns[cases[i].column], &row, cases[i].column, text, sizeof(text));
        cr_assert_str_eq(text, cases[i].expected);
    }
    top_cell(&columns[0], &row, 0, text, sizeof(text));
    cr_assert_str_eq(text, "-", "an empty name");
}

Test(tool_top, each_word_of_sort_is_a_column_of_a_list)
{
    char words[] = TOP_SORT_WORDS;
    unsigned found = 0;

    for (char *word = strtok(words, "|"); word; word = strtok(NULL, "|")) {
        unsigned index = 0;

        cr_assert(top_column_find(TOP_PRODUCERS, word, &index) ||
                      top_column_find(TOP_CONSUMERS, word, &index),
                  "%s", word);
        found++;
    }
    for (unsigned list = 0; list < TOP_LISTS; list++) {
        size_t count = 0;
        const struct top_column *columns = top_columns((enum top_list)list, &count);

        cr_assert_leq(count, TOP_MAX_COLUMNS);
        for (size_t i = 0; i < count; i++)
            cr_assert(strstr("|" TOP_SORT_WORDS "|", columns[i].word), "%s", columns[i].word);
    }
    cr_assert_eq(found, 14);
}

Test(tool_top, each_column_has_a_capital_letter_of_its_own)
{
    for (unsigned list = 0; list < TOP_LISTS; list++) {
        size_t count = 0;
        const struct top_column *columns = top_columns((enum top_list)list, &count);

        for (unsigned i = 0; i < count; i++) {
            unsigned found = TOP_MAX_COLUMNS;

            cr_assert(columns[i].key >= 'A' && columns[i].key <= 'Z' && columns[i].key != 'Q');
            cr_assert(top_column_of_key((enum top_list)list, columns[i].key, &found));
            cr_assert_eq(found, i, "%c", columns[i].key);
        }
        cr_assert_not(top_column_of_key((enum top_list)list, 'X', &(unsigned){0}));
    }
}

Test(tool_top, a_word_of_one_list_is_none_of_the_other)
{
    unsigned found = 0;

    cr_assert_not(top_column_find(TOP_CONSUMERS, "bytes", &found));
}
