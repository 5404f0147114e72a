/* batches.c - walks batches and runs.
 *
 * DESIGN. take() gets the bytes that are there and handles tokens: the prefix of gRPC, a field of
 * the batch (of a run only its head), a field of the run. Most bytes are events, and checker_row()
 * handles many events at a time. Every other field goes through field_read(), in whatever order the
 * fields come. */
#include "bench/batches.h"

#include <stdio.h>
#include <string.h>

#include "bench/fields.h"

enum {
    BATCH_RUNS = TAG_LEN(1),
    BATCH_LOST = TAG_LEN(2),
    BATCH_CLOSING = TAG_LEN(5),
    BATCH_STARTED = TAG_LEN(6)
};
enum {
    RUN_EVENTS = TAG_LEN(1),
    RUN_SOURCE = TAG_LEN(2),
    RUN_FIRST = TAG_FIXED64(4),
    RUN_SEQUENCES = TAG_LEN(7),
    RUN_SEQUENCE = TAG_FIXED64(7)
};
enum { EVENT_TOPIC = 2, EVENT_KEY = 3, EVENT_TYPE = 4, EVENT_DATA = 8, BATCH_EVENTS = 1 };

void batches_init(struct batches *batches, struct checker *checker)
{
    *batches = (struct batches){.checker = checker, .producer = MAX_PLAN_PRODUCERS};
    batches->name_size =
        (size_t)snprintf(batches->name, sizeof(batches->name), "load%d.", checker->load->plan.run);
}

void batches_fini(struct batches *batches)
{
    pieces_fini(&batches->pieces);
}

int batches_digits(const struct plan *plan)
{
    return snprintf(NULL, 0, "%u", plan->consumers - 1);
}

void batches_label(const struct plan *plan, uint32_t label, bool pattern, char *text, size_t capacity)
{
    if (plan->filter == FILTER_TOPIC)
        snprintf(text, capacity, "t/%0*u/%s", batches_digits(plan), label, pattern ? "*" : "x");
    else
        snprintf(text, capacity, "k%0*u", batches_digits(plan), label);
}

size_t batches_event_head(const struct plan *plan, uint32_t label, uint8_t *at, size_t *digits_out)
{
    static const unsigned fields[] = {
        [FILTER_KEY] = EVENT_KEY, [FILTER_TYPE] = EVENT_TYPE, [FILTER_TOPIC] = EVENT_TOPIC};
    uint8_t inner[64], *end = inner;
    char text[32];

    if (plan->filter != FILTER_NONE) {
        batches_label(plan, label, false, text, sizeof(text));
        end = put_text(end, fields[plan->filter], text);
    }
    size_t digits = plan->filter == FILTER_TOPIC ? 4 : 3; /* after tag, length and "t/" or "k" */
    end = put_head(end, EVENT_DATA, plan->payload_bytes);
    uint8_t *body =
        put_head(at, BATCH_EVENTS, (size_t)(end - inner) + plan->payload_bytes + plan_tail_bytes(plan));
    memcpy(body, inner, (size_t)(end - inner));
    if (digits_out)
        *digits_out = (size_t)(body - at) + digits;
    return (size_t)(body - at) + (size_t)(end - inner);
}

static size_t fail(struct batches *batches, const char *what)
{
    load_fail(batches->checker->load, "consumer %u: %s", batches->checker->number, what);
    return PIECES_BAD;
}

/* The producer that a name stands for; MAX_PLAN_PRODUCERS: it is none of ours. */
static uint32_t producer_of(const struct batches *batches, struct bytes name)
{
    uint32_t number = 0;
    size_t at = batches->name_size;

    if (name.size <= at || name.size > at + 4 || memcmp(name.data, batches->name, at) != 0)
        return MAX_PLAN_PRODUCERS;
    for (; at < name.size && name.data[at] >= '0' && name.data[at] <= '9'; at++)
        number = number * 10 + (uint32_t)(name.data[at] - '0');
    return at == name.size && number < batches->checker->load->plan.producers ? number : MAX_PLAN_PRODUCERS;
}

/* ---- a run ---- */

/* Notes a field of the run's header; any other field is allowed. False: the field contradicts what
 * is known, or names no producer of ours. */
static bool note_header(struct batches *batches, uint64_t tag, uint64_t number, struct bytes value)
{
    uint32_t producer = batches->producer;
    uint64_t first = batches->first_sequence;

    if (tag == RUN_SOURCE)
        producer = producer_of(batches, value);
    if (tag == RUN_FIRST)
        first = number;
    if (batches->begun)
        return producer == batches->producer && first == batches->first_sequence;
    batches->producer = producer;
    batches->first_sequence = first;
    return tag != RUN_SOURCE || producer != MAX_PLAN_PRODUCERS;
}

/* Called before the first event or sequence of a run: its header must be known. `rest` is the run
 * from here on, as far as it is there. Returns 1, 0 where more bytes are needed, or PIECES_BAD. */
static size_t begin_events(struct batches *batches, struct bytes rest)
{
    struct checker *checker = batches->checker;

    if (batches->producer == MAX_PLAN_PRODUCERS || !batches->first_sequence) {
        struct walk walk = {rest.data, rest.data + batches->run_left};
        uint64_t tag, number;
        struct bytes value;
        if (rest.size < batches->run_left)
            return 0; /* the header stands behind the events: the whole run is needed */
        while (walk_next(&walk, &tag, &number, &value))
            if (!note_header(batches, tag, number, value))
                return fail(batches, "a run of nobody");
        if (!walk.next || batches->producer == MAX_PLAN_PRODUCERS)
            return fail(batches, "a run is malformed, or of nobody");
    }
    batches->first = checker->next[batches->producer];
    if (batches->first_sequence != batches->first + 1) {
        load_fail(checker->load, "consumer %u, producer %u: sequence %llu is due, not %llu", checker->number,
                  batches->producer, (unsigned long long)batches->first + 1,
                  (unsigned long long)batches->first_sequence);
        return PIECES_BAD;
    }
    batches->begun = true;
    batches->events_before = checker->events;
    return 1;
}

/* Checks sequences against the numbers that were due when the run began. */
static bool check_sequences(struct batches *batches, struct bytes packed)
{
    const uint64_t stride = batches->checker->stride;

    for (; packed.size >= sizeof(uint64_t);
         packed.data += sizeof(uint64_t), packed.size -= sizeof(uint64_t)) {
        uint64_t sequence;
        memcpy(&sequence, packed.data, sizeof(sequence));
        if (sequence != batches->first + batches->sequences++ * stride + 1)
            return false;
    }
    return packed.size == 0;
}

/* Checks an event that does not have the usual shape. */
static void check_event(struct batches *batches, struct bytes event)
{
    struct walk walk = {event.data, event.data + event.size};
    uint64_t tag, number;
    struct bytes value, payload = {0};

    while (walk_next(&walk, &tag, &number, &value))
        if (tag == TAG_LEN(EVENT_DATA))
            payload = value;
    checker_event(batches->checker, batches->producer, payload);
}

static bool end_run(struct batches *batches)
{
    uint64_t events = batches->checker->events - batches->events_before;
    bool holes = batches->checker->stride > 1 && events > 1;

    batches->in_run = false;
    return batches->begun && (batches->sequences == events || (!batches->sequences && !holes));
}

/* Handles one field of a run that is not an event of the usual shape. Returns how many bytes; 0: it
 * is not whole. */
static size_t take_field(struct batches *batches, struct bytes run)
{
    uint64_t tag = 0, number = 0;
    struct bytes value = {0};
    size_t size = field_read(run.data, run.data + run.size, &tag, &number, &value);
    bool content = tag == RUN_EVENTS || tag == RUN_SEQUENCES || tag == RUN_SEQUENCE;

    if (!size)
        return run.size < batches->run_left ? 0 : fail(batches, "a run is malformed");
    if (content && !batches->begun) {
        size_t begun = begin_events(batches, run);
        if (begun != 1)
            return begun;
    }
    if (tag == RUN_EVENTS)
        check_event(batches, value);
    else if (tag == RUN_SEQUENCES && !check_sequences(batches, value))
        return fail(batches, "a run lists other sequences than its events have");
    else if (tag == RUN_SEQUENCE &&
             !check_sequences(batches, (struct bytes){(const uint8_t *)&number, sizeof(number)}))
        return fail(batches, "a run lists another sequence than its event has");
    else if (!content && !note_header(batches, tag, number, value))
        return fail(batches, "a run of nobody, or of two");
    return size;
}

static size_t take_run(struct batches *batches, struct bytes input)
{
    struct bytes run = {input.data, MIN_OF(input.size, batches->run_left)};
    size_t taken = 0;

    if (batches->begun)
        taken = (size_t)(checker_row(batches->checker, batches->producer, run.data, run.data + run.size) -
                         run.data);
    if (!taken)
        taken = take_field(batches, run);
    if (taken == PIECES_BAD)
        return PIECES_BAD;
    batches->run_left -= taken;
    if (!batches->run_left && !end_run(batches))
        return fail(batches, "a run has no events, or events with holes that it does not list");
    return taken;
}

/* ---- a batch ---- */

static void begin_run(struct batches *batches, size_t size)
{
    batches->in_run = true;
    batches->run_left = size;
    batches->producer = MAX_PLAN_PRODUCERS;
    batches->first_sequence = 0;
    batches->begun = false;
    batches->sequences = 0;
    batches->events_before = batches->checker->events;
}

/* Handles the head of a run, or any other field as a whole. Returns how many bytes; 0: it is not
 * whole. */
static size_t take_batch_field(struct batches *batches, struct bytes input)
{
    struct bytes batch = {input.data, MIN_OF(input.size, batches->message_left)}, value;
    const uint8_t *end = batch.data + batch.size;
    uint64_t tag = 0, number = 0;
    size_t size = varint_read(batch.data, end, &tag);

    if (size && tag == BATCH_RUNS) {
        size_t length = varint_read(batch.data + size, end, &number);
        size = length ? size + length : 0;
        if (size && (!number || number > batches->message_left - size))
            return fail(batches, "a run is empty, or longer than its message");
    } else {
        size = field_read(batch.data, end, &tag, &number, &value);
    }
    if (!size)
        return batch.size < batches->message_left ? 0 : fail(batches, "a message is malformed");
    if (tag == BATCH_LOST)
        return fail(batches, "was told of a loss");
    if (tag == BATCH_CLOSING)
        return fail(batches, "was told of a closing");
    batches->started |= tag == BATCH_STARTED;
    batches->message_left -= size;
    if (tag == BATCH_RUNS) {
        begin_run(batches, number);
        batches->message_left -= number;
    }
    return size;
}

static size_t take_prefix(struct batches *batches, struct bytes input)
{
    if (input.size < GRPC_PREFIX_BYTES)
        return 0;
    if (input.data[0])
        return fail(batches, "a message is compressed");
    batches->message_left = (size_t)input.data[1] << 24 | (size_t)input.data[2] << 16 |
                            (size_t)input.data[3] << 8 | input.data[4];
    batches->checker->messages++;
    return GRPC_PREFIX_BYTES;
}

static size_t consume(void *ctx, struct bytes input)
{
    struct batches *batches = ctx;
    size_t at = 0;

    while (at < input.size) {
        struct bytes rest = {input.data + at, input.size - at};
        size_t taken = batches->in_run         ? take_run(batches, rest)
                       : batches->message_left ? take_batch_field(batches, rest)
                                               : take_prefix(batches, rest);
        if (taken == PIECES_BAD)
            return PIECES_BAD;
        if (!taken)
            break;
        at += taken;
    }
    return at;
}

void batches_add(struct batches *batches, struct bytes piece)
{
    if (!pieces_add(&batches->pieces, piece, consume, batches) && !load_failed(batches->checker->load))
        fail(batches, "no memory for what came");
}
