/* transcript_reads.c - see transcript_reads.h. */
#include "seam/transcript_reads.h"

#include <inttypes.h>

#include "base/fault.h"
#include "seam/transcript.h"

static void add_entry(unsigned consumer, const struct chan_batch_entry *entry)
{
    const struct chunk *chunk = entry->chunk;

    for (uint32_t first = entry->first, last; first < entry->last; first = last) {
        last = first + 1;
        while (last < entry->last && chunk_sequence(chunk, last) == chunk_sequence(chunk, last - 1) + 1)
            last++;
        transcript("  consumer %u reads %s e%u %" PRIu64 "-%" PRIu64, consumer, chunk->source->name,
                   transcript_epoch(chunk->source->epoch), chunk_sequence(chunk, first),
                   chunk_sequence(chunk, last - 1));
    }
}

void transcript_batch(unsigned consumer, const struct chan_batch *batch)
{
    if (transcript_on)
        for (uint32_t i = 0; i < batch->count; i++)
            add_entry(consumer, &batch->entries[i]);
}

void transcript_loss(unsigned consumer, const struct lost_note *note)
{
    transcript("  consumer %u lost %s e%u %" PRIu64 "%s %" PRIu64 "-%" PRIu64 " reason %u", consumer,
               note->source->name, transcript_epoch(note->source->epoch), note->count,
               note->count_unknown ? "?" : "", note->first_sequence, note->last_sequence, note->reason);
}

void transcript_state(unsigned consumer, const struct feed_change *change)
{
    transcript("  consumer %u reads %s e%u state %u code %s \"%s\"", consumer, change->source->name,
               transcript_epoch(change->source->epoch), change->state,
               fault_code_name((enum fault_code)change->code), change->message);
}
