/* start_request.c - see start_request.h. */
#include "server/rpc/start_request.h"

#include <inttypes.h>
#include <stdlib.h>

#include "event/text.h"
#include "route/history.h"
#include "server/rpc/decode.h"
#include "server/rpc/token.h"
#include "tributary/v1/subscriber.pb-c.h"

#define MAX_SOURCE_BYTES 256u
/* Until the stream is bound each costs what resume.c says, and a microsecond of the loop. */
#define MAX_POSITIONS 16384u

#define UNNAMED(name) TRIBUTARY__V1__START__POSITIONS__UNNAMED__UNNAMED_##name
#define AT(name) TRIBUTARY__V1__START__AT_##name

/* Reads a token, with space for `spare` more points behind its own. */
static enum fault_reason resume_read(const ProtobufCBinaryData *token, const char *field, size_t spare,
                                     struct start_request *request, struct fault *fault)
{
    struct token_points points;

    if (token_read((struct bytes){token->data, token->len}, field, spare, &points, fault) != FAULT_NONE)
        return fault->reason;
    request->points = points.list;
    request->params->resume = points.list;
    request->params->resume_count = points.count;
    /* Another server may have had sources that published after the token was written. */
    request->params->resume_left_out = points.left_out + points.of_another_server;
    return FAULT_NONE;
}

/* The positions come behind those of the token, and replace them. */
static enum fault_reason positions_read(const Tributary__V1__Start__Positions *positions,
                                        struct start_request *request, struct fault *fault)
{
    enum fault_reason reason = FAULT_NONE;

    if (positions->n_positions > MAX_POSITIONS)
        return fault_number(fault, FAULT_TOO_MANY, "start.positions.positions", positions->n_positions,
                            "at most 16384");
    if (positions->unnamed == UNNAMED(EARLIEST))
        request->params->stored_start = STORED_EARLIEST;
    if (positions->unnamed == UNNAMED(LIVE))
        request->params->resume_others_live = true;
    if (positions->resume_token.len > 0) {
        reason = resume_read(&positions->resume_token, "start.positions.resume_token", positions->n_positions,
                             request, fault);
    } else {
        request->points = calloc(positions->n_positions + 1, sizeof(*request->points));
        request->params->resume = request->points;
        request->params->resume_others_live = true;
        if (!request->points)
            return fault_set(fault, FAULT_MEMORY_BUDGET, "", "");
    }
    for (size_t i = 0; i < positions->n_positions && !reason; i++) {
        const Tributary__V1__Position *position = positions->positions[i];

        request->points[request->params->resume_count++] = (struct resume_point){
            text_bytes(position->source), position->epoch, position->sequence, .overrides = true};
        reason = name_check(text_bytes(position->source), "start.positions.positions.source",
                            MAX_SOURCE_BYTES, fault);
    }
    return reason;
}

static enum fault_reason last_read(uint32_t last, struct start_request *request, struct fault *fault)
{
    if (last > HISTORY_EVENTS)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "start.last", last, "at most 1024");
    request->params->last = last;
    return FAULT_NONE;
}

static enum fault_reason sequence_read(uint64_t sequence, struct start_request *request, struct fault *fault)
{
    if (sequence == 0)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "start.sequence", sequence, "at least 1");
    request->params->stored_start = STORED_SEQUENCE;
    request->params->stored_value = sequence;
    return FAULT_NONE;
}

static enum fault_reason time_read(uint64_t time_ns, struct start_request *request, struct fault *fault)
{
    if (time_ns > INT64_MAX)
        return fault_number(fault, FAULT_OUT_OF_BOUNDS, "start.time_unix_nano", time_ns, "at most 2^63 - 1");
    request->params->stored_start = STORED_TIME;
    request->params->stored_value = time_ns;
    return FAULT_NONE;
}

enum fault_reason start_read(const ProtobufCMessage *message, struct start_request *request,
                             struct fault *fault)
{
    const Tributary__V1__Start *start = (const Tributary__V1__Start *)(const void *)message;

    switch (start ? start->at_case : AT(LIVE)) {
    case AT(LAST):
        return last_read(start->last, request, fault);
    case AT(EARLIEST):
        request->params->stored_start = STORED_EARLIEST;
        return FAULT_NONE;
    case AT(SEQUENCE):
        return sequence_read(start->sequence, request, fault);
    case AT(TIME_UNIX_NANO):
        return time_read(start->time_unix_nano, request, fault);
    case AT(RESUME):
        return resume_read(&start->resume, "start.resume", 0, request, fault);
    case AT(POSITIONS):
        return positions_read(start->positions, request, fault);
    default:
        return FAULT_NONE;
    }
}
