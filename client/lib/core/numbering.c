/* numbering.c - see numbering.h. */
#include "client/lib/core/numbering.h"

#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"

#define RANDOM_ID_BYTES 16u
#define FIXED64_FIELD_BYTES 9u /* tag and value */
/* The server takes any number with a new life. So this bounds what a broken one makes us do. */
#define MAX_RAISED 3u

const char *numbering_init(struct numbering *numbering, enum tributary_confirm confirm,
                           const struct tributary_numbering *options)
{
    const bool given = options->id.size > 0 || options->life > 0 || options->first_number > 0;

    *numbering = (struct numbering){.on = confirm == TRIBUTARY_CONFIRM_STORED && !options->off};
    if ((unsigned)confirm > TRIBUTARY_CONFIRM_STORED)
        return "confirm: RECEIVED or STORED";
    if (given && !numbering->on)
        return "numbering: only with confirm STORED";
    if (options->id.size > MAX_PUBLISHER_ID)
        return "numbering.id: at most 64 bytes";
    numbering->keeps_life = options->life > 0;
    numbering->life = options->life > 0 ? options->life : (uint64_t)clock_wall_ns();
    numbering->next = options->first_number > 0 ? options->first_number : 1;
    numbering->id_size = options->id.size > 0 ? options->id.size : RANDOM_ID_BYTES;
    if (options->id.size > 0)
        memcpy(numbering->id, options->id.data, options->id.size);
    else if (numbering->on && getrandom(numbering->id, RANDOM_ID_BYTES, 0) != RANDOM_ID_BYTES)
        return "numbering.id: the system has no random bytes";
    return NULL;
}

_Static_assert(PB_PUBLISHER_NUMBERS_ID < 16 && PB_PUBLISHER_NUMBERS_FIRST_NUMBER < 16 &&
                   PB_PUBLISHER_NUMBERS_LIFE < 16,
               "MAX_NUMBERS_SIZE has one byte for each tag");

static uint8_t *put_fixed64(uint8_t *at, uint32_t number, uint64_t value)
{
    return word_put(length_put(at, WIRE_TAG(number, WIRE_FIXED64)), value);
}

size_t numbering_write(const struct numbering *numbering, uint32_t field, uint8_t at[MAX_NUMBERS_SIZE])
{
    const struct bytes id = {numbering->id, numbering->id_size};
    uint8_t *end = at;

    if (!numbering->on)
        return 0;
    end = field_put_head(
        end, field, field_size_bytes(PB_PUBLISHER_NUMBERS_ID, id.size) + 2 * (size_t)FIXED64_FIELD_BYTES);
    end = field_put_bytes(end, PB_PUBLISHER_NUMBERS_ID, id);
    end = put_fixed64(end, PB_PUBLISHER_NUMBERS_FIRST_NUMBER, 0);
    end = put_fixed64(end, PB_PUBLISHER_NUMBERS_LIFE, 0);
    return (size_t)(end - at);
}

static void close_hole(struct numbering *numbering)
{
    if (numbering->must_raise) {
        numbering->life = MAX_OF(numbering->life + 1, (uint64_t)clock_wall_ns());
        numbering->next = 1; /* a server that has forgotten the publisher takes no other */
        numbering->raised++;
        numbering->is_known = false;
    }
    numbering->has_hole = false;
    numbering->must_raise = false;
}

struct batch *numbering_assign(struct numbering *numbering, struct batch *batch)
{
    struct batch *mine = batch;

    if (!numbering->on || batch->first_number > 0)
        return batch;
    if (!batch_is_ours(batch) && !(mine = batch_copy(batch)))
        return NULL;
    if (mine != batch)
        batch_release(batch);
    close_hole(numbering);
    mine->first_number = numbering->next;
    numbering->next += mine->events;

    /* The numbers are the last of the field: two words, each behind its tag. */
    uint8_t *first = mine->data + mine->numbers_end - 2 * (size_t)FIXED64_FIELD_BYTES + 1;

    word_put(first, mine->first_number);
    word_put(first + FIXED64_FIELD_BYTES, numbering->life);
    return mine;
}

void numbering_confirmed(struct numbering *numbering)
{
    numbering->raised = 0;
    numbering->is_known = true;
}

/* What was sent behind the hole was not stored, and gives its number back. */
static void give_back(struct numbering *numbering, struct batch *batch)
{
    numbering->has_hole = true;
    numbering->next = MIN_OF(numbering->next, batch->first_number);
    batch->first_number = 0;
    batch->unsure = false;
}

static bool is_behind_hole(const struct numbering *numbering, const struct batch *batch)
{
    return numbering->has_hole && batch->first_number >= numbering->next;
}

/* The same of a message that may still be under way, so that its number is not free. */
static void give_back_sent(struct numbering *numbering, struct batch *batch)
{
    give_back(numbering, batch);
    if (numbering->keeps_life)
        numbering->is_stuck = true;
    numbering->must_raise = true;
}

bool numbering_may_send(const struct numbering *numbering, const struct batch *batch, bool all_answered)
{
    if (!numbering->on)
        return true;
    if (numbering->is_stuck)
        return false;
    if (all_answered)
        return true;
    return numbering->is_known && ((batch && batch->first_number > 0) || !numbering->has_hole);
}

static bool is_one_of(const char *reason, const char *const *reasons)
{
    for (; *reasons; reasons++) {
        if (strcmp(reason, *reasons) == 0)
            return true;
    }
    return false;
}

/* Numbers before those of the message are missing. */
static enum numbering_verdict behind_gap(struct numbering *numbering, struct batch *batch)
{
    const bool expected = is_behind_hole(numbering, batch);

    /* The server does not know what it had confirmed, so it may not know this either. */
    if (!expected && batch->unsure)
        return NUMBERING_REFUSE;
    if (expected && !batch->unsure) {
        give_back(numbering, batch);
    } else {
        if (numbering->keeps_life || numbering->raised >= MAX_RAISED)
            return NUMBERING_FAIL;
        give_back_sent(numbering, batch);
    }
    return NUMBERING_AGAIN;
}

enum numbering_verdict numbering_refused(struct numbering *numbering, struct batch *batch,
                                         enum tributary_code code, const char *reason)
{
    static const char *const gaps[] = {"NUMBER_GAP", "PUBLISHER_UNKNOWN", NULL};
    static const char *const passing[] = {"STORE_UNKNOWN", "STORE_FAILED", "STORE_LOCKED",
                                          "STORE_LATE",    "STORE_BUSY",   NULL};

    if (!numbering->on || batch->first_number == 0)
        return NUMBERING_REFUSE;
    if (strcmp(reason, "PUBLISHER_FENCED") == 0)
        return NUMBERING_FAIL;
    if (code == TRIBUTARY_UNAVAILABLE || is_one_of(reason, passing))
        return NUMBERING_LATER;
    if (is_one_of(reason, gaps))
        return behind_gap(numbering, batch);
    if (!batch->unsure) {
        give_back(numbering, batch);
    } else if (code == TRIBUTARY_RESOURCE_EXHAUSTED) {
        return NUMBERING_LATER; /* an earlier attempt may have been stored */
    } else if (code == TRIBUTARY_INVALID_ARGUMENT) {
        give_back(numbering, batch); /* no attempt was: the message itself is at fault */
    }
    return NUMBERING_REFUSE;
}

void numbering_lost(struct numbering *numbering, struct batch *batch)
{
    if (numbering->on && is_behind_hole(numbering, batch))
        give_back_sent(numbering, batch);
    else
        batch->unsure = true;
}
