/* test_transcript.c - the recorder itself: another order, another argument or another moment is
 * another transcript; another epoch or id is not. */
#include <criterion/criterion.h>

#include <string.h>

#include "base/log.h"
#include "seam/hub_fixture.h"
#include "seam/transcript.h"
#include "seam/transcript_hooks.h"
#include "seam/virtual_clock.h"

static uint64_t digest_of(const char *first, const char *second)
{
    transcript_begin(true);
    transcript("%s", first);
    transcript("%s", second);
    transcript_end();
    return transcript_digest();
}

static void check_text(const char *due)
{
    struct bytes text = transcript_text();

    cr_assert_eq(text.size, strlen(due), "%.*s", (int)text.size, (const char *)text.data);
    cr_assert_eq(memcmp(text.data, due, text.size), 0, "%.*s", (int)text.size, (const char *)text.data);
}

Test(transcript, another_order_of_two_calls_is_another_digest)
{
    cr_assert_eq(digest_of("stop 1", "stop 2"), digest_of("stop 1", "stop 2"));
    cr_assert_neq(digest_of("stop 1", "stop 2"), digest_of("stop 2", "stop 1"));
    cr_assert_neq(digest_of("stop 1", "stop 2"), digest_of("stop 1", "stop 3"));
}

Test(transcript, numbers_epochs_and_ids_in_the_order_in_which_they_appear)
{
    transcript_begin(true);
    transcript("e%u s%u", transcript_epoch(900), transcript_subscription("s00000000000000ff"));
    transcript("e%u s%u", transcript_epoch(100), transcript_subscription("s0000000000000001"));
    transcript("e%u s%u e%u", transcript_epoch(900), transcript_subscription("s00000000000000ff"),
               transcript_epoch(0));
    check_text("e1 s1\ne2 s2\ne1 s1 e0\n");
    transcript_begin(true);
    transcript("e%u", transcript_epoch(100));
    check_text("e1\n");
}

Test(transcript, says_when_time_has_passed_and_how_much_a_deadline_leaves)
{
    struct loop *loop;

    cr_assert_eq(loop_new(&loop).code, ERR_OK);
    transcript_begin(true);
    transcript("first %s", transcript_deadline(clock_mono_ns() + 5));
    virtual_time_pass(loop, NS_PER_S + 7);
    transcript("second %s", transcript_deadline(0));
    transcript("third %s", transcript_deadline(INT64_MAX));
    check_text("first in 5\n  at 1.000000007\nsecond now\nthird some day\n");
    loop_free(loop);
}

Test(transcript, holds_what_is_logged_unless_only_ports_are_wanted)
{
    log_setup(LOG_INFO, LOG_AS_TEXT, -1);
    transcript_begin(true);
    log_write(LOG_INFO, "producer.added", LOG_BYTES("producer", text_of("web")), LOG_NUMBER("epoch", 77));
    check_text("  log info producer.added producer=\"web\" epoch=e1\n");
    transcript_begin(false);
    log_write(LOG_INFO, "producer.added", LOG_BYTES("producer", text_of("web")), LOG_NUMBER("epoch", 77));
    check_text("");
}

Test(transcript, is_the_same_for_the_same_steps_on_two_hubs)
{
    uint64_t digests[2];

    for (size_t i = 0; i < ARRAY_LEN(digests); i++) {
        struct hub_fixture fixture;
        struct consumer consumer;

        virtual_clock_reset();
        transcript_begin(true);
        hub_fixture_open(&fixture);
        consumer_join(&consumer, &fixture, subscription_params_of(NULL));
        publish(&fixture, "web", 3, "t");
        consumer_read(&consumer);
        consumer_leave(&consumer);
        hub_fixture_close(&fixture);
        digests[i] = transcript_digest();
        cr_assert_gt(transcript_text().size, 200);
    }
    cr_assert_eq(digests[0], digests[1]);
}
