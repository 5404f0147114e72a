/* numbering.h - the numbers of a publisher: what may be sent under which number, and what a refusal
 * means for the messages behind it.
 *
 * The server keeps the last number that is stored, and refuses what leaves a gap. A number may be
 * used again only where the server said that it was not used. After an unknown outcome the same
 * message is sent again, or `life` is raised, which makes the server refuse what is still under
 * way. So:
 *
 *   - A message keeps its number while its outcome is unknown (`batch->unsure`).
 *   - Behind a message that was refused there is a *hole*: what was sent behind it is refused with
 *     NUMBER_GAP, gives its number back and is sent again. Nothing new is sent until all of it was
 *     answered. Then the numbers go on at the hole.
 *   - Where the stream is lost meanwhile, or the server does not know the numbers before a gap, or
 *     what is behind the hole was sent before, the life is raised, once everything before it is
 *     answered.
 *   - A life begins with number 1, and its first message alone: the server takes any number of a
 *     new life, so it would not see a hole.
 *
 * Threads: the client thread. */
#ifndef TRIBUTARY_CLIENT_NUMBERING_H
#define TRIBUTARY_CLIENT_NUMBERING_H

#include "client/lib/core/batch.h"
#include "tributary/confirm.h"
#include "tributary/status.h"

#define MAX_PUBLISHER_ID 64u
/* The encoded PublisherNumbers, with tag and length. */
#define MAX_NUMBERS_SIZE (2u + 2u + MAX_PUBLISHER_ID + 9u + 9u)

struct numbering {
    bool on;
    bool keeps_life; /* the program chose it, so it is not raised */
    uint8_t id[MAX_PUBLISHER_ID];
    size_t id_size;
    uint64_t life;
    uint64_t next;   /* the number of the next event that has none */
    bool has_hole;   /* messages without a number wait until nothing is unanswered */
    bool must_raise; /* and then the life is raised */
    uint32_t raised; /* how often, since the last confirmation */
    bool is_known;   /* the server has confirmed a message of this life */
    bool is_stuck;   /* the life must be raised and may not be: nothing more can be sent */
};

/* What to do with a message that the server refused. */
enum numbering_verdict {
    NUMBERING_REFUSE, /* report it as refused */
    NUMBERING_AGAIN,  /* send it again: it has lost its number */
    NUMBERING_LATER,  /* the server cannot store at the moment: end the call, connect again later */
    NUMBERING_FAIL    /* no message of this publisher can be stored any more */
};

/* Sets everything from the options. Returns what is wrong with them, as static text; NULL: nothing.
 * Any thread, before the first use. */
const char *numbering_init(struct numbering *numbering, enum tributary_confirm confirm,
                           const struct tributary_numbering *options);

/* Writes the field `field` with the publisher's numbers, and returns its size. Writes nothing where
 * the numbering is off. The numbers are those of a message that has none yet. */
size_t numbering_write(const struct numbering *numbering, uint32_t field, uint8_t at[MAX_NUMBERS_SIZE]);

/* Whether the message may be sent now. NULL: one that was never sent. `all_answered`: no message is
 * without an answer. */
bool numbering_may_send(const struct numbering *numbering, const struct batch *batch, bool all_answered);

/* Numbers a message that may be sent, if it has no number yet. What it returns takes the place of
 * `batch`: it is a copy where gRPC core may still read the old bytes. `batch` must be in no list.
 * NULL: out of memory, and `batch` is as it was. */
struct batch *numbering_assign(struct numbering *numbering, struct batch *batch);

void numbering_confirmed(struct numbering *numbering);

enum numbering_verdict numbering_refused(struct numbering *numbering, struct batch *batch,
                                         enum tributary_code code, const char *reason);

/* The stream was lost before the message was answered; or it was lost earlier, and there is a hole
 * now. */
void numbering_lost(struct numbering *numbering, struct batch *batch);

#endif
