/* test_dial_slots.c - who may be dialled and who has to wait. The time at which a dial began is set
 * back where it is to be late. */
#include <criterion/criterion.h>

#include "base/counters.h"
#include "server/dial/dial_slots.h"

#include <grpc/grpc.h>

#define DIALS 300

static struct dial_slots slots;
static struct dial_slot all[DIALS];
static int come_order[DIALS], come_count, yield_order[DIALS], yield_count;
static bool fails_at_once;

static bool is_done(void *ctx)
{
    (void)ctx;
    return true;
}

static void on_come(struct dial_slot *slot)
{
    come_order[come_count++] = (int)(slot - all);
    if (!slot->waits_longer)
        dial_slot_begun(&slots, slot);
    if (fails_at_once)
        dial_slot_leave(&slots, slot);
}

static void on_yield(struct dial_slot *slot)
{
    yield_order[yield_count++] = (int)(slot - all);
}

static struct cq_thread *thread_of_slots(void)
{
    static const struct cq_thread_port port = {.is_done = is_done};
    struct cq_thread *thread = NULL;

    grpc_init();
    cr_assert_eq(cq_thread_new(&port, NULL, &thread).code, ERR_OK);
    dial_slots_init(&slots, thread);
    for (int i = 0; i < DIALS; i++)
        dial_slot_init(&all[i], on_come, on_yield);
    return thread;
}

static void request(int first, int count, bool was_late)
{
    for (int i = first; i < first + count; i++) {
        all[i].was_late = was_late;
        dial_slot_request(&slots, &all[i]);
    }
}

/* The dials began so long ago. */
static void set_back(int first, int count, int64_t by_ns)
{
    for (int i = first; i < first + count; i++)
        all[i].begun_ns -= by_ns;
}

static void end(struct cq_thread *thread)
{
    for (int i = DIALS - 1; i >= 0; i--)
        dial_slot_leave(&slots, &all[i]);
    cr_assert_eq(slots.held, 0);
    cr_assert_eq(slots.late_held, 0);
    cr_assert_eq(slots.own_late_held, 0);
    cr_assert_eq(slots.longer_held, 0);
    dial_slots_fini(&slots);
    cr_assert(list_empty(&slots.prompt) && list_empty(&slots.late));
    cr_assert_eq(count_get(COUNT_LIVE_DIALS), 0);
    cr_assert_eq(count_get(COUNT_LIVE_WAITING_DIALS), 0);
    cq_thread_free(thread);
    grpc_shutdown_blocking();
}

Test(dial_slots, so_many_are_dialled_and_the_others_follow_in_their_order)
{
    struct cq_thread *thread = thread_of_slots();

    request(0, 140, false);
    cr_assert_eq(come_count, (int)MAX_DIALS);
    cr_assert_eq(count_get(COUNT_LIVE_DIALS), MAX_DIALS);
    cr_assert_eq(count_get(COUNT_LIVE_WAITING_DIALS), 140 - MAX_DIALS);
    dial_slot_leave(&slots, &all[MAX_DIALS]); /* the first that waits */
    dial_slot_leave(&slots, &all[3]);
    dial_slot_leave(&slots, &all[3]); /* again: it is idle */
    cr_assert_eq(come_count, (int)MAX_DIALS + 1);
    cr_assert_eq(come_order[MAX_DIALS], (int)MAX_DIALS + 1);
    cr_assert_eq(yield_count, 0, "none of them is late");
    end(thread);
}

Test(dial_slots, one_that_fails_at_once_makes_way)
{
    struct cq_thread *thread = thread_of_slots();

    fails_at_once = true;
    request(0, DIALS, false);
    cr_assert_eq(come_count, DIALS);
    cr_assert_not(dial_slot_is_late(&all[0]));
    end(thread);
}

/* 64 of the late ones go on; the others yield, for as long as somebody waits. */
Test(dial_slots, late_ones_yield_to_those_that_were_not_late)
{
    const int late = (int)MAX_LATE_DIALS;
    struct cq_thread *thread = thread_of_slots();

    request(0, (int)MAX_DIALS, false);
    set_back(0, (int)MAX_DIALS, DIAL_PROMPT_NS);
    cr_assert(dial_slot_is_late(&all[0]));
    request(201, 2, false);
    cr_assert_eq(slots.late_held, MAX_LATE_DIALS);
    cr_assert_eq(yield_count, late);
    for (int i = 0; i < late; i++)
        cr_assert_eq(yield_order[i], late + i, "the oldest first");
    cr_assert_eq(come_count, (int)MAX_DIALS, "they hold their slots until they have left");
    dial_slot_leave(&slots, &all[late]);
    cr_assert_eq(come_order[MAX_DIALS], 201);
    dial_slot_leave(&slots, &all[late + 1]);
    cr_assert_eq(come_order[MAX_DIALS + 1], 202);
    cr_assert_eq(slots.held, MAX_DIALS);
    end(thread);
}

Test(dial_slots, nobody_yields_to_one_that_was_late_itself_and_some_late_slots_are_kept_for_it)
{
    struct cq_thread *thread = thread_of_slots();

    request(0, (int)MAX_DIALS, false);
    set_back(0, (int)MAX_DIALS, DIAL_PROMPT_NS);
    request(200, 1, true);
    cr_assert_eq(yield_count, 0);
    cr_assert_eq(slots.late_held, MAX_LATE_DIALS - MIN_LATE_DIALS);
    request(201, 2, false);
    cr_assert_eq(yield_count, (int)(MAX_DIALS - MAX_LATE_DIALS + MIN_LATE_DIALS));
    dial_slot_leave(&slots, &all[yield_order[0]]);
    cr_assert_eq(come_order[MAX_DIALS], 200, "it has one of those that are kept");
    dial_slot_leave(&slots, &all[yield_order[1]]);
    cr_assert_eq(come_order[MAX_DIALS + 1], 201);
    end(thread);
}

Test(dial_slots, those_that_were_late_wait_behind_the_others_and_have_a_few_slots_of_their_own)
{
    struct cq_thread *thread = thread_of_slots();

    request(0, 100, true);
    cr_assert_eq(come_count, (int)MAX_LATE_DIALS, "the others are kept free");
    request(100, 1, false);
    cr_assert_eq(come_order[MAX_LATE_DIALS], 100);
    request(101, 150, false);
    cr_assert_eq(slots.held, MAX_DIALS);
    for (int i = 0; i < (int)MAX_LATE_DIALS; i++)
        dial_slot_leave(&slots, &all[i]);
    cr_assert_eq(slots.late_held, MIN_LATE_DIALS, "while others wait");
    end(thread);
}

Test(dial_slots, late_ones_yield_to_others_that_were_late_after_a_longer_time)
{
    struct cq_thread *thread = thread_of_slots();

    request(0, (int)MAX_LATE_DIALS + 1, true);
    cr_assert_eq(come_count, (int)MAX_LATE_DIALS);
    set_back(0, (int)MAX_LATE_DIALS, DIAL_PROMPT_NS);
    request(100, 1, true);
    cr_assert_eq(yield_count, 0);
    set_back(0, 2, LATE_DIAL_NS);
    request(101, 1, true);
    cr_assert_eq(yield_count, 2);
    end(thread);
}

/* With TLS the handshake waits for a turn of its own. */
Test(dial_slots, the_time_counts_from_when_the_dial_begins)
{
    struct cq_thread *thread = thread_of_slots();

    for (int i = 0; i < (int)MAX_HELD_DIALS; i++)
        all[i].waits_longer = true;
    request(0, (int)MAX_DIALS, false);
    cr_assert_eq(come_count, (int)MAX_DIALS);
    set_back(0, (int)MAX_HELD_DIALS, LATE_DIAL_NS);
    cr_assert_not(dial_slot_is_late(&all[0]));
    request(200, 1, false);
    cr_assert_eq(yield_count, 0);
    dial_slot_begun(&slots, &all[0]);
    cr_assert_not(dial_slot_is_late(&all[0]));
    end(thread);
}

/* They wait for their turn without a slot, and others go on. */
Test(dial_slots, those_that_wait_longer_have_a_few_slots_until_they_begin)
{
    const int held = (int)MAX_HELD_DIALS;
    struct cq_thread *thread = thread_of_slots();

    for (int i = 0; i < 100; i++)
        all[i].waits_longer = true;
    request(0, 100, false);
    cr_assert_eq(come_count, held);
    request(100, 50, false);
    cr_assert_eq(come_count, held + 50, "the others wait for none of them");
    dial_slot_begun(&slots, &all[3]);
    cr_assert_eq(come_order[held + 50], held, "the next one");
    dial_slot_leave(&slots, &all[4]);
    cr_assert_eq(come_order[held + 51], held + 1);
    dial_slot_leave(&slots, &all[3]);
    cr_assert_eq(come_count, held + 52, "it had begun, so its leaving makes space for nobody");
    cr_assert_eq(slots.longer_held, MAX_HELD_DIALS);
    end(thread);
}

/* One peer after the other, whoever has more of them. */
Test(dial_slots, peers_take_turns)
{
    struct cq_thread *thread = thread_of_slots();

    request(0, (int)MAX_DIALS + 50, false);
    for (int i = 200; i < 203; i++)
        all[i].entry.peer = (struct peer_key){PEER_IPV4, 7};
    request(200, 3, false);
    for (int i = 0; i < 6; i++)
        dial_slot_leave(&slots, &all[i]);
    static const int expected[] = {128, 200, 129, 201, 130, 202};
    for (int i = 0; i < 6; i++)
        cr_assert_eq(come_order[(int)MAX_DIALS + i], expected[i], "%d", come_order[(int)MAX_DIALS + i]);
    end(thread);
}

/* A supply of new ones that are slow does not use up what those have that were late before. */
Test(dial_slots, those_that_were_late_have_slots_however_many_become_late)
{
    const int late = (int)MAX_LATE_DIALS;
    struct cq_thread *thread = thread_of_slots();

    request(0, (int)MAX_DIALS, false);
    set_back(0, (int)MAX_DIALS, DIAL_PROMPT_NS);
    request(200, 70, false); /* half of those that are dialled are late now, the others yield */
    request(270, 20, true);
    for (int i = 0; i < late; i++)
        dial_slot_leave(&slots, &all[yield_order[i]]);
    cr_assert_eq(come_count, (int)MAX_DIALS + late);
    cr_assert_eq(slots.own_late_held, 0, "all late slots are held");
    set_back(0, late, LATE_DIAL_NS);
    set_back(200, late, DIAL_PROMPT_NS);
    yield_count = 0;
    request(290, 1, false);
    cr_assert_eq(yield_count, 2 * late, "the late ones, and those that would be late now");
    for (int i = 0; i < yield_count; i++)
        dial_slot_leave(&slots, &all[yield_order[i]]);
    cr_assert_eq(slots.own_late_held, 20, "nobody else waits any more");
    cr_assert_eq(slots.late_held, 20);
    end(thread);
}

/* However many of one kind came before. */
Test(dial_slots, the_two_kinds_take_turns)
{
    const int full = (int)MAX_DIALS, longer = full + 100;
    struct cq_thread *thread = thread_of_slots();

    request(0, full + 100, false);
    all[longer].waits_longer = true;
    request(longer, 1, false);
    dial_slot_leave(&slots, &all[0]);
    dial_slot_leave(&slots, &all[1]);
    cr_assert_eq(come_count, full + 2);
    cr_assert(come_order[full] == longer || come_order[full + 1] == longer);
    end(thread);
}
