/* answers.c - see answers.h. */
#include "client/lib/processor/answers.h"

#include "event/field_reader.h"
#include "proto/field_numbers.h"

static bool read_response(struct bytes body, struct answer *answer)
{
    struct field_reader reader = field_reader_of(body);
    struct field field = {.number = 0};

    while (reader.next != reader.end) {
        if (!field_next(&reader, &field))
            return false;
        switch (field_tag(&field)) {
        case WIRE_TAG(PB_RUN_RESPONSE_DATA, WIRE_LEN):
            answer->data = field.bytes;
            break;
        case WIRE_TAG(PB_RUN_RESPONSE_BATCH, WIRE_VARINT):
            answer->batch = field.value;
            break;
        default:
            break;
        }
    }
    return true;
}

static bool read_error(struct bytes body, struct answer *answer)
{
    struct field_reader reader = field_reader_of(body);
    struct field field = {.number = 0};

    answer->failed = true;
    while (reader.next != reader.end) {
        if (!field_next(&reader, &field))
            return false;
        switch (field_tag(&field)) {
        case WIRE_TAG(PB_RUN_ERROR_CODE, WIRE_VARINT):
            answer->error.code = field.value;
            break;
        case WIRE_TAG(PB_RUN_ERROR_MESSAGE, WIRE_LEN):
            answer->error.message = field.bytes;
            break;
        case WIRE_TAG(PB_RUN_ERROR_REASON, WIRE_LEN):
            answer->error.reason = field.bytes;
            break;
        case WIRE_TAG(PB_RUN_ERROR_MAY_HAVE_RUN, WIRE_VARINT):
            answer->error.may_have_run = field.value != 0;
            break;
        default:
            break;
        }
    }
    return true;
}

/* Reads one answer, without those in `more`. */
static bool read_one(struct bytes body, struct answer *answer)
{
    struct field_reader reader = field_reader_of(body);
    struct field field = {.number = 0};
    bool good = true;

    *answer = (struct answer){.request = 0};
    while (good && reader.next != reader.end) {
        if (!field_next(&reader, &field))
            return false;
        switch (field_tag(&field)) {
        case WIRE_TAG(PB_RUN_STREAM_RESPONSE_REQUEST, WIRE_VARINT):
            answer->request = field.value;
            break;
        case WIRE_TAG(PB_RUN_STREAM_RESPONSE_RESPONSE, WIRE_LEN):
            good = read_response(field.bytes, answer);
            break;
        case WIRE_TAG(PB_RUN_STREAM_RESPONSE_ERROR, WIRE_LEN):
            good = read_error(field.bytes, answer);
            break;
        default:
            break;
        }
    }
    return good;
}

bool answers_read(struct bytes message, void (*each)(void *ctx, const struct answer *answer), void *ctx)
{
    struct field_reader reader = field_reader_of(message);
    struct field field = {.number = 0};
    struct answer answer;

    if (!read_one(message, &answer))
        return false;
    each(ctx, &answer);
    while (reader.next != reader.end) {
        if (!field_next(&reader, &field))
            return false;
        if (field_tag(&field) != WIRE_TAG(PB_RUN_STREAM_RESPONSE_MORE, WIRE_LEN))
            continue;
        if (!read_one(field.bytes, &answer))
            return false;
        each(ctx, &answer);
    }
    return true;
}
