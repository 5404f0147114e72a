/* test_settings.c - versions of the settings: what is present, and what readers may still hold. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "base/settings_store.h"

static bool within(const struct setting_range *range)
{
    return range->min > 0 && range->min <= range->max &&
           (range->default_value == 0 ||
            (range->default_value >= range->min && range->default_value <= range->max));
}

Test(settings, the_defaults_are_version_0)
{
    struct settings_store store;

    settings_store_init(&store);
    cr_assert_eq(settings_present(&store), &settings_defaults);
    cr_assert_eq(settings_present(&store)->version, 0);
    settings_store_fini(&store);
}

Test(settings, the_default_of_every_range_is_within_it)
{
    const struct subscription_ranges *ranges = &settings_defaults.subscription;
    const struct setting_range *each = (const struct setting_range *)ranges;

    for (size_t i = 0; i < sizeof(*ranges) / sizeof(*each); i++)
        cr_expect(within(&each[i]), "range %zu", i);
    cr_expect_leq(ranges->max_events.max, UINT32_MAX);
    cr_expect_leq(ranges->max_batch_events.max, UINT32_MAX);
    cr_expect_leq(ranges->max_batch_bytes.max, UINT32_MAX);
}

Test(settings, a_published_version_gets_the_next_number_and_replaces_the_one_before)
{
    struct settings_store store;
    struct settings mine = settings_defaults;

    settings_store_init(&store);
    mine.version = 77;
    mine.max_producers = 3;
    cr_assert_eq(settings_publish(&store, &mine), ERR_OK);
    cr_assert_eq(settings_present(&store)->version, 1, "whatever number it came with");
    cr_assert_eq(settings_present(&store)->max_producers, 3);
    mine.max_producers = 4;
    cr_assert_eq(settings_present(&store)->max_producers, 3, "it is a copy");
    cr_assert_eq(settings_publish(&store, &mine), ERR_OK);
    cr_assert_eq(settings_present(&store)->version, 2);
    cr_assert_eq(settings_present(&store)->max_producers, 4);
    settings_store_fini(&store);
}

Test(settings, what_a_reader_holds_neither_changes_nor_goes_away)
{
    struct settings_store store;
    struct settings mine = settings_defaults;
    const struct settings *held;

    settings_store_init(&store);
    mine.max_connections = 5;
    cr_assert_eq(settings_publish(&store, &mine), ERR_OK);
    held = settings_present(&store);
    for (uint32_t i = 0; i < 100; i++) {
        mine.max_connections = 1000 + i;
        cr_assert_eq(settings_publish(&store, &mine), ERR_OK);
    }
    cr_assert_eq(held->max_connections, 5);
    cr_assert_eq(held->version, 1);
    settings_store_fini(&store);
}

#define VERSIONS 2000u

/* Each version has its number in several members: a reader that sees two numbers in one version, or
 * a number that is lower than one before, fails. */
static void *read_versions(void *ctx)
{
    const struct settings_store *store = ctx;
    uint64_t latest = 0;

    while (latest < VERSIONS) {
        const struct settings *settings = settings_present(store);

        CHECK(settings->version >= latest);
        latest = settings->version;
        CHECK(latest == 0 ||
              (settings->max_producers == latest && settings->core_quota_bytes == (int64_t)latest));
    }
    return NULL;
}

Test(settings, readers_on_other_threads_see_whole_versions_in_order)
{
    struct settings_store store;
    struct settings mine = settings_defaults;
    pthread_t readers[3];

    settings_store_init(&store);
    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        cr_assert_eq(pthread_create(&readers[i], NULL, read_versions, &store), 0);
    for (uint32_t i = 1; i <= VERSIONS; i++) {
        mine.max_producers = i;
        mine.core_quota_bytes = i;
        cr_assert_eq(settings_publish(&store, &mine), ERR_OK);
    }
    for (size_t i = 0; i < ARRAY_LEN(readers); i++)
        cr_assert_eq(pthread_join(readers[i], NULL), 0);
    settings_store_fini(&store);
}
