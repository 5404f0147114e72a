/* test_tool_cli.c - command lines, the selectors made from them, and the tables from which help is
 * written. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>

#include "base/base.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/help.h"
#include "client/tool/nearest.h"
#include "client/tool/selection.h"
#include "client/tool/verb_list.h"
#include "client/tool/verbs.h"

struct settings {
    struct common common;
    bool flag, other;
    const char *text;
    struct text_list list;
    struct text_series series;
    uint64_t number, bytes;
    int64_t duration;
    unsigned choice;
};

#define OFFSET(member) offsetof(struct settings, member)
static const struct option options[] = {
    {'f', "flag", OPTION_FLAG, "", OFFSET(flag), ""},
    {'o', "other", OPTION_FLAG, "", OFFSET(other), ""},
    {'t', "text", OPTION_TEXT, "TEXT", OFFSET(text), ""},
    {'l', "list", OPTION_LIST, "X", OFFSET(list), ""},
    {'a', "apples", OPTION_SERIES, "X", OFFSET(series), ""},
    {'p', "pears", OPTION_SERIES, "X", OFFSET(series), ""},
    {'n', "number", OPTION_NUMBER, "N", OFFSET(number), ""},
    {0, "bytes", OPTION_BYTES, "BYTES", OFFSET(bytes), ""},
    {'d', "for", OPTION_DURATION, "D", OFFSET(duration), ""},
    {0, "choice", OPTION_CHOICE, "a|bc|d", OFFSET(choice), ""},
};
static const struct verb verb = {.name = "try",
                                 .arguments = "[A [B]]",
                                 .max_arguments = 2,
                                 .summary = "s",
                                 .text = "",
                                 .options = options,
                                 .option_count = ARRAY_LEN(options)};

#define PARSE(...) PARSE_OF(verb, __VA_ARGS__)
#define PARSE_OF(verb, ...)                                                                                  \
    cli_parse(&(verb), (int)ARRAY_LEN(((const char *[]){__VA_ARGS__})),                                      \
              (char **)(uintptr_t)(const char *[]){__VA_ARGS__}, &s, &arguments, &result)

Test(tool_cli, every_way_to_write_an_option_is_read)
{
    struct settings s = {.number = 7};
    struct text_list arguments = {0};
    int result = -1;

    cr_assert(PARSE("-fo", "--text=x", "-l", "1", "-l2", "-list", "3", "--list=4", "-n5", "one", "--bytes",
                    "1KiB", "-for", "2s", "--choice", "bc", "-s", "unix:/x", "--max-time=3", "-plaintext",
                    "--", "-f"));
    cr_assert(s.flag && s.other);
    cr_assert_str_eq(s.text, "x");
    cr_assert_eq(s.list.count, 4);
    cr_assert_str_eq(s.list.items[3], "4");
    cr_assert_eq(s.number, 5);
    cr_assert_eq(s.bytes, 1024);
    cr_assert_eq(s.duration, 2000000000);
    cr_assert_eq(s.choice, 1);
    cr_assert_str_eq(s.common.server, "unix:/x");
    cr_assert_eq(s.common.max_time_ns, 3000000000);
    cr_assert_eq(arguments.count, 2);
    cr_assert_str_eq(arguments.items[1], "-f");
    cli_free(&verb, &s, &arguments);
}

Test(tool_cli, options_that_share_a_series_keep_their_order)
{
    static const char *const expected[][2] = {
        {"apples", "1"}, {"pears", "2"}, {"pears", ""}, {"apples", "-x"}, {"pears", "3"}};
    struct settings s = {.number = 0};
    struct text_list arguments = {0};
    int result = -1;

    cr_assert(PARSE("-a1", "--pears", "2", "--pears=", "-l", "other", "--apples", "-x", "-p", "3"));
    cr_assert_eq(s.series.count, ARRAY_LEN(expected));
    for (size_t i = 0; i < s.series.count; i++) {
        cr_assert_str_eq(s.series.items[i].option, expected[i][0]);
        cr_assert_str_eq(s.series.items[i].text, expected[i][1]);
    }
    cli_free(&verb, &s, &arguments);
    cr_assert_eq(s.series.count, 0);
}

#define REFUSED(...)                                                                                         \
    do {                                                                                                     \
        struct settings s = {.number = 0};                                                                   \
        struct text_list arguments = {0};                                                                    \
        int result = -1;                                                                                     \
        cr_assert_not(PARSE(__VA_ARGS__));                                                                   \
        cr_assert_eq(result, EXITS_USAGE);                                                                   \
        cli_free(&verb, &s, &arguments);                                                                     \
    } while (0)

Test(tool_cli, a_wrong_command_line_is_refused, .init = cr_redirect_stderr)
{
    REFUSED("--nothing");
    REFUSED("-x");
    REFUSED("-fx");
    REFUSED("--text");
    REFUSED("--flag=1");
    REFUSED("-n", "x");
    REFUSED("--choice", "b");
    REFUSED("--choice", "");
    REFUSED("--bytes", "-1");
    REFUSED("a", "b", "c");
}

Test(tool_cli, a_quantity_beyond_its_bounds_is_refused, .init = cr_redirect_stderr)
{
    static const struct option_bounds bounds[] = {{"number", 2, 5}};
    struct verb bounded = verb;
    struct settings s = {.number = 7};
    struct text_list arguments = {0};
    int result = -1;

    bounded.bounds = bounds;
    bounded.bound_count = ARRAY_LEN(bounds);
    cr_assert(PARSE_OF(bounded, "-n", "2", "-n", "5"));
    cr_assert_eq(s.number, 5);
    cr_assert_not(PARSE_OF(bounded, "-n", "1"));
    cr_assert_not(PARSE_OF(bounded, "-n", "6"));
    cr_assert_eq(s.number, 5, "it is unchanged");
    cr_assert_not(PARSE_OF(bounded, "--for", "87601h"), "a moment so far away cannot be held");
    cr_assert_not(PARSE_OF(bounded, "--connect-timeout", "99ms"));
    cr_assert(PARSE_OF(bounded, "--connect-timeout", "100ms"));
    cli_free(&verb, &s, &arguments);
}

Test(tool_cli, help_of_every_verb_names_every_option, .init = cr_redirect_stdout)
{
    size_t count = 0;

    verbs_install();

    const struct verb *const *all = verbs_all(&count);

    cr_assert_geq(count, 8);
    for (size_t i = 0; i < count; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        help_verb(out, all[i]);
        fclose(out);
        for (size_t j = 0; j < all[i]->option_count; j++) {
            cr_assert_not_null(strstr(text, all[i]->options[j].name));
            cr_assert_gt(strlen(all[i]->options[j].help), 0);
            for (size_t k = 0; k < j; k++) {
                cr_assert_str_neq(all[i]->options[j].name, all[i]->options[k].name);
                cr_assert(all[i]->options[j].letter == 0 ||
                              all[i]->options[j].letter != all[i]->options[k].letter,
                          "%s -%c", all[i]->name, all[i]->options[j].letter);
            }
        }
        cr_assert_gt(all[i]->example_count, 0, "%s has no example", all[i]->name);
        free(text);
    }
}

static struct text_list list_of(const char **items, size_t count)
{
    return (struct text_list){items, count};
}

Test(tool_cli, each_pair_of_producer_and_topic_makes_a_selector_with_all_other_patterns)
{
    const char *producers[] = {"p1", "p2"};
    const char *topics[] = {"t1", "t2", "t3"};
    const char *keys[] = {"k"};
    const char *headers[] = {"a=b*"};
    const char *not_keys[] = {"x", "y"};
    const struct selection_lists lists = {.producers = list_of(producers, 2),
                                          .topics = list_of(topics, 3),
                                          .keys = list_of(keys, 1),
                                          .headers = list_of(headers, 1),
                                          .exclude_topics = list_of(topics, 2),
                                          .exclude_keys = list_of(not_keys, 2)};
    struct selection selection;

    cr_assert_null(selection_build(&selection, &lists));
    cr_assert_eq(selection.selector_count, 6);
    cr_assert_str_eq(selection.selectors[5].producer, "p2");
    cr_assert_str_eq(selection.selectors[5].topic, "t3");
    cr_assert_str_eq(selection.selectors[5].keys[0], "k");
    cr_assert_str_eq(selection.selectors[5].headers[0][0], "a");
    cr_assert_str_eq(selection.selectors[5].headers[0][1], "b*");
    cr_assert_eq(selection.exclude_count, 3);
    cr_assert_str_eq(selection.excludes[0].topic, "t1");
    cr_assert_eq(selection.excludes[2].key_count, 2);
    selection_fini(&selection);
}

Test(tool_cli, empty_lists_make_no_selector_and_too_many_patterns_are_refused)
{
    const char *many[65];
    struct selection_lists lists = {.producers = {NULL, 0}};
    struct selection selection;

    for (size_t i = 0; i < 65; i++)
        many[i] = "x";
    cr_assert_null(selection_build(&selection, &lists));
    cr_assert_eq(selection.selector_count, 0);
    lists.producers = list_of(many, 64);
    cr_assert_null(selection_build(&selection, &lists));
    lists.producers.count = 65;
    cr_assert_not_null(selection_build(&selection, &lists));
    lists.producers.count = 0;
    lists.headers = list_of(many, 1);
    cr_assert_not_null(selection_build(&selection, &lists));
    selection_fini(&selection);
}

Test(tool_cli, K5_distances_count_letters_and_exchanged_neighbours)
{
    cr_assert_eq(edit_distance("", "", 3), 0);
    cr_assert_eq(edit_distance("count", "count", 3), 0);
    cr_assert_eq(edit_distance("cuont", "count", 3), 1);
    cr_assert_eq(edit_distance("cont", "count", 3), 1);
    cr_assert_eq(edit_distance("counnt", "count", 3), 1);
    cr_assert_eq(edit_distance("", "abc", 3), 3);
    cr_assert_eq(edit_distance("kitten", "sitting", 3), 3);
    cr_assert_eq(edit_distance("kitten", "sitting", 2), 3, "above the bound");
    cr_assert_eq(edit_distance("abcdefgh", "stuvwxyz", 3), 4);
    cr_assert_eq(edit_distance("a", "0123456789012345678901234567890123456789012345678901234567890123x", 3),
                 4);
}

static void expect_nearest(const char *first, const char *second, const char *expected)
{
    char *words[2] = {(char *)(uintptr_t)first, (char *)(uintptr_t)second};
    const char *nearest = verb_nearest(second ? 2 : 1, words);

    if (expected)
        cr_assert_str_eq(nearest ? nearest : "(none)", expected);
    else
        cr_assert_null(nearest, "%s", nearest);
}

Test(tool_cli, K5_the_verb_that_was_meant_is_named)
{
    verbs_install();
    expect_nearest("pbu", NULL, "pub");
    expect_nearest("stat", NULL, "status");
    expect_nearest("prodcers", NULL, "producers");
    expect_nearest("prodcers", "ls", "producers ls");
    expect_nearest("prodcers", "list", "producers ls");
    expect_nearest("producers", "lsit", "producers ls");
    expect_nearest("subscriptoins", "list", "subs ls");
    expect_nearest("producers", "x", NULL);
    expect_nearest("subs", "remov", NULL);
    expect_nearest("xyz", NULL, NULL);
    expect_nearest("", NULL, NULL);
    expect_nearest("pub", "x", "pub");
}

Test(tool_cli, K5_aliases_stand_for_words_of_verbs)
{
    char *words[2] = {(char *)(uintptr_t) "producer", (char *)(uintptr_t) "list"};
    size_t alias_count = 0;
    int used = 0;

    verbs_install();
    cr_assert_eq(verb_find(2, words, &used), &verb_producers_ls);
    cr_assert_eq(used, 2);
    cr_assert(verb_is_group("subscriptions") && verb_is_group("bench"));
    cr_assert_not(verb_is_group("pub"));

    const struct verb_alias *all = verb_aliases(&alias_count);
    size_t count = 0;
    const struct verb *const *list = verbs_all(&count);

    for (size_t i = 0; i < alias_count; i++) {
        for (size_t j = 0; j < count; j++) {
            const char *second = strchr(list[j]->name, ' ');

            cr_assert_str_neq(second ? second + 1 : list[j]->name, all[i].alias);
        }
    }
}
