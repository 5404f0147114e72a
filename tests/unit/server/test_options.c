/* test_options.c - the command line: bounds, and options that do not fit together. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/options.h"
#include "server/options_table.h"

#define MIB (INT64_C(1) << 20)
#define MAX_ARGUMENTS 8

/* The last command line: what it gave, and what was printed. */
static struct options options;
static char printed[16384];

/* Reads the words of a command line. */
static enum options_outcome read_line(const char *line)
{
    static char words[512];
    char *argv[MAX_ARGUMENTS] = {"tributaryd"}, *rest = NULL;
    int argc = 1;
    FILE *out = fmemopen(printed, sizeof(printed), "w");

    cr_assert_lt(strlen(line), sizeof(words));
    strcpy(words, line);
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        cr_assert_lt(argc, MAX_ARGUMENTS);
        argv[argc++] = word;
    }
    enum options_outcome outcome = options_read(argc, argv, &options, out, out);
    fclose(out);
    return outcome;
}

/* Reads "--NAME QUANTITY" in the smallest unit that the option has. */
static enum options_outcome read_quantity(const struct option *option, int64_t quantity)
{
    char line[128];

    if (option->kind == OPTION_DURATION || option->kind == OPTION_DURATION_OR_NEVER)
        snprintf(line, sizeof(line), "--%s %" PRId64 "us", option->name, quantity / NS_PER_US);
    else
        snprintf(line, sizeof(line), "--%s %" PRId64, option->name, quantity);
    return read_line(line);
}

static int64_t step_of(const struct option *option)
{
    return option->kind == OPTION_NUMBER || option->kind == OPTION_BYTES ? 1 : NS_PER_US;
}

/* Whether a bound of this option alone does not fit the default of another one. */
static bool needs_another(const struct option *option)
{
    return strcmp(option->name, "max-event-bytes") == 0 || strcmp(option->name, "max-unfinished-bytes") == 0;
}

Test(options, without_arguments_every_option_has_a_default_within_its_bounds)
{
    cr_assert_eq(read_line(""), OPTIONS_RUN);
    for (const struct option *option = option_table; option->name; option++) {
        if (!option_has_bounds(option))
            continue;
        int64_t quantity = option_quantity(&options, option);
        bool is_never = option->kind == OPTION_DURATION_OR_NEVER && quantity == 0;
        cr_expect(is_never || (quantity >= option->min && quantity <= option->max), "--%s", option->name);
    }
    cr_assert_eq(options.listen_count, 1);
    cr_assert_eq(options.reflection, ON);
    cr_assert_eq(options.guard, ON);
}

Test(options, a_quantity_at_a_bound_is_taken_and_one_beyond_it_is_refused_by_name)
{
    for (const struct option *option = option_table; option->name; option++) {
        if (!option_has_bounds(option) || needs_another(option))
            continue;
        const int64_t bounds[] = {option->min, option->max};
        const int64_t beyond[] = {option->min - step_of(option), option->max + step_of(option)};
        for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
            cr_expect_eq(read_quantity(option, bounds[i]), OPTIONS_RUN, "--%s: %s", option->name, printed);
            cr_expect_eq(option_quantity(&options, option), bounds[i], "--%s", option->name);
            cr_expect_eq(read_quantity(option, beyond[i]), OPTIONS_WRONG, "--%s", option->name);
            cr_expect(strstr(printed, option->name), "%s", printed);
            cr_expect(strstr(printed, " to "), "it says the bounds: %s", printed);
        }
    }
}

Test(options, units_and_never_are_understood)
{
    cr_assert_eq(read_line("--max-connection-age 2h --min-ping-interval 1500ms --guard-turn 70us"),
                 OPTIONS_RUN);
    cr_assert_eq(options.settings.max_connection_age_ns, 7200 * NS_PER_S);
    cr_assert_eq(options.settings.min_ping_interval_ns, 1500 * NS_PER_MS);
    cr_assert_eq(options.settings.guard_turn_ns, 70 * NS_PER_US);
    cr_assert_eq(read_line("--max-connection-age 2h --max-connection-age never"), OPTIONS_RUN);
    cr_assert_eq(options.settings.max_connection_age_ns, 0);
    cr_assert_eq(read_line("--drain-timeout never"), OPTIONS_WRONG, "a drain ends");
    cr_assert_eq(read_line("--max-connection-age 0s"), OPTIONS_WRONG);
    cr_assert(strstr(printed, "1s to 168h, or never"), "%s", printed);
    cr_assert_eq(read_line("--max-header-bytes=32K"), OPTIONS_RUN);
    cr_assert_eq(options.settings.max_header_bytes, 32768);
}

Test(options, the_form_of_an_address_is_checked_before_what_it_means)
{
    static const struct {
        const char *address, *text;
    } refused[] = {{"127.0.0.1:70000", "port 1 to 65535"}, {"0.0.0.0:70000", "port 1 to 65535"},
                   {":7448", "the host is missing"},       {"::1:7448", "write [::1]:7448"},
                   {"7227", "write 127.0.0.1:7227"},       {"unix:", "1 to 107 bytes"}};
    char line[256];

    for (size_t i = 0; i < ARRAY_LEN(refused); i++) { /* finding 42 */
        snprintf(line, sizeof(line), "--listen %s", refused[i].address);
        cr_expect_eq(read_line(line), OPTIONS_WRONG, "%s", line);
        cr_expect(strstr(printed, refused[i].text), "%s", printed);
        cr_expect(strstr(printed, refused[i].address), "it names the value: %s", printed);
        cr_expect_not(strstr(printed, "insecure"), "%s", printed);
    }
    snprintf(line, sizeof(line), "--listen unix:/%0119d", 0);
    cr_expect_eq(read_line(line), OPTIONS_WRONG);
    cr_expect(strstr(printed, "1 to 107 bytes, and this one has 120"), "%s", printed);
    cr_expect_eq(read_line("--listen 127.0.0.1 --listen [::1]:0 --listen unix-abstract:x"), OPTIONS_RUN);
    cr_expect_eq(read_line("--listen 10.0.0.1"), OPTIONS_WRONG);
    cr_expect(strstr(printed, "insecure"), "%s", printed);
}

Test(options, a_pattern_has_1_to_256_bytes)
{
    char line[300];

    snprintf(line, sizeof(line), "--dial-allow %0256d", 0);
    cr_expect_eq(read_line(line), OPTIONS_RUN);
    snprintf(line, sizeof(line), "--dial-allow %0257d", 0);
    cr_expect_eq(read_line(line), OPTIONS_WRONG);
    cr_expect(strstr(printed, "1 to 256 bytes"), "%s", printed);
}

Test(options, a_duration_and_bytes_are_read_as_the_tool_reads_them)
{
    cr_assert_eq(read_line("--drain-timeout 1m30s --write-timeout 2 --linger 1"), OPTIONS_WRONG);
    cr_assert_eq(read_line("--drain-timeout 1m30s --write-timeout 2.5 --max-event-bytes 1.5KiB"), OPTIONS_RUN,
                 "%s", printed);
    cr_assert_eq(options.settings.drain_timeout_ns, 90 * NS_PER_S);
    cr_assert_eq(options.settings.write_timeout_ns, 2500 * NS_PER_MS);
    cr_assert_eq(options.settings.framing.max_event_bytes, 1536);
    cr_assert_eq(read_line("--drain-timeout 2h"), OPTIONS_WRONG);
    cr_assert(strstr(printed, "--drain-timeout '2h': not valid: must be 1ms to 1h"), "%s", printed);
    cr_assert_eq(read_line("--drain-timeout soon"), OPTIONS_WRONG);
    cr_assert(strstr(printed, "a number with ns, us, ms, s, m or h"), "%s", printed);
}

Test(options, the_help_says_defaults_and_bounds_as_one_may_type_them)
{
    cr_assert_eq(read_line("--help"), OPTIONS_DONE);
    cr_assert(strstr(printed, "(default 64K; 1K to 1M)"), "%s", printed);
    cr_assert(strstr(printed, "(default never; 1s to 168h, or never)"), "%s", printed);
    cr_assert(strstr(printed, "(default 400us; 50us to 100ms)"), "%s", printed);
    cr_assert(strstr(printed, "unix-abstract:NAME"), "%s", printed);
    cr_assert(strstr(printed, "without a unit it counts seconds"), "%s", printed);
}

Test(options, those_that_do_not_fit_together_are_refused_with_both_names)
{
    static const struct {
        const char *line, *text;
    } refused[] = {
        {"--max-event-bytes 2M", "--max-event-bytes 2M: not valid: at most --max-batch-bytes, which is 1M"},
        {"--max-batch-bytes 1K --max-event-bytes 1025", "--max-event-bytes 1025: not valid: at most"},
        {"--max-unfinished-bytes 1M --max-batch-bytes 4M",
         "--max-unfinished-bytes 1M: not valid: at least --max-batch-bytes, which is 4M"},
        {"--max-unfinished-bytes 64K", "--max-unfinished-bytes 64K: not valid: at least --max-batch-bytes"},
    };

    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        cr_expect_eq(read_line(refused[i].line), OPTIONS_WRONG, "%s", refused[i].line);
        cr_expect(strstr(printed, refused[i].text), "%s", printed);
    }
}

Test(options, a_default_gives_way_to_an_option_that_was_given)
{
    cr_assert_eq(read_line("--max-batch-bytes 64M"), OPTIONS_RUN, "%s", printed);
    cr_assert_eq(options.settings.max_unfinished_bytes, 32 * MIB, "the guard raises it");
    cr_assert_eq(read_line("--max-batch-bytes 64"), OPTIONS_RUN, "%s", printed);
    cr_assert_eq(read_line("--max-batch-bytes 64M --max-event-bytes 64M --max-unfinished-bytes 64M"),
                 OPTIONS_RUN, "%s", printed);
}

Test(options, reflection_follows_the_addresses_unless_it_was_given)
{
    cr_assert_eq(read_line("--listen 0.0.0.0:0 --insecure-listen"), OPTIONS_RUN);
    cr_assert_eq(options.reflection, OFF);
    cr_assert_eq(read_line("--listen 0.0.0.0:0 --insecure-listen --reflection on"), OPTIONS_RUN);
    cr_assert_eq(options.reflection, ON);
    cr_assert_eq(read_line("--reflection off"), OPTIONS_RUN);
    cr_assert_eq(options.reflection, OFF);
    cr_assert_eq(read_line("--reflection maybe"), OPTIONS_WRONG);
    cr_assert_eq(read_line("--guard off"), OPTIONS_RUN);
    cr_assert_eq(options.guard, OFF);
}

Test(options, K5_mode_and_group_of_socket_files)
{
    static const char *const refused[] = {
        "--listen unix:/x --unix-mode 060",   "--listen unix:/x --unix-mode 01777",
        "--listen unix:/x --unix-mode 668",   "--listen unix:/x --unix-mode -1",
        "--listen unix:/x --unix-mode u+w",   "--unix-mode 0660",
        "--listen unix:/x --unix-group",      "--listen unix:/x --unix-group no-such-group-here",
        "--listen unix:/x --unix-group -1",   "--listen unix:/x --unix-group 4294967295",
        "--listen 127.0.0.1:0 --unix-group 0"};

    cr_assert_eq(read_line("--listen unix:/x"), OPTIONS_RUN);
    cr_assert_eq(options.unix_access.mode, 0600);
    cr_assert_not(options.unix_access.has_group);
    cr_assert_eq(read_line("--listen unix:/x --unix-mode 0660 --unix-group 7"), OPTIONS_RUN);
    cr_assert_eq(options.unix_access.mode, 0660);
    cr_assert(options.unix_access.has_group && options.unix_access.group == 7);
    cr_assert_eq(read_line("--unix-mode=777 --listen 127.0.0.1:1 --listen unix:/x --unix-group root"),
                 OPTIONS_RUN);
    cr_assert_eq(options.unix_access.mode, 0777);
    cr_assert(options.unix_access.has_group && options.unix_access.group == 0);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        cr_expect_eq(read_line(refused[i]), OPTIONS_WRONG, "%s", refused[i]);
}
