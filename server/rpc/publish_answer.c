/* publish_answer.c - what the next PublishStreamResponse says. */
#include "server/rpc/publish_answer.h"

#include "event/field_write.h"
#include "proto/field_numbers.h"

static void note_refusal(struct publish_answer *answer, uint64_t batch, const struct fault *fault)
{
    struct buf refused = {0};
    char text[600];
    size_t length = fault_message(fault, text, sizeof(text));

    field_varint(&refused, PB_PUBLISH_STREAM_RESPONSE_REFUSED_BATCH, batch);
    field_varint(&refused, PB_PUBLISH_STREAM_RESPONSE_REFUSED_CODE, fault_code(fault->reason));
    field_bytes(&refused, PB_PUBLISH_STREAM_RESPONSE_REFUSED_MESSAGE,
                (struct bytes){(const uint8_t *)text, length});
    field_text(&refused, PB_PUBLISH_STREAM_RESPONSE_REFUSED_REASON, fault_reason_name(fault->reason));
    field_message(&answer->refused, PB_PUBLISH_STREAM_RESPONSE_REFUSED, &refused);
}

void publish_answer_confirm(struct publish_answer *answer, const struct intake *intake, uint64_t count,
                            enum fault_reason reason)
{
    for (uint64_t i = 1; reason && i <= count; i++)
        note_refusal(answer, answer->confirmed + i, &intake->fault);
    if (!reason && intake->offer.epoch > 0) {
        answer->last_sequence = intake->offer.last_sequence;
        answer->epoch = intake->offer.epoch;
    }
    answer->confirmed += count;
}

void publish_answer_write(struct publish_answer *answer, struct intake *intake, struct buf *message)
{
    field_varint(message, PB_PUBLISH_STREAM_RESPONSE_CONFIRMED_BATCH, answer->confirmed);
    buf_bytes(message, answer->refused.data, answer->refused.size);
    field_fixed64(message, PB_PUBLISH_STREAM_RESPONSE_LAST_SEQUENCE, answer->last_sequence);
    field_fixed64(message, PB_PUBLISH_STREAM_RESPONSE_EPOCH, answer->epoch);
    if (intake->pipeline) {
        stored_ranges_write(&intake->pipeline->ranges, PB_PUBLISH_STREAM_RESPONSE_RANGES, message);
        field_varint(message, PB_PUBLISH_STREAM_RESPONSE_DUPLICATES, intake->pipeline->duplicates);
    }
    buf_clear(&answer->refused);
    answer->reported = answer->confirmed;
}
