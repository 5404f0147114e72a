/* reading.c - what consumers must read, and what they do read. */
#include "seam/model/model_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "flow/chan_batch.h"
#include "flow/chan_report.h"
#include "seam/hub_fixture.h"
#include "seam/transcript_reads.h"

static void push(struct fixture_consumer *consumer, uint64_t epoch, uint64_t sequence)
{
    if (consumer->due_count == consumer->due_room) {
        consumer->due_room = MAX_OF(consumer->due_room * 2, 64u);
        consumer->due = reallocarray(consumer->due, consumer->due_room, sizeof(*consumer->due));
        CHECK(consumer->due);
    }
    consumer->due[consumer->due_count++] = (struct due){epoch, sequence};
}

static void drop(struct fixture_consumer *consumer, unsigned index)
{
    memmove(&consumer->due[index], &consumer->due[index + 1],
            (--consumer->due_count - index) * sizeof(*consumer->due));
}

/* A mark that was not passed yet is replaced by a later one. A mark that was passed is reported,
 * unless nothing is between the two. */
void model_fixture_marked(struct fixture_consumer *consumer, uint32_t revision)
{
    for (unsigned i = 0; i < consumer->due_count; i++)
        if (consumer->due[i].epoch == 0 && (i > 0 || consumer->due_count == 1))
            drop(consumer, i--);
    push(consumer, 0, revision);
}

void model_fixture_accepted(struct model_fixture *fixture, int source, int consumer, const char *topics,
                            const struct offer *offer)
{
    uint32_t matched = 0;

    for (int c = 0; c < CONSUMERS; c++) {
        const char *topic = fixture->model.consumers[c].filter.topic;
        bool any = false;

        if (consumer >= 0 ? c != consumer : !fixture->model.routes[source][c])
            continue;
        for (uint64_t i = 0; topics[i]; i++)
            if (!topic || topics[i] == *topic) {
                push(&fixture->consumers[c], offer->epoch, offer->first_sequence + i);
                any = true;
            }
        matched += any;
    }
    CHECK(offer->matched == matched);
    CHECK(offer->last_sequence - offer->first_sequence + 1 == strlen(topics));
    fixture->events += strlen(topics);
}

/* A consumer that loses events may skip some of a source, and never goes back. */
static void read_event(struct fixture_consumer *consumer, uint64_t epoch, uint64_t sequence)
{
    unsigned i = 0;

    consumer->read++;
    if (consumer->exact) {
        CHECK(consumer->due_count > 0 && consumer->due[0].epoch == epoch &&
              consumer->due[0].sequence == sequence);
        drop(consumer, 0);
        return;
    }
    while (i < consumer->due_count &&
           !(consumer->due[i].epoch == epoch && consumer->due[i].sequence == sequence)) {
        if (consumer->due[i].epoch == epoch)
            drop(consumer, i);
        else
            i++;
    }
    CHECK(i < consumer->due_count);
    drop(consumer, i);
}

static void on_loss(void *ctx, const struct lost_note *note)
{
    transcript_loss((unsigned)((struct fixture_consumer *)ctx)->index, note);
}

static void on_state(void *ctx, const struct feed_change *change)
{
    (void)ctx;
    transcript_state(change);
}

void model_fixture_read(struct fixture_consumer *consumer, uint32_t max)
{
    struct chan *chan = consumer->result.chan;
    uint32_t mark = chan_marked(chan);

    if (mark > 0)
        transcript("  consumer %d reads mark %u", consumer->index, mark);
    if (consumer->exact && consumer->due_count > 0 && consumer->due[0].epoch == 0) {
        CHECK(mark == consumer->due[0].sequence);
        drop(consumer, 0);
    } else if (consumer->exact) {
        CHECK(mark == 0);
    }
    chan_dequeue(chan, &consumer->batch, max, 1 << 20, clock_mono_ns());
    transcript_batch((unsigned)consumer->index, &consumer->batch);
    for (uint32_t i = 0; i < consumer->batch.count; i++) {
        const struct chan_batch_entry *entry = &consumer->batch.entries[i];

        for (uint32_t event = entry->first; event < entry->last; event++)
            read_event(consumer, entry->chunk->source->epoch, chunk_sequence(entry->chunk, event));
    }
    chan_losses(chan, 1000, on_loss, consumer);
    chan_states(chan, 1000, on_state, consumer);
    transcript_states((unsigned)consumer->index);
    check_totals(chan);
    chan_delivered(chan, &consumer->batch);
}

bool model_fixture_read_all(struct fixture_consumer *consumer)
{
    for (uint64_t before = UINT64_MAX; before != consumer->read;) {
        before = consumer->read;
        model_fixture_read(consumer, 1000);
    }
    return consumer->due_count == 0;
}
