/* cascade_read.c - see cascade_read.h. */
#include "server/dial/cascade_read.h"

#include <stdlib.h>

#include "event/chunk.h"
#include "event/field_reader.h"
#include "event/text.h"
#include "flow/chan_limits.h"
#include "proto/field_numbers.h"

/* A larger loss is a number that nobody has counted. */
#define MAX_LOST_EVENTS (UINT64_C(1) << 40)
#define MAX_LOST_BYTES (UINT64_C(1) << 50)

#define FIELDS 16u

/* The fields of a small message: of each number the last one. A field of another wire type than it
 * should have counts as absent. */
struct flat {
    uint64_t numbers[FIELDS];
    struct bytes texts[FIELDS];
};

static enum fault_reason malformed(struct fault *fault, const char *field)
{
    return fault_set(fault, FAULT_MALFORMED, field, "");
}

static bool read_flat(struct bytes from, struct flat *flat)
{
    struct field_reader reader = field_reader_of(from);

    *flat = (struct flat){.numbers = {0}};
    while (reader.next < reader.end) {
        struct field field = {0};

        if (!field_next(&reader, &field))
            return false;
        if (field.number >= FIELDS)
            continue;
        if (field.type == WIRE_LEN)
            flat->texts[field.number] = field.bytes;
        else
            flat->numbers[field.number] = field.value;
    }
    return true;
}

bool cascade_read_field(struct bytes from, uint32_t number, struct bytes *field)
{
    struct flat flat;

    CHECK(number < FIELDS);
    if (!read_flat(from, &flat))
        return false;
    *field = flat.texts[number];
    return true;
}

static enum fault_reason set_source(struct inner_name *source, struct bytes name, uint64_t epoch,
                                    const char *field, struct fault *fault)
{
    *source = (struct inner_name){name, epoch};
    return name_check(name, field, MAX_INNER_NAME_BYTES, fault);
}

/* ---- losses ---- */

/* What a channel lost in its own order, so that nothing older waits in it. What an upstream of the
 * upstream lost may come before events that are older. */
static bool is_of_the_front(uint64_t reason, bool upstream)
{
    return !upstream && (reason == LOSS_OVERFLOW_OLDEST || reason == LOSS_RESUME_GAP);
}

static void set_count(struct source_loss *loss, const struct flat *flat)
{
    loss->count = flat->numbers[PB_LOST_COUNT];
    loss->bytes = MIN_OF(flat->numbers[PB_LOST_BYTES], MAX_LOST_BYTES);
    loss->count_unknown = flat->numbers[PB_LOST_COUNT_UNKNOWN] != 0 || loss->count > MAX_LOST_EVENTS;
    if (loss->count > MAX_LOST_EVENTS) {
        loss->count = 0;
        loss->bytes = 0;
    }
}

static void set_range(struct source_loss *loss, const struct flat *flat)
{
    const uint64_t first = flat->numbers[PB_LOST_FIRST_SEQUENCE], last = flat->numbers[PB_LOST_LAST_SEQUENCE];

    if (first == 0 || first > last || last > MAX_RELAYED_SEQUENCE)
        return;
    loss->first_sequence = first;
    loss->last_sequence = last;
}

enum fault_reason cascade_read_loss(struct bytes from, struct inner_loss *loss, struct fault *fault)
{
    struct flat flat;

    if (!read_flat(from, &flat))
        return malformed(fault, "message.lost");
    const uint64_t reason = flat.numbers[PB_LOST_REASON];
    const bool is_known = reason > 0 && reason < LOSS_COUNT && reason != LOSS_CONSUMER_GONE;

    *loss = (struct inner_loss){.loss.reason = is_known ? (uint32_t)reason : LOSS_REPORTED_BY_PRODUCER,
                                .moves = is_of_the_front(reason, flat.numbers[PB_LOST_UPSTREAM] != 0)};
    set_count(&loss->loss, &flat);
    set_range(&loss->loss, &flat);
    if (flat.texts[PB_LOST_SOURCE].size == 0)
        return FAULT_NONE;
    return set_source(&loss->source, flat.texts[PB_LOST_SOURCE], flat.numbers[PB_LOST_EPOCH],
                      "message.lost.source", fault);
}

/* ---- states ---- */

enum fault_reason cascade_read_state(struct bytes from, struct inner_state *state, struct fault *fault)
{
    struct flat flat, error;

    if (!read_flat(from, &flat) || !read_flat(flat.texts[PB_PRODUCER_STATUS_ERROR], &error))
        return malformed(fault, "message.producers");
    const uint64_t code = error.numbers[PB_PRODUCER_STATUS_ERROR_CODE];

    state->source = (struct inner_name){{NULL, 0}, 0};
    state->state = (uint32_t)MIN_OF(flat.numbers[PB_PRODUCER_STATUS_STATE], UINT32_MAX);
    state->code = code > CODE_UNAUTHENTICATED ? CODE_UNKNOWN : (uint32_t)code;
    peer_words_copy(state->message, error.texts[PB_PRODUCER_STATUS_ERROR_MESSAGE]);
    if (flat.texts[PB_PRODUCER_STATUS_SOURCE].size == 0)
        return FAULT_NONE;
    return set_source(&state->source, flat.texts[PB_PRODUCER_STATUS_SOURCE],
                      flat.numbers[PB_PRODUCER_STATUS_EPOCH], "message.producers.source", fault);
}

/* ---- positions ---- */

enum fault_reason cascade_read_position(struct bytes from, struct inner_position *position,
                                        struct fault *fault)
{
    struct flat flat;

    if (!read_flat(from, &flat))
        return malformed(fault, "message.progress.positions");
    position->sequence = flat.numbers[PB_POSITION_SEQUENCE];
    if (position->sequence > MAX_RELAYED_SEQUENCE)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "message.progress.positions.sequence",
                            position->sequence, "at most 2^62");
    return set_source(&position->source, flat.texts[PB_POSITION_SOURCE], flat.numbers[PB_POSITION_EPOCH],
                      "message.progress.positions.source", fault);
}

/* ---- runs ---- */

static uint64_t number_of(const struct framing_scan *scan, uint32_t number)
{
    const struct framing_field *field = &scan->fields[number];

    return field->present && field->type != WIRE_LEN ? field->number : 0;
}

enum fault_reason cascade_read_source(const struct framing_scan *scan, struct inner_name *source,
                                      struct fault *fault)
{
    const struct framing_field *name = &scan->fields[PB_RUN_SOURCE];
    const bool is_there = name->present && name->type == WIRE_LEN;

    return set_source(source, is_there ? name->bytes : (struct bytes){NULL, 0}, number_of(scan, PB_RUN_EPOCH),
                      "message.runs.source", fault);
}

enum fault_reason cascade_read_origin(const struct framing_scan *scan, struct bytes *origin,
                                      struct fault *fault)
{
    const struct framing_field *field = &scan->fields[PB_RUN_ORIGIN];

    *origin = (struct bytes){NULL, 0};
    if (!field->present || field->type != WIRE_LEN || field->bytes.size == 0)
        return FAULT_NONE;
    *origin = field->bytes;
    return name_check(field->bytes, "message.runs.origin", MAX_INNER_NAME_BYTES, fault);
}

static bool add_numbers(uint64_t *sequences, uint32_t *count, uint32_t max, struct bytes packed)
{
    if (packed.size % sizeof(uint64_t) != 0 || packed.size / sizeof(uint64_t) > max - *count)
        return false;
    for (size_t i = 0; i < packed.size; i += sizeof(uint64_t))
        sequences[(*count)++] = word_read(packed.data + i);
    return true;
}

/* Packed or not. Returns how many there are; more than `max`: malformed. */
static uint32_t read_sequences(struct bytes run, uint64_t *sequences, uint32_t max)
{
    struct field_reader reader = field_reader_of(run);
    uint32_t count = 0;

    while (reader.next < reader.end) {
        struct field field = {0};

        if (!field_next(&reader, &field))
            return max + 1;
        if (field.number != PB_RUN_SEQUENCES)
            continue;
        if (field.type == WIRE_LEN ? !add_numbers(sequences, &count, max, field.bytes)
                                   : field.type != WIRE_FIXED64 || count == max)
            return max + 1;
        if (field.type == WIRE_FIXED64)
            sequences[count++] = field.value;
    }
    return count;
}

static bool are_rising(const uint64_t *sequences, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (sequences[i] <= sequences[i - 1])
            return false;
    return sequences[0] > 0 && sequences[count - 1] <= MAX_RELAYED_SEQUENCE;
}

/* A chunk that lists the sequences of its events. NULL: out of memory. */
static struct chunk *listed(struct chunk *chunk, const uint64_t *sequences)
{
    struct chunk *picked = chunk_picked(chunk->count, chunk_bytes(chunk, 0, chunk->count));

    for (uint32_t first = 0, last; picked && first < chunk->count; first = last) {
        for (last = first + 1; last < chunk->count && sequences[last] == sequences[last - 1] + 1;)
            last++;
        chunk->first_sequence = sequences[first] - first; /* modulo 2^64 */
        chunk_pick(picked, chunk, first, last);
    }
    return picked;
}

/* Gives the chunk its sequences, or makes another one in its place. */
static enum fault_reason number(struct bytes run, struct chunk **chunk, uint64_t first, struct fault *fault)
{
    const uint32_t count = (*chunk)->count;
    uint64_t *sequences = calloc(count, sizeof(*sequences));
    struct chunk *picked = NULL;

    if (!sequences)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "message", NULL);
    const uint32_t listed_count = read_sequences(run, sequences, count);
    const bool is_listed = listed_count == count && are_rising(sequences, count);
    if (is_listed)
        picked = listed(*chunk, sequences);
    free(sequences);
    if (listed_count == 0 && first > 0 && first <= MAX_RELAYED_SEQUENCE) {
        (*chunk)->first_sequence = first;
        return FAULT_NONE;
    }
    if (!is_listed)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "message.runs.sequences", listed_count,
                            "one for each event, rising, 1 to 2^62");
    if (!picked)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "message", NULL);
    chunk_release(*chunk);
    *chunk = picked;
    return FAULT_NONE;
}

enum fault_reason cascade_read_events(struct bytes run, const struct framing_scan *scan,
                                      struct chunk **chunk_out, struct fault *fault)
{
    const uint64_t first = number_of(scan, PB_RUN_FIRST_SEQUENCE);
    struct chunk *chunk;

    if (chunk_of(run, scan, &chunk) != ERR_OK)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "message", NULL);
    if (!scan->fields[PB_RUN_SEQUENCES].present && first > 0 && first <= MAX_RELAYED_SEQUENCE)
        chunk->first_sequence = first;
    else if (number(run, &chunk, first, fault)) {
        chunk_release(chunk);
        return fault->reason;
    }
    *chunk_out = chunk;
    return FAULT_NONE;
}
