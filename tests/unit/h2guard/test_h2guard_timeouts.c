/* test_h2guard_timeouts.c - what stays half done ends its connection in time. */
#include <criterion/criterion.h>
#include <string.h>

#include "h2guard_fixture.h"

static void nothing(struct h2guard_fixture *fixture)
{
    (void)fixture;
}

static void open_one(struct h2guard_fixture *fixture)
{
    put_headers(&fixture->in, 1, 0);
}

static void begin_message(struct h2guard_fixture *fixture)
{
    open_one(fixture);
    put_frame_head(&fixture->in, FRAME_DATA, 0, 1, 5);
    put_prefix(&fixture->in, 0, 1000000);
}

static void begin_block(struct h2guard_fixture *fixture)
{
    put_zeros(&fixture->in, FRAME_HEADERS, 0, 1, 0);
}

/* Lets time pass with a check in each second. Returns the seconds until the connection ended; 0: it
 * did not within 1000. */
static int seconds_until_end(struct h2guard_fixture *fixture, enum h2guard_reason *reason_out)
{
    for (int i = 1; i <= 1000; i++) {
        fixture->now_ns += SECOND_NS;
        struct h2guard_verdict verdict = h2guard_check(fixture->guard, fixture->now_ns);
        *reason_out = verdict.reason;
        if (verdict.decision == H2GUARD_END)
            return i;
    }
    return 0;
}

static void begin_settings(struct h2guard_fixture *fixture)
{
    put_preface(&fixture->in);
    put_frame_head(&fixture->in, FRAME_SETTINGS, 0, 0, 6);
    memset(buf_extend(&fixture->in, 3), 0, 3);
}

/* What is half done when the peer falls silent. */
static const struct silence {
    const char *name;
    void (*before)(struct h2guard_fixture *fixture);
    enum fixture_start start;
    enum h2guard_reason reason;
    int seconds; /* 0: it may stay so */
} silences[] = {
    {"no byte (row_35)", nothing, BARE, H2GUARD_OPEN_TIMEOUT, 6},
    {"half of the first SETTINGS (row_35)", begin_settings, BARE, H2GUARD_OPEN_TIMEOUT, 6},
    {"an idle connection", nothing, STARTED, H2GUARD_NO_REASON, 0},
    {"a stream without messages", open_one, STARTED, H2GUARD_NO_REASON, 0},
    {"half a message in whole frames", begin_message, STARTED, H2GUARD_NO_REASON, 0},
    {"half a header block (row_35)", begin_block, STARTED, H2GUARD_HEADER_TIMEOUT, 6},
};

Test(h2guard_timeouts, end_in_time_when_something_stays_half_done)
{
    for (size_t i = 0; i < ARRAY_LEN(silences); i++) {
        struct h2guard_fixture fixture;
        enum h2guard_reason reason = H2GUARD_NO_REASON;
        fixture_init(&fixture);
        fixture_open(&fixture, H2GUARD_SERVER, silences[i].start);
        silences[i].before(&fixture);
        fixture_passes(&fixture);
        int seconds = seconds_until_end(&fixture, &reason);
        cr_assert_eq(seconds, silences[i].seconds, "%s: after %d s", silences[i].name, seconds);
        cr_assert_eq(reason, silences[i].reason, "%s", silences[i].name);
        fixture_close(&fixture);
    }
}

Test(h2guard_timeouts, a_frame_that_never_finishes_ends_in_time)
{
    static const size_t sizes[] = {1, 8, 9, 10, 500};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct h2guard_fixture fixture;
        enum h2guard_reason reason = H2GUARD_NO_REASON;
        fixture_init(&fixture);
        fixture_open(&fixture, H2GUARD_SERVER, STARTED);
        open_one(&fixture);
        fixture_passes(&fixture);
        put_message_frame(&fixture.in, 1, 0, 1000);
        fixture.in.size = sizes[i];
        fixture_passes(&fixture);
        cr_assert_eq(seconds_until_end(&fixture, &reason), 61, "after %zu bytes", sizes[i]);
        cr_assert_eq(reason, H2GUARD_FRAME_TIMEOUT);
        fixture_close(&fixture);
    }
}

Test(h2guard_timeouts, a_frame_has_its_own_time_after_a_slow_one)
{
    struct h2guard_fixture fixture;
    enum h2guard_reason reason = H2GUARD_NO_REASON;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    open_one(&fixture);
    put_frame_head(&fixture.in, FRAME_DATA, 0, 1, 100);
    put_prefix(&fixture.in, 0, 95);
    fixture_passes(&fixture);
    fixture.now_ns += 50 * SECOND_NS;
    memset(buf_extend(&fixture.in, 95), 0, 95);
    buf_byte(&fixture.in, 0); /* the next header */
    fixture_passes(&fixture);
    cr_assert_eq(seconds_until_end(&fixture, &reason), 61);
    cr_assert_eq(reason, H2GUARD_FRAME_TIMEOUT);
    fixture_close(&fixture);
}

/* Finding 3. */
Test(h2guard_timeouts, settings_that_are_never_acknowledged_end_in_time)
{
    struct h2guard_fixture fixture;
    enum h2guard_reason reason = H2GUARD_NO_REASON;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    put_zeros(&fixture.out, FRAME_SETTINGS, 0, 0, 6);
    fixture_send(&fixture);
    cr_assert_eq(seconds_until_end(&fixture, &reason), 12, "10 s after the first check");
    cr_assert_eq(reason, H2GUARD_SETTINGS_TIMEOUT);
    fixture_close(&fixture);
}

Test(h2guard_timeouts, each_of_our_settings_has_its_own_time)
{
    struct h2guard_fixture fixture;
    enum h2guard_reason reason = H2GUARD_NO_REASON;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    for (int i = 0; i < 3; i++) {
        put_zeros(&fixture.out, FRAME_SETTINGS, 0, 0, 6);
        fixture_send(&fixture);
        cr_assert_eq(h2guard_check(fixture.guard, fixture.now_ns).decision, H2GUARD_PASS);
        fixture.now_ns += 9 * SECOND_NS;
        cr_assert_eq(h2guard_check(fixture.guard, fixture.now_ns).decision, H2GUARD_PASS);
        put_zeros(&fixture.in, FRAME_SETTINGS, ACK, 0, 0);
        fixture_passes(&fixture);
    }
    cr_assert_eq(seconds_until_end(&fixture, &reason), 0);
    fixture_close(&fixture);
}

Test(h2guard_timeouts, a_frame_that_comes_a_byte_a_second_has_no_more_time)
{
    struct h2guard_fixture fixture;
    int seconds = 0;

    fixture_init(&fixture);
    fixture_open(&fixture, H2GUARD_SERVER, STARTED);
    open_one(&fixture);
    put_frame_head(&fixture.in, FRAME_DATA, 0, 1, 1000);
    fixture_passes(&fixture);
    do {
        buf_byte(&fixture.in, 0);
        fixture.now_ns += SECOND_NS;
        fixture_passes(&fixture);
        seconds++;
    } while (h2guard_check(fixture.guard, fixture.now_ns).decision == H2GUARD_PASS);
    cr_assert_eq(seconds, 61);
    fixture_close(&fixture);
}
