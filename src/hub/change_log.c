/* change_log.c - see change_log.h.
 *
 * DESIGN. The changes stand in a ring, each at the place of its number. Each has its texts behind
 * it, in the same memory. Where a change cannot be kept, all that came before is dropped with it:
 * so what is kept has no gap, and every reader that had not read up to there finds out. */
#include "hub/change_log.h"

#include <stdlib.h>
#include <string.h>

#include "base/budget.h"
#include "base/clock.h"
#include "loop/loop.h"

struct change_log {
    struct loop *loop;
    struct change **ring; /* MAX_CHANGES; NULL: nobody reads */
    uint64_t first, next; /* numbers: of the oldest that is kept, and of the one to come */
    uint64_t bytes;       /* of all that are kept */
    uint32_t reader_count;
    uint32_t period;
    struct list waiting;   /* struct change_reader */
    struct slice readable; /* calls readable() of those */
};

/* ---- what is kept ---- */

static struct change **place_of(struct change_log *log, uint64_t number)
{
    return &log->ring[number % MAX_CHANGES];
}

static size_t size_of(const struct change *change)
{
    const char *message = change->failure.message;

    return sizeof(*change) + change->name.size + change->own_name.size + strlen(change->peer) + 1 +
           (message ? strlen(message) + 1 : 0);
}

static void drop_oldest(struct change_log *log)
{
    struct change **place = place_of(log, log->first++);
    const size_t size = size_of(*place);

    log->bytes -= size;
    budget_free(COUNT_LIVE_CHANGE_BYTES, *place, size);
    *place = NULL;
}

static void drop_all(struct change_log *log)
{
    while (log->first < log->next)
        drop_oldest(log);
}

static uint8_t *copy_bytes(struct bytes *bytes, uint8_t *to)
{
    if (bytes->size > 0)
        memcpy(to, bytes->data, bytes->size);
    bytes->data = to;
    return to + bytes->size;
}

static uint8_t *copy_text(const char **text, uint8_t *to)
{
    const size_t size = strlen(*text) + 1;

    memcpy(to, *text, size);
    *text = (const char *)to;
    return to + size;
}

/* NULL: memory or budget is used up. */
static struct change *copy(const struct change *from)
{
    struct change *change = budget_calloc(COUNT_LIVE_CHANGE_BYTES, size_of(from));
    uint8_t *to = (uint8_t *)(change + 1);

    if (!change)
        return NULL;
    *change = *from;
    to = copy_bytes(&change->name, to);
    to = copy_bytes(&change->own_name, to);
    to = copy_text(&change->peer, to);
    if (change->failure.message)
        copy_text(&change->failure.message, to);
    return change;
}

void change_log_add(struct change_log *log, const struct change *change)
{
    const size_t size = size_of(change);
    struct change *kept;

    if (log->reader_count == 0) {
        log->first = ++log->next;
        return;
    }
    while (log->first < log->next &&
           (log->next - log->first == MAX_CHANGES || log->bytes + size > MAX_CHANGE_BYTES))
        drop_oldest(log);
    kept = copy(change);
    if (!kept)
        drop_all(log);
    if (kept) {
        kept->number = log->next;
        kept->wall_ns = clock_wall_ns();
        log->bytes += size;
        *place_of(log, log->next) = kept;
    }
    log->next++;
    if (!kept)
        log->first = log->next;
    if (!list_empty(&log->waiting))
        loop_slice_later(log->loop, &log->readable);
}

/* ---- readers ---- */

static bool readable_step(struct slice *slice)
{
    struct change_log *log = container_of(slice, struct change_log, readable);
    struct list *node = list_first(&log->waiting);
    struct change_reader *reader;

    if (!node)
        return false;
    reader = container_of(node, struct change_reader, link);
    list_remove(node);
    reader->readable(reader);
    return !list_empty(&log->waiting);
}

enum err change_log_begin(struct change_log *log, struct change_reader *reader)
{
    if (!log->ring) {
        log->ring = budget_calloc(COUNT_LIVE_CHANGE_BYTES, MAX_CHANGES * sizeof(struct change *));
        if (!log->ring)
            return ERR_NO_MEMORY;
        log->period++;
    }
    log->reader_count++;
    list_init(&reader->link);
    reader->next = log->next;
    return ERR_OK;
}

void change_log_end(struct change_log *log, struct change_reader *reader)
{
    list_remove(&reader->link);
    if (--log->reader_count > 0)
        return;
    drop_all(log);
    budget_free(COUNT_LIVE_CHANGE_BYTES, log->ring, MAX_CHANGES * sizeof(struct change *));
    log->ring = NULL;
}

uint64_t change_log_missed(struct change_log *log, struct change_reader *reader)
{
    const uint64_t next = MAX_OF(reader->next, log->first);
    const uint64_t missed = next - reader->next;

    reader->next = next;
    return missed;
}

const struct change *change_log_next(struct change_log *log, struct change_reader *reader)
{
    CHECK(reader->next >= log->first);
    return reader->next < log->next ? *place_of(log, reader->next++) : NULL;
}

void change_log_skip(struct change_log *log, struct change_reader *reader)
{
    reader->next = log->next;
}

void change_log_wait(struct change_log *log, struct change_reader *reader)
{
    list_remove(&reader->link);
    list_append(&log->waiting, &reader->link);
    if (reader->next < log->next)
        loop_slice_later(log->loop, &log->readable);
}

bool change_log_is_read(const struct change_log *log)
{
    return log->reader_count > 0;
}

uint64_t change_log_count(const struct change_log *log)
{
    return log->next - 1;
}

uint32_t change_log_period(const struct change_log *log)
{
    return log->period;
}

/* ---- making ---- */

struct change_log *change_log_new(struct loop *loop)
{
    struct change_log *log = calloc(1, sizeof(*log));

    if (!log)
        return NULL;
    log->loop = loop;
    log->first = log->next = 1;
    list_init(&log->waiting);
    slice_init(&log->readable, readable_step);
    return log;
}

void change_log_free(struct change_log *log)
{
    if (!log)
        return;
    CHECK(log->reader_count == 0);
    slice_stop(&log->readable);
    free(log);
}
