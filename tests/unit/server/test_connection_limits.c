/* test_connection_limits.c - the limits of the core and of the guard fit together, whatever the
 * options are. */
#include <criterion/criterion.h>
#include <string.h>

#include "server/connection_limits.h"
#include "server/options.h"
#include "server/options_table.h"

/* The options that the limits of a connection are made of. */
static const char *const names[] = {"max-batch-bytes",      "max-header-bytes", "max-calls-per-connection",
                                    "max-unfinished-bytes", "guard-turn",       "guard-second"};

static const struct option *find(const char *name)
{
    const struct option *option = option_table;

    while (strcmp(option->name, name) != 0)
        option++;
    return option;
}

static void check(const struct settings *settings)
{
    const struct wire_settings core = connection_limits_of_core(settings);
    const struct h2guard_limits guard = connection_limits_of_guard(settings);
    const char *wrong = h2guard_limits_wrong(&guard);

    const struct h2guard_limits upstreams = connection_limits_of_upstreams(settings);

    cr_assert_not(wrong, "%s", wrong);
    wrong = h2guard_limits_wrong(&upstreams);
    cr_assert_not(wrong, "%s", wrong);
    cr_expect_gt(upstreams.max_message_bytes, core.max_message_bytes, "the core answers first");
    cr_expect_gt(core.max_message_bytes, settings->framing.max_batch_bytes, "our checks answer first");
    cr_expect_gt(core.core_message_bytes, core.max_message_bytes);
    cr_expect_eq(guard.max_message_bytes, core.core_message_bytes,
                 "finding 28: we answer each size that the guard lets pass");
    cr_expect_geq(guard.max_unfinished_bytes, guard.max_message_bytes, "one message is never too much");
    cr_expect_geq(guard.max_unfinished_bytes, (uint64_t)settings->max_unfinished_bytes);
    cr_expect_gt(core.core_header_bytes, core.max_header_bytes, "we can refuse a call alone");
    cr_expect_leq(core.core_header_bytes, 16777216, "what SETTINGS of the core can announce");
    cr_expect_geq(guard.max_header_bytes, core.core_header_bytes);
    cr_expect_geq((uint64_t)guard.max_continuations * 16384, core.core_header_bytes,
                  "a header block of the core's bound fits in frames of the usual size");
    cr_expect_gt(guard.max_streams, core.max_calls_per_connection);
    cr_expect_geq(guard.max_frame_bytes, MAX_WIRE_FRAME);
    cr_expect_leq(guard.turn_cost, guard.second_cost);
}

Test(connection_limits, the_defaults_are_the_documented_ones)
{
    const struct h2guard_limits guard = connection_limits_of_guard(&settings_defaults);

    check(&settings_defaults);
    cr_assert_eq(guard.max_header_bytes, 256 * 1024);
    cr_assert_eq(guard.max_message_bytes, (4 * 1024 + 64) * 1024);
    cr_assert_eq(guard.max_unfinished_bytes, 32 * 1024 * 1024);
    cr_assert_eq(guard.max_streams, 1024);
    cr_assert_eq(guard.turn_cost, h2guard_defaults.turn_cost);
    cr_assert_eq(guard.second_cost, h2guard_defaults.second_cost);
    cr_assert_eq(guard.max_lent_bytes, 1024 * 1024 - 65536, "with the core's own window, 1 MiB");
}

Test(connection_limits, every_combination_of_bounds_can_be_used)
{
    for (unsigned combination = 0; combination < 1u << ARRAY_LEN(names); combination++) {
        struct options options;

        options_set_defaults(&options);
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            const struct option *option = find(names[i]);
            option_set_quantity(&options, option, combination >> i & 1 ? option->max : option->min);
        }
        check(&options.settings);
    }
}

Test(connection_limits, the_core_is_told_what_the_settings_say)
{
    struct settings settings = settings_defaults;

    settings.max_calls_per_connection = 7;
    settings.min_ping_interval_ns = 11;
    settings.max_connection_age_ns = 13;
    settings.connection_age_grace_ns = 17;
    settings.max_header_bytes = 2000;
    settings.core_quota_bytes = 23;
    const struct wire_settings core = connection_limits_of_core(&settings);
    cr_assert_eq(core.max_calls_per_connection, 7);
    cr_assert_eq(core.min_ping_interval_ns, 11);
    cr_assert_eq(core.max_connection_age_ns, 13);
    cr_assert_eq(core.connection_age_grace_ns, 17);
    cr_assert_eq(core.max_header_bytes, 2000);
    cr_assert_eq(core.core_header_bytes, 8000);
    cr_assert_eq(core.resource_quota_bytes, 2 * (uint64_t)settings.max_kept_bytes);
    settings.core_quota_bytes = 3 * settings.max_kept_bytes;
    cr_assert_eq(connection_limits_of_core(&settings).resource_quota_bytes,
                 3 * (uint64_t)settings.max_kept_bytes);
}
