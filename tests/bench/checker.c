/* checker.c - checks that the numbers have no gap and no repetition and are in order. */
#include "bench/checker.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { HEAD_WORDS_BYTES = 16 };

bool checker_init(struct checker *checker, struct load *load, uint32_t number, const struct shape *shape)
{
    uint64_t *next = calloc(load->plan.producers, sizeof(*next));

    if (!next)
        return false;
    *checker = (struct checker){.load = load, .number = number, .stride = 1, .shape = *shape, .next = next};
    CHECK(shape->head_size <= sizeof(shape->head) && shape->step >= shape->head_size + sizeof(struct mark));
    memset(checker->head_mask, 0xff, MIN_OF(shape->head_size, (size_t)HEAD_WORDS_BYTES));
    memcpy(checker->head, shape->head, MIN_OF(shape->head_size, (size_t)HEAD_WORDS_BYTES));
    if (load->plan.filter != FILTER_NONE) {
        checker->stride = load->plan.consumers;
        for (uint32_t i = 0; i < load->plan.producers; i++)
            next[i] = number;
    }
    return true;
}

void checker_fini(struct checker *checker)
{
    free(checker->next);
    *checker = (struct checker){0};
}

void checker_begin(struct checker *checker)
{
    checker->now_ns = 0;
}

/* Adds the events since time_first to the histogram, if they belong to the measured time. */
static void add_latencies(struct checker *checker, uint64_t events)
{
    struct load *load = checker->load;
    int64_t begin_ns = atomic_load_explicit(&load->begin_ns, memory_order_relaxed);
    int64_t end_ns = atomic_load_explicit(&load->end_ns, memory_order_relaxed);
    int64_t time_ns = (int64_t)checker->time_ns;

    if (begin_ns && time_ns >= begin_ns && time_ns < end_ns && events > checker->time_first)
        histogram_add(&load->latency, (uint64_t)MAX_OF(checker->now_ns - time_ns, INT64_C(0)),
                      events - checker->time_first);
    checker->time_first = events;
}

void checker_end(struct checker *checker)
{
    struct totals *totals = &checker->load->totals[checker->number];

    add_latencies(checker, checker->events);
    atomic_store_explicit(&totals->events, checker->events, memory_order_relaxed);
    atomic_store_explicit(&totals->messages, checker->messages, memory_order_relaxed);
}

/* The time field stands behind the payload, behind its tag. */
static void check_order(struct checker *checker, const uint8_t *payload)
{
    uint64_t time_ns;

    memcpy(&time_ns, payload + checker->load->plan.payload_bytes + 1, sizeof(time_ns));
    time_ns = le64toh(time_ns);
    if (time_ns < checker->sorted_ns)
        load_fail(checker->load, "consumer %u: an event is %llu ns earlier than the one before it",
                  checker->number, (unsigned long long)(checker->sorted_ns - time_ns));
    checker->sorted_ns = time_ns;
}

static void begin_row(struct checker *checker)
{
    if (!checker->now_ns)
        checker->now_ns = clock_mono_ns();
}

const uint8_t *checker_row(struct checker *checker, uint32_t producer, const uint8_t *at, const uint8_t *end)
{
    const size_t head_size = checker->shape.head_size, step = checker->shape.step, stride = checker->stride;
    const uint64_t head[2] = {checker->head[0], checker->head[1]},
                   mask[2] = {checker->head_mask[0], checker->head_mask[1]};
    const bool sorted = checker->load->plan.sort_window_ms > 0;
    const size_t more = head_size > HEAD_WORDS_BYTES ? head_size - HEAD_WORDS_BYTES : 0;
    uint64_t due = mark_id(producer, checker->next[producer]), time_ns = checker->time_ns,
             events = checker->events;
    const uint8_t *first = at;

    begin_row(checker);
    /* A step holds a head and a mark, so at least 16 bytes can be read at its beginning. */
    for (; (size_t)(end - at) >= step; at += step) {
        struct mark mark;
        uint64_t words[2];
        memcpy(words, at, sizeof(words));
        memcpy(&mark, at + head_size, sizeof(mark));
        if (((words[0] ^ head[0]) & mask[0]) | ((words[1] ^ head[1]) & mask[1]) | (mark.id ^ due))
            break;
        if (more && memcmp(at + HEAD_WORDS_BYTES, checker->shape.head + HEAD_WORDS_BYTES, more) != 0)
            break;
        if (mark.time_ns != time_ns) {
            add_latencies(checker, events);
            checker->time_ns = time_ns = mark.time_ns;
        }
        if (sorted)
            check_order(checker, at + head_size);
        due += stride;
        events++;
    }
    if (at != first) {
        checker->next[producer] = due - mark_id(producer, 0);
        checker->events = events;
    }
    return at;
}

void checker_event(struct checker *checker, uint32_t producer, struct bytes payload)
{
    struct mark mark = {0};
    uint64_t due = mark_id(producer, checker->next[producer]);

    begin_row(checker);
    if (payload.size >= sizeof(mark))
        memcpy(&mark, payload.data, sizeof(mark));
    if (payload.size != checker->load->plan.payload_bytes || mark.id != due) {
        load_fail(
            checker->load,
            "consumer %u, producer %u: number %llu is due, not number %llu of producer %llu in %zu bytes",
            checker->number, producer, (unsigned long long)checker->next[producer],
            (unsigned long long)(mark.id & ((UINT64_C(1) << MARK_NUMBER_BITS) - 1)),
            (unsigned long long)(mark.id >> MARK_NUMBER_BITS), payload.size);
        return;
    }
    if (mark.time_ns != checker->time_ns) {
        add_latencies(checker, checker->events);
        checker->time_ns = mark.time_ns;
    }
    if (checker->load->plan.sort_window_ms > 0)
        check_order(checker, payload.data);
    checker->next[producer] += checker->stride;
    checker->events++;
}

uint32_t checker_producer(const struct checker *checker, const uint8_t *payload)
{
    struct mark mark;

    memcpy(&mark, payload, sizeof(mark));
    uint64_t producer = mark.id >> MARK_NUMBER_BITS;
    return producer < checker->load->plan.producers ? (uint32_t)producer : MAX_PLAN_PRODUCERS;
}

size_t checker_messages(struct checker *checker, struct bytes input)
{
    uint64_t before = checker->events;

    if (input.size < checker->shape.step)
        return 0;
    const uint8_t *payload = input.data + checker->shape.head_size;
    uint32_t producer = checker_producer(checker, payload);
    if (producer == MAX_PLAN_PRODUCERS) {
        load_fail(checker->load, "consumer %u: a message of no producer of ours", checker->number);
        return SIZE_MAX;
    }
    const uint8_t *at = checker_row(checker, producer, input.data, input.data + input.size);
    if (at == input.data) {
        /* reports what is wrong */
        checker_event(checker, producer, (struct bytes){payload, checker->load->plan.payload_bytes});
        return SIZE_MAX;
    }
    checker->messages += checker->events - before;
    return (size_t)(at - input.data);
}
