/* explain_answer.c - see explain_answer.h. */
#include "server/rpc/explain_answer.h"

#include "event/field_write.h"
#include "proto/field_numbers.h"

void explain_write_stat(void *ctx, const char *name, int64_t value, const char *unit)
{
    struct buf stat = {0};

    field_text(&stat, PB_EXPLANATION_STAT_NAME, name);
    field_varint(&stat, PB_EXPLANATION_STAT_VALUE, (uint64_t)value);
    field_text(&stat, PB_EXPLANATION_STAT_UNIT, unit);
    field_message(ctx, PB_EXPLANATION_STATS, &stat);
}

void explain_write_verdict(const struct limit_verdict *verdict, struct bytes sentence,
                           const char *blocking_id, struct buf *answer)
{
    field_varint(answer, PB_EXPLANATION_LIMIT, verdict->limit);
    field_bytes(answer, PB_EXPLANATION_SENTENCE, sentence);
    for (uint32_t i = 0; i < verdict->also_count; i++)
        field_varint(answer, PB_EXPLANATION_ALSO, verdict->also[i]);
    field_text(answer, PB_EXPLANATION_PRODUCER, verdict->producer);
    if (blocking_id[0] != '\0')
        field_text(answer, PB_EXPLANATION_BLOCKING_SUBSCRIPTION_ID, blocking_id);
}
