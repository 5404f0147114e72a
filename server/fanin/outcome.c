/* outcome.c - see outcome.h. */
#include "server/fanin/outcome.h"

#include <stdlib.h>
#include <string.h>

#include "event/chunk.h"
#include "flow/producer_state.h"

void outcome_init(struct outcome *outcome, struct served_call *call, enum serve_end rule)
{
    *outcome = (struct outcome){.call = call, .rule = rule};
    list_init(&outcome->noted);
    kept_trailers_init(&outcome->failed);
    kept_trailers_init(&outcome->own);
}

static void part_free(struct part *part)
{
    if (part)
        served_end_free(part->end);
    free(part);
}

void outcome_fini(struct outcome *outcome)
{
    if (!outcome->call)
        return;
    list_each(node, next, &outcome->noted)
        part_free(container_of(node, struct part, link));
    part_free(outcome->bad);
    kept_trailers_fini(&outcome->failed);
    kept_trailers_fini(&outcome->own);
    for (size_t i = 0; i < outcome->loss_count; i++)
        free(outcome->losses[i].name);
}

void outcome_note_state(struct outcome *outcome, const struct feed_change *change)
{
    /* UNAVAILABLE: its call has failed, and another one may follow. */
    if (!change->source || (change->state != PRODUCER_ENDED && change->state != PRODUCER_REMOVED &&
                            change->state != PRODUCER_UNAVAILABLE))
        return;
    struct part *part = calloc(1, sizeof(*part) + change->source->name_size + 1);
    if (!part) {
        outcome->is_incomplete = true;
        return;
    }
    part->code = change->code;
    peer_words_copy(part->message, text_bytes(change->message));
    memcpy(part->name, change->source->name, change->source->name_size);
    list_append(&outcome->noted, &part->link);
}

static struct part_loss *loss_of(struct outcome *outcome, const char *name, uint32_t reason)
{
    for (size_t i = 0; i < outcome->loss_count; i++) {
        struct part_loss *loss = &outcome->losses[i];

        if (loss->reason == reason && strcmp(loss->name, name) == 0)
            return loss;
    }
    if (outcome->loss_count == MAX_OUTCOME_LOSSES)
        return NULL;
    struct part_loss *loss = &outcome->losses[outcome->loss_count];
    *loss = (struct part_loss){.name = strdup(name), .reason = reason};
    if (!loss->name)
        return NULL;
    outcome->loss_count++;
    return loss;
}

void outcome_note_loss(struct outcome *outcome, const struct lost_note *note)
{
    struct part_loss *loss = loss_of(outcome, note->source ? note->source->name : "", note->reason);

    outcome->lost += note->count;
    if (loss)
        loss->count += note->count;
}

/* Only what the upstream itself has ended with OK is complete. */
static void find_end(struct outcome *outcome, struct part *part)
{
    part->end = served_call_end_of(outcome->call, part->name);
    if (!part->end)
        served_call_expect_less(outcome->call); /* it may never have joined */
    if (part->end) {
        part->code = part->end->code;
        memcpy(part->message, part->end->message, sizeof(part->message));
    } else if (part->code == CODE_OK) {
        part->code = CODE_UNAVAILABLE;
        peer_words_copy(part->message, text_bytes("the endpoint was removed"));
    }
}

/* Takes over the part. */
static void look_at(struct outcome *outcome, struct part *part)
{
    const bool is_first_bad = part->code != CODE_OK && outcome->bad_count == 0;
    const struct served_end *end = part->end;

    for (size_t i = 0; end && i < end->trailer_count; i++)
        kept_trailers_add(&outcome->own, end->trailers[i].name, end->trailers[i].value);
    if (part->code == CODE_OK) {
        outcome->good_count++;
    } else {
        outcome->bad_count++;
        outcome_add_failed(outcome, part);
    }
    if (is_first_bad)
        outcome->bad = part;
    else
        part_free(part);
}

bool outcome_update(struct outcome *outcome)
{
    struct list *node;

    while ((node = list_first(&outcome->noted))) {
        struct part *part = container_of(node, struct part, link);
        const bool was_ended = part->code == CODE_OK;

        list_remove(node);
        find_end(outcome, part);
        if (was_ended && !part->end && called_ends_early(served_call_called(outcome->call)))
            part_free(part);
        else
            look_at(outcome, part);
    }
    return outcome->rule == SERVE_END_FAIL_FAST && outcome->bad_count > 0;
}
