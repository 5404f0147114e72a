/* cascade_resume.c - where the next call of a cascade goes on. See cascade.h. */
#include <string.h>

#include "event/field_write.h"
#include "grpc/slices.h"
#include "proto/field_numbers.h"
#include "server/dial/cascade_internal.h"
#include "server/dial/endpoint_params.h"

/* What the server of the upstream takes. */
#define MAX_TOKEN_BYTES (64u << 10)
#define MAX_POSITIONS 16384u
#define MAX_POSITIONS_BYTES (512u << 10)

/* A token that is not kept is not used: then the older one says where the stream stood, with more
 * positions behind it. */
void cascade_set_token(struct cascade *cascade, struct bytes token)
{
    struct buf kept = {0};

    if (token.size == 0 || token.size > MAX_TOKEN_BYTES)
        return;
    buf_bytes(&kept, token.data, token.size);
    if (kept.broken)
        return;
    buf_fini(&cascade->token);
    cascade->token = kept;
    cascade->token_number++;
}

bool cascade_can_resume(const struct cascade *cascade)
{
    return cascade->token.size > 0 && strcmp(cascade->plan->method, SUBSCRIBE_METHOD) == 0;
}

struct positions {
    const struct cascade *cascade;
    struct buf *start;
    uint32_t count;
};

static bool write_position(void *ctx, struct relayed *relayed)
{
    struct positions *positions = ctx;
    const uint64_t sequence = inlet_sequence(relayed_inlet(relayed));
    struct buf body = {0};

    if (relayed_mark(relayed)->token != positions->cascade->token_number || sequence == 0)
        return true;
    field_bytes(&body, PB_POSITION_SOURCE, relayed_inner(relayed));
    field_fixed64(&body, PB_POSITION_EPOCH, relayed_epoch(relayed));
    field_fixed64(&body, PB_POSITION_SEQUENCE, sequence);
    field_message(positions->start, PB_START_POSITIONS_POSITIONS, &body);
    return ++positions->count < MAX_POSITIONS && positions->start->size < MAX_POSITIONS_BYTES;
}

static void write_start(const struct cascade *cascade, struct buf *request)
{
    struct buf positions = {0}, start = {0};

    field_bytes(&positions, PB_START_POSITIONS_RESUME_TOKEN,
                (struct bytes){cascade->token.data, cascade->token.size});
    relays_each(cascade->relays, write_position,
                &(struct positions){.cascade = cascade, .start = &positions});
    field_message(&start, PB_START_POSITIONS, &positions);
    field_message(request, PB_SUBSCRIBE_REQUEST_START, &start);
}

/* The request without its own start. A request that is not well-formed is the upstream's to
 * refuse. */
static bool copy_rest(struct bytes request, struct buf *rest)
{
    struct field_reader reader = field_reader_of(request);

    while (reader.next < reader.end) {
        const uint8_t *from = reader.next;
        struct field field = {0};

        if (!field_next(&reader, &field))
            return false;
        if (field.number != PB_SUBSCRIBE_REQUEST_START)
            buf_bytes(rest, from, (size_t)(reader.next - from));
    }
    return true;
}

grpc_slice cascade_request(const struct cascade *cascade, struct bytes request)
{
    struct buf bytes = {0};

    if (!cascade->resumes)
        return slice_copy_of(request);
    if (copy_rest(request, &bytes))
        write_start(cascade, &bytes);
    else
        bytes.broken = true;
    if (!bytes.broken)
        return slice_of_buf(&bytes);
    buf_fini(&bytes);
    return slice_copy_of(request);
}
