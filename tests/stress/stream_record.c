/* stream_record.c - see stream_record.h. */
#include "stress/stream_record.h"

#include <stdlib.h>

#include "event/chunk.h"
#include "event/encode.h"
#include "flow/chan_batch.h"

#define MAX_SOURCES 4096u

void stream_record_init(struct stream_record *record)
{
    *record = (struct stream_record){.sources = calloc(MAX_SOURCES, sizeof(struct source_record))};
    CHECK(record->sources);
}

void stream_record_fini(struct stream_record *record)
{
    free(record->sources);
}

void stream_record_begin(struct stream_record *record, bool wants_everything)
{
    record->wants_everything = wants_everything;
    record->count = 0;
}

static struct source_record *find(struct stream_record *record, const struct source *source)
{
    struct source_record *found;

    for (unsigned i = record->count; i-- > 0;)
        if (record->sources[i].epoch == source->epoch)
            return &record->sources[i];
    CHECK(record->count < MAX_SOURCES);
    found = &record->sources[record->count++];
    *found = (struct source_record){.epoch = source->epoch};
    return found;
}

static void add(struct source_record *source, uint64_t first, uint64_t last, uint64_t count)
{
    if (source->count == 0) {
        source->start = source->position;
        source->first = first;
    }
    source->first = MIN_OF(source->first, first);
    source->last = MAX_OF(source->last, last);
    source->count += count;
}

uint64_t stream_record_batch(struct stream_record *record, const struct chan_batch *batch)
{
    uint64_t events = 0;

    for (uint32_t i = 0; i < batch->count; i++) {
        const struct chan_batch_entry *entry = &batch->entries[i];
        struct source_record *source = find(record, entry->chunk->source);

        for (uint32_t event = entry->first; event < entry->last; event++) {
            uint64_t sequence = chunk_sequence(entry->chunk, event);

            CHECK(sequence > source->last_event);
            source->last_event = sequence;
            add(source, sequence, sequence, 1);
            events++;
        }
    }
    return events;
}

void stream_record_loss(void *record, const struct lost_note *note)
{
    CHECK(!note->count_unknown && note->count > 0);
    add(find(record, note->source), note->first_sequence, note->last_sequence, note->count);
}

bool stream_record_position(void *record, const struct source *from, uint64_t sequence)
{
    struct source_record *source = find(record, from);

    CHECK(sequence >= source->position);
    source->position = sequence;
    return true;
}

void stream_record_check_positions(const struct stream_record *record)
{
    for (unsigned i = 0; i < record->count && record->wants_everything; i++) {
        const struct source_record *source = &record->sources[i];

        CHECK(source->count == 0 || source->position <= source->last);
    }
}

void stream_record_check_complete(const struct stream_record *record)
{
    for (unsigned i = 0; i < record->count && record->wants_everything; i++) {
        const struct source_record *source = &record->sources[i];

        CHECK(source->count == 0 || source->count == source->last - source->first + 1);
        CHECK(source->count == 0 || source->start == 0 || source->first == source->start + 1);
    }
}
