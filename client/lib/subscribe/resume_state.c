/* resume_state.c - see resume_state.h. */
#include "client/lib/subscribe/resume_state.h"

#include <stdlib.h>
#include <string.h>

#include "client/lib/subscribe/subscribe_encode.h"
#include "event/field_reader.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"

#define MAX_BYTES 700000u
#define POSITION_BYTES 24u /* of an encoded position, without its source */

struct position {
    struct map_node node;
    uint64_t epoch, sequence;
    uint8_t source[];
};

static void forget_positions(struct resume_state *state)
{
    struct map_node *node = map_next(&state->positions, NULL);

    while (node) {
        struct map_node *next = map_next(&state->positions, node);

        free(container_of(node, struct position, node));
        node = next;
    }
    map_fini(&state->positions);
    map_init(&state->positions);
    state->last = NULL;
    state->bytes = 0;
}

void resume_state_fini(struct resume_state *state)
{
    forget_positions(state);
    buf_fini(&state->token);
}

void resume_state_clear(struct resume_state *state)
{
    forget_positions(state);
    buf_clear(&state->token);
}

bool resume_state_is_empty(const struct resume_state *state)
{
    return state->token.size == 0 && state->positions.count == 0;
}

void resume_state_token(struct resume_state *state, struct bytes token)
{
    if (token.size == 0 || token.size > MAX_RESUME_TOKEN_BYTES)
        return;
    resume_state_clear(state);
    buf_bytes(&state->token, token.data, token.size);
    state->token_is_ours = true;
}

/* Returns it; NULL: there is no space for it. */
static struct position *add(struct resume_state *state, struct bytes source, uint64_t epoch,
                            uint64_t sequence)
{
    struct position *position = NULL;

    if (state->positions.count == MAX_START_POSITIONS ||
        state->bytes + source.size + POSITION_BYTES > MAX_BYTES ||
        !(position = malloc(sizeof(*position) + source.size)))
        return NULL;
    if (source.size > 0)
        memcpy(position->source, source.data, source.size);
    position->node.key = (struct bytes){position->source, source.size};
    position->epoch = epoch;
    position->sequence = sequence;
    if (map_add(&state->positions, &position->node) != ERR_OK) {
        free(position);
        return NULL;
    }
    state->bytes += source.size + POSITION_BYTES;
    return position;
}

/* NULL: it is not there. Events of one source often follow each other. */
static struct position *find(struct resume_state *state, struct bytes source)
{
    const struct position *last = state->last;
    struct map_node *node = NULL;

    if (last && last->node.key.size == source.size &&
        (source.size == 0 || memcmp(last->source, source.data, source.size) == 0))
        return state->last;
    node = map_find(&state->positions, source);
    if (node)
        state->last = container_of(node, struct position, node);
    return node ? state->last : NULL;
}

/* Epochs rise, so an older one brings no news. Within an epoch the later position counts: one
 * Progress may name a source twice, which was left and selected again. */
static void note(struct resume_state *state, struct bytes source, uint64_t epoch, uint64_t sequence)
{
    struct position *position = find(state, source);

    if (!position) {
        state->last = add(state, source, epoch, sequence);
    } else if (epoch >= position->epoch) {
        position->sequence = epoch > position->epoch ? sequence : MAX_OF(position->sequence, sequence);
        position->epoch = epoch;
    }
}

void resume_state_handled(struct resume_state *state, struct bytes source, uint64_t epoch, uint64_t sequence)
{
    if (state->token.size > 0)
        note(state, source, epoch, sequence);
}

static bool read_position(struct resume_state *state, struct bytes body)
{
    struct field_reader reader = field_reader_of(body);
    struct bytes source = {NULL, 0};
    uint64_t epoch = 0;
    uint64_t sequence = 0;
    struct field field = {.number = 0};

    while (reader.next != reader.end) {
        if (!field_next(&reader, &field))
            return false;
        if (field.number == PB_POSITION_SOURCE && field.type == WIRE_LEN)
            source = field.bytes;
        else if (field.number == PB_POSITION_EPOCH && field.type == WIRE_FIXED64)
            epoch = field.value;
        else if (field.number == PB_POSITION_SEQUENCE && field.type == WIRE_FIXED64)
            sequence = field.value;
        else if (field.number <= PB_POSITION_SEQUENCE)
            return false;
    }
    note(state, source, epoch, sequence);
    return true;
}

bool resume_state_progress(struct resume_state *state, struct bytes progress)
{
    struct field_reader reader = field_reader_of(progress);
    struct field field;

    while (reader.next != reader.end) {
        if (!field_next(&reader, &field))
            return false;
        if (field.number == PB_PROGRESS_POSITIONS &&
            (field.type != WIRE_LEN || !read_position(state, field.bytes)))
            return false;
    }
    return true;
}

static void write_position(const struct position *position, struct buf *positions)
{
    struct buf inner = {0};

    field_bytes(&inner, PB_POSITION_SOURCE, position->node.key);
    field_fixed64(&inner, PB_POSITION_EPOCH, position->epoch);
    field_fixed64(&inner, PB_POSITION_SEQUENCE, position->sequence);
    field_message(positions, PB_START_POSITIONS_POSITIONS, &inner);
}

void resume_state_write(const struct resume_state *state, struct buf *request)
{
    const struct bytes token = {state->token.data, state->token.size};
    struct buf positions = {0};
    struct buf start = {0};
    struct map_node *node = NULL;

    if (state->positions.count == 0) {
        subscribe_write_resume(request, token);
        return;
    }
    field_bytes(&positions, PB_START_POSITIONS_RESUME_TOKEN, token);
    while ((node = map_next(&state->positions, node)))
        write_position(container_of(node, struct position, node), &positions);
    field_message(&start, PB_START_POSITIONS, &positions);
    field_message(request, PB_SUBSCRIBE_REQUEST_START, &start);
}
