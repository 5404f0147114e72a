/* loss_notices.c - sums losses for a second, and prints them. */
#include "client/tool/loss_notices.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "client/tool/printer.h"
#include "client/tool/value.h"

#define SUM_NS NS_PER_S /* for this long, losses are summed */

/* What distinguishes rows; the bytes of the source's name follow it in the key. */
struct row_key {
    uint64_t epoch;
    uint32_t reason;
    uint32_t upstream; /* 1: another server lost them, of which this server is a consumer */
};

struct row {
    struct map_node node;
    struct loss_totals sum; /* not printed yet */
    uint64_t first_sequence, last_sequence;
    bool is_old; /* nothing was lost since the row was printed */
    size_t name_size;
    uint8_t key[]; /* struct row_key, and the name */
};

static struct row *row_of(const struct map_node *node)
{
    return container_of(node, struct row, node);
}

void loss_notices_init(struct loss_notices *notices, FILE *out, bool by_second)
{
    *notices = (struct loss_notices){.out = out, .by_second = by_second, .due_ns = INT64_MAX};
    CHECK(pthread_mutex_init(&notices->lock, NULL) == 0);
    map_init(&notices->rows);
}

void loss_notices_fini(struct loss_notices *notices)
{
    map_each(node, next, &notices->rows)
    {
        free(row_of(node));
    }
    map_fini(&notices->rows);
    pthread_mutex_destroy(&notices->lock);
}

static void totals_add(struct loss_totals *sum, const struct loss_totals *more)
{
    sum->losses += more->losses;
    sum->events += more->events;
    sum->bytes += more->bytes;
    sum->unknown |= more->unknown;
}

static struct loss_totals totals_of(const struct tributary_lost *lost)
{
    return (struct loss_totals){.losses = 1,
                                .events = lost->count_unknown ? 0 : lost->count,
                                .bytes = lost->bytes,
                                .unknown = lost->count_unknown};
}

/* Prints one line. `reason` NULL: of several sources and reasons. `upstream`: another server lost
 * them. */
static void put_line(FILE *out, const struct loss_totals *sum, const char *of, const char *reason,
                     bool upstream, const struct row *row)
{
    struct buf line = {0};
    char size[32];

    if (sum->events == 0 && sum->unknown) {
        buf_format(&line, "tributary: lost events%s", of);
    } else {
        bytes_text(sum->bytes, size, sizeof(size));
        buf_format(&line, "tributary: lost %" PRIu64 " event%s%s (%s)", sum->events,
                   sum->events == 1 ? "" : "s", of, size);
    }
    if (reason)
        buf_format(&line, ": %s%s", reason, upstream ? " at another server" : "");
    if (sum->unknown)
        buf_text(&line,
                 sum->events == 0 ? ", nobody can say how many" : ", and more, nobody can say how many");
    else if (row)
        buf_format(&line, ", within sequences %" PRIu64 " to %" PRIu64, row->first_sequence,
                   row->last_sequence);
    fprintf(out, "%.*s\n", (int)line.size, (const char *)line.data);
    buf_fini(&line);
}

static void put_row(FILE *out, const struct row *row)
{
    struct row_key key;
    struct buf of = {0};

    memcpy(&key, row->key, sizeof(key));
    buf_text(&of, row->name_size > 0 ? " of " : " of producers that are gone");
    escape_text(&of, (struct tributary_bytes){(const char *)row->key + sizeof(key), row->name_size});
    buf_byte(&of, 0);
    if (!of.broken)
        put_line(out, &row->sum, (const char *)of.data, tributary_loss_name((int)key.reason),
                 key.upstream != 0, row);
    buf_fini(&of);
}

/* NULL: out of memory. */
static struct row *row_new(const struct tributary_lost *lost)
{
    const struct row_key key = {
        .epoch = lost->epoch, .reason = (uint32_t)lost->reason, .upstream = lost->upstream};
    struct row *row = calloc(1, sizeof(*row) + sizeof(key) + lost->source.size);

    if (!row)
        return NULL;
    memcpy(row->key, &key, sizeof(key));
    if (lost->source.size > 0)
        memcpy(row->key + sizeof(key), lost->source.data, lost->source.size);
    row->name_size = lost->source.size;
    row->node.key = (struct bytes){row->key, sizeof(key) + lost->source.size};
    return row;
}

/* Adds a loss that is not printed yet. */
static void row_add(struct row *row, const struct tributary_lost *lost)
{
    const struct loss_totals sum = totals_of(lost);
    const bool is_first = row->sum.losses == 0;

    totals_add(&row->sum, &sum);
    row->is_old = false;
    row->first_sequence = is_first ? lost->first_sequence : MIN_OF(row->first_sequence, lost->first_sequence);
    row->last_sequence = is_first ? lost->last_sequence : MAX_OF(row->last_sequence, lost->last_sequence);
}

/* Under the lock. */
static void print_row(struct loss_notices *notices, struct row *row)
{
    put_row(notices->out, row);
    row->sum = (struct loss_totals){.losses = 0};
    notices->lines++;
}

/* Adds a loss to its row. It is printed at once where the row is new. Under the lock. */
static void add_to_rows(struct loss_notices *notices, const struct tributary_lost *lost)
{
    struct row *fresh = row_new(lost);
    struct map_node *node = fresh ? map_find(&notices->rows, fresh->node.key) : NULL;

    if (node) {
        free(fresh);
        row_add(row_of(node), lost);
    } else if (fresh && notices->rows.count < MAX_LOSS_ROWS &&
               map_add(&notices->rows, &fresh->node) == ERR_OK) {
        row_add(fresh, lost);
        if (notices->lines < MAX_LOSS_LINES)
            print_row(notices, fresh);
    } else {
        const struct loss_totals sum = totals_of(lost);

        free(fresh);
        totals_add(&notices->rest, &sum);
    }
}

/* Prints one loss as it is. Under the lock. */
static void print_alone(const struct loss_notices *notices, const struct tributary_lost *lost)
{
    struct row *row = row_new(lost);

    if (!row)
        return;
    row_add(row, lost);
    put_row(notices->out, row);
    free(row);
}

bool loss_notices_add(struct loss_notices *notices, const struct tributary_lost *lost, int64_t now_ns)
{
    const struct loss_totals sum = totals_of(lost);
    bool begins = false;

    pthread_mutex_lock(&notices->lock);
    totals_add(&notices->total, &sum);
    if (!notices->by_second) {
        print_alone(notices, lost);
    } else {
        begins = notices->due_ns == INT64_MAX;
        if (begins)
            notices->due_ns = now_ns + SUM_NS;
        add_to_rows(notices, lost);
    }
    pthread_mutex_unlock(&notices->lock);
    return begins;
}

/* Prints the sums of this second, and begins the next one. A row of which nothing was lost for a
 * second goes, so that its next loss is printed at once. Under the lock. */
static void print_second(struct loss_notices *notices, int64_t now_ns)
{
    struct map kept = {0};

    notices->lines = 0;
    map_each(node, next, &notices->rows)
    {
        struct row *row = row_of(node);

        if (row->sum.losses > 0 && notices->lines >= MAX_LOSS_LINES) {
            totals_add(&notices->rest, &row->sum);
            row->sum = (struct loss_totals){.losses = 0};
        }
        if (row->sum.losses > 0)
            print_row(notices, row);
        if (row->is_old || map_add(&kept, node) != ERR_OK)
            free(row);
        else
            row->is_old = true;
    }
    map_fini(&notices->rows);
    notices->rows = kept;
    if (notices->rest.losses > 0)
        put_line(notices->out, &notices->rest, " of other producers", NULL, false, NULL);
    notices->rest = (struct loss_totals){.losses = 0};
    notices->due_ns = notices->rows.count > 0 ? now_ns + SUM_NS : INT64_MAX;
}

int64_t loss_notices_print(struct loss_notices *notices, int64_t now_ns)
{
    int64_t due_ns = 0;

    pthread_mutex_lock(&notices->lock);
    if (now_ns >= notices->due_ns)
        print_second(notices, now_ns);
    due_ns = notices->due_ns;
    pthread_mutex_unlock(&notices->lock);
    return due_ns;
}

void loss_notices_end(struct loss_notices *notices)
{
    pthread_mutex_lock(&notices->lock);
    if (notices->due_ns < INT64_MAX)
        print_second(notices, notices->due_ns);
    if (notices->by_second && notices->total.losses > 1)
        put_line(notices->out, &notices->total, " in all", NULL, false, NULL);
    pthread_mutex_unlock(&notices->lock);
}
