/* h2guard_fixture.c - see h2guard_fixture.h. */
#include "h2guard_fixture.h"

#include <criterion/criterion.h>

void fixture_init(struct h2guard_fixture *fixture)
{
    *fixture = (struct h2guard_fixture){.limits = h2guard_defaults, .now_ns = 1000 * SECOND_NS};
    fixture->limits.turn_cost = fixture->limits.second_cost = INT64_C(1) << 36;
}

void fixture_send(struct h2guard_fixture *fixture)
{
    h2guard_out(fixture->guard, (struct bytes){fixture->out.data, fixture->out.size});
    buf_clear(&fixture->out);
}

struct h2guard_verdict fixture_feed(struct h2guard_fixture *fixture, size_t piece)
{
    struct h2guard_verdict verdict = {.decision = H2GUARD_PASS};
    size_t done = 0;

    h2guard_turn(fixture->guard, fixture->now_ns);
    fixture->turns++;
    while (done < fixture->in.size && verdict.decision != H2GUARD_END) {
        size_t size = MIN_OF(piece, fixture->in.size - done);
        verdict = h2guard_in(fixture->guard, (struct bytes){fixture->in.data + done, size});
        cr_assert_leq(verdict.passed, size);
        if (verdict.decision == H2GUARD_PASS)
            cr_assert_eq(verdict.passed, size, "a read that passes is whole");
        done += verdict.passed;
        if (verdict.decision == H2GUARD_WAIT) {
            h2guard_turn(fixture->guard, fixture->now_ns);
            fixture->turns++;
        }
    }
    buf_clear(&fixture->in);
    return verdict;
}

void fixture_passes(struct h2guard_fixture *fixture)
{
    struct h2guard_verdict verdict = fixture_feed(fixture, WHOLE);
    char text[256];

    h2guard_explain(fixture->guard, text, sizeof(text));
    cr_assert_eq(verdict.decision, H2GUARD_PASS, "%s", text);
}

void fixture_ends(struct h2guard_fixture *fixture, enum h2guard_reason reason)
{
    struct h2guard_verdict verdict = fixture_feed(fixture, WHOLE);

    cr_assert_eq(verdict.decision, H2GUARD_END, "nothing ended, where %s should",
                 h2guard_reason_name(reason));
    cr_assert_eq(verdict.reason, reason, "%s, and not %s", h2guard_reason_name(verdict.reason),
                 h2guard_reason_name(reason));
    cr_assert_eq(verdict.passed, 0);
    cr_assert_eq(fixture->counters.ends[reason], 1);
}

uint64_t fixture_count(struct h2guard_fixture *fixture, enum h2guard_item item)
{
    return h2guard_stats(fixture->guard)->total.items[item];
}

void fixture_open(struct h2guard_fixture *fixture, enum h2guard_role role, enum fixture_start start)
{
    bool is_server = role == H2GUARD_SERVER;

    fixture->guard = h2guard_new(role, &fixture->limits, &fixture->counters, fixture->now_ns);
    if (start == BARE)
        return;
    put_preface(is_server ? &fixture->in : &fixture->out);
    put_zeros(&fixture->in, FRAME_SETTINGS, 0, 0, 0);
    put_zeros(&fixture->out, FRAME_SETTINGS, 0, 0, 0);
    fixture_send(fixture);
    put_zeros(&fixture->in, FRAME_SETTINGS, ACK, 0, 0);
    fixture_passes(fixture);
    put_zeros(&fixture->out, FRAME_SETTINGS, ACK, 0, 0);
    fixture_send(fixture);
}

void fixture_close(struct h2guard_fixture *fixture)
{
    h2guard_free(fixture->guard);
    buf_fini(&fixture->in);
    buf_fini(&fixture->out);
}
