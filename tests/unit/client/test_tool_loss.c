/* test_tool_loss.c - the lines about lost events: summed by the second and source (finding 36). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/tool/loss_notices.h"

#define BEGIN (5 * NS_PER_S)

struct notices_fixture {
    struct loss_notices notices;
    char *text;
    size_t size;
    size_t checked; /* bytes that expect() has seen */
    FILE *out;
};

static void open_notices(struct notices_fixture *fixture, bool by_second)
{
    fixture->checked = 0;
    fixture->out = open_memstream(&fixture->text, &fixture->size);
    loss_notices_init(&fixture->notices, fixture->out, by_second);
}

/* Checks what was printed since the last call. */
static void expect(struct notices_fixture *fixture, const char *expected)
{
    fflush(fixture->out);
    cr_assert_str_eq(fixture->text + fixture->checked, expected);
    fixture->checked = fixture->size;
}

static void close_notices(struct notices_fixture *fixture)
{
    loss_notices_fini(&fixture->notices);
    fclose(fixture->out);
    free(fixture->text);
}

static bool lose(struct notices_fixture *fixture, const char *source, uint64_t count, uint64_t first,
                 int64_t now_ns)
{
    const struct tributary_lost lost = {.source = tributary_text(source),
                                        .epoch = 1,
                                        .count = count,
                                        .bytes = 10 * count,
                                        .first_sequence = first,
                                        .last_sequence = first + count - 1,
                                        .reason = 1};

    return loss_notices_add(&fixture->notices, &lost, now_ns);
}

Test(tool_loss, finding_36_losses_are_summed_by_the_second_and_source)
{
    struct notices_fixture fixture;

    open_notices(&fixture, true);
    cr_assert_eq(loss_notices_print(&fixture.notices, BEGIN), INT64_MAX);
    cr_assert(lose(&fixture, "web", 1, 1, BEGIN));
    expect(&fixture, "tributary: lost 1 event of web (10 B): OVERFLOW_OLDEST, within sequences 1 to 1\n");
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_not(lose(&fixture, i % 2 == 0 ? "web" : "db", 2, 10 + i, BEGIN + i));
    expect(&fixture, "tributary: lost 2 events of db (20 B): OVERFLOW_OLDEST, within sequences 11 to 12\n");
    cr_assert_eq(loss_notices_print(&fixture.notices, BEGIN + NS_PER_S - 1), BEGIN + NS_PER_S);
    expect(&fixture, "");
    cr_assert_eq(loss_notices_print(&fixture.notices, BEGIN + NS_PER_S), BEGIN + 2 * NS_PER_S);
    fflush(fixture.out);
    cr_assert_not_null(strstr(fixture.text, "lost 1000 events of web (9.8 KiB): OVERFLOW_OLDEST, "
                                            "within sequences 10 to 1009\n"));
    cr_assert_not_null(strstr(fixture.text, "lost 998 events of db"));
    fixture.checked = fixture.size;
    cr_assert_eq(loss_notices_print(&fixture.notices, BEGIN + 2 * NS_PER_S), INT64_MAX, "a quiet second");
    cr_assert(lose(&fixture, "web", 3, 2000, BEGIN + 3 * NS_PER_S), "a new second, printed at once");
    expect(&fixture,
           "tributary: lost 3 events of web (30 B): OVERFLOW_OLDEST, within sequences 2000 to 2002\n");
    lose(&fixture, "web", 4, 2003, BEGIN + 3 * NS_PER_S);
    loss_notices_end(&fixture.notices);
    expect(&fixture,
           "tributary: lost 4 events of web (40 B): OVERFLOW_OLDEST, within sequences 2003 to 2006\n"
           "tributary: lost 2008 events in all (19.6 KiB)\n");
    close_notices(&fixture);
}

Test(tool_loss, finding_36_lines_of_a_second_have_a_bound_and_nothing_is_left_out_of_the_total)
{
    struct notices_fixture fixture;
    unsigned lines = 0;
    char name[32];

    open_notices(&fixture, true);
    for (unsigned i = 0; i < 3 * MAX_LOSS_ROWS; i++) {
        snprintf(name, sizeof(name), "p%u", i);
        lose(&fixture, name, 1, 1, BEGIN);
    }
    loss_notices_print(&fixture.notices, BEGIN + NS_PER_S);
    loss_notices_end(&fixture.notices);
    fflush(fixture.out);
    for (const char *next = fixture.text; (next = strchr(next, '\n')); next++)
        lines++;
    cr_assert_eq(lines, 2 * MAX_LOSS_LINES + 2, "%u lines", lines);
    cr_assert_not_null(strstr(fixture.text, "lost 2960 events of other producers (28.9 KiB)\n"));
    cr_assert_not_null(strstr(fixture.text, "lost 3000 events in all (29.3 KiB)\n"));
    close_notices(&fixture);
}

Test(tool_loss, programs_get_a_line_for_each_loss_and_a_single_loss_has_no_total)
{
    struct notices_fixture fixture;

    open_notices(&fixture, false);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_not(lose(&fixture, "w\n", 1, 7, BEGIN));
    loss_notices_end(&fixture.notices);
    expect(&fixture, "tributary: lost 1 event of w\\n (10 B): OVERFLOW_OLDEST, within sequences 7 to 7\n"
                     "tributary: lost 1 event of w\\n (10 B): OVERFLOW_OLDEST, within sequences 7 to 7\n");
    close_notices(&fixture);
    open_notices(&fixture, true);
    lose(&fixture, "w", 1, 7, BEGIN);
    loss_notices_end(&fixture.notices);
    expect(&fixture, "tributary: lost 1 event of w (10 B): OVERFLOW_OLDEST, within sequences 7 to 7\n");
    close_notices(&fixture);
}

Test(tool_loss, a_loss_without_a_count_says_so_alone_and_in_sums)
{
    const struct tributary_lost unknown = {
        .source = tributary_text("web"), .reason = 8, .count_unknown = true};
    const struct tributary_lost nobody = {.reason = 8, .count_unknown = true};
    struct notices_fixture fixture;

    open_notices(&fixture, true);
    loss_notices_add(&fixture.notices, &unknown, BEGIN);
    expect(&fixture, "tributary: lost events of web: RESUME_GAP, nobody can say how many\n");
    loss_notices_add(&fixture.notices, &nobody, BEGIN);
    expect(&fixture,
           "tributary: lost events of producers that are gone: RESUME_GAP, nobody can say how many\n");
    lose(&fixture, "db", 2, 1, BEGIN);
    expect(&fixture, "tributary: lost 2 events of db (20 B): OVERFLOW_OLDEST, within sequences 1 to 2\n");
    loss_notices_end(&fixture.notices);
    expect(&fixture, "tributary: lost 2 events in all (20 B), and more, nobody can say how many\n");
    close_notices(&fixture);
}

Test(tool_loss, what_another_server_lost_is_a_line_of_its_own)
{
    struct tributary_lost lost = {.source = tributary_text("up/web"),
                                  .epoch = 1,
                                  .count = 2,
                                  .bytes = 20,
                                  .first_sequence = 3,
                                  .last_sequence = 4,
                                  .reason = 1,
                                  .upstream = true};
    struct notices_fixture fixture;

    open_notices(&fixture, true);
    loss_notices_add(&fixture.notices, &lost, BEGIN);
    expect(&fixture, "tributary: lost 2 events of up/web (20 B): OVERFLOW_OLDEST at another server, "
                     "within sequences 3 to 4\n");
    lost.upstream = false;
    loss_notices_add(&fixture.notices, &lost, BEGIN);
    expect(&fixture, "tributary: lost 2 events of up/web (20 B): OVERFLOW_OLDEST, within sequences 3 to 4\n");
    loss_notices_end(&fixture.notices);
    close_notices(&fixture);
}
