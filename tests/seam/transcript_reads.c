/* transcript_reads.c - see transcript_reads.h. */
#include "seam/transcript_reads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "seam/transcript.h"

#define MAX_STATES 1000u

/* A state that was read, until transcript_states(). */
static struct state_line {
    uint64_t epoch;
    char *name, *text;
} lines[MAX_STATES];
static unsigned line_count;

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

static int compare_epochs(const void *a, const void *b)
{
    uint64_t one = ((const struct state_line *)a)->epoch, other = ((const struct state_line *)b)->epoch;

    return (one > other) - (one < other);
}

void transcript_state(const struct feed_change *change)
{
    struct state_line *line = &lines[line_count];

    if (!transcript_on)
        return;
    CHECK(line_count < MAX_STATES);
    line->epoch = change->source->epoch;
    CHECK(asprintf(&line->name, "%s", change->source->name) >= 0);
    CHECK(asprintf(&line->text, "state %u code %s \"%s\"", change->state,
                   fault_code_name((enum fault_code)change->code), change->message) >= 0);
    line_count++;
}

void transcript_states(unsigned consumer)
{
    qsort(lines, line_count, sizeof(lines[0]), compare_epochs);
    for (unsigned i = 0; i < line_count; i++) {
        transcript("  consumer %u reads %s e%u %s", consumer, lines[i].name, transcript_epoch(lines[i].epoch),
                   lines[i].text);
        free(lines[i].name);
        free(lines[i].text);
    }
    line_count = 0;
}
