/* ledger.c - adding up a stream.
 *
 * DESIGN. What a producer published while we listened is the span of its sequences, from the first that we heard of (delivered or lost) to
 * the last that anybody knows of: ours, or the server's own answer at the end. A new epoch begins a new span; spans add up. */
#include "client/tool/ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ASK_NS INT64_C(2000000000)

struct entry {
    struct map_node node;
    uint64_t epoch, first, last; /* the span of this epoch; first 0: nothing yet */
    uint64_t earlier;            /* spans of earlier epochs */
    uint64_t delivered, dropped;
    bool unknown;
    char name[];
};

static struct entry *entry_of(const struct map_node *node)
{
    return container_of(node, struct entry, node);
}

void ledger_init(struct ledger *ledger)
{
    *ledger = (struct ledger){.delivered = 0};
    CHECK(pthread_mutex_init(&ledger->lock, NULL) == 0);
    map_init(&ledger->sources);
}

void ledger_fini(struct ledger *ledger)
{
    struct map_node *node = NULL;

    while ((node = map_next(&ledger->sources, NULL)) != NULL) {
        map_remove(&ledger->sources, node);
        free(entry_of(node));
    }
    free(ledger->others);
    map_fini(&ledger->sources);
    pthread_mutex_destroy(&ledger->lock);
}

static struct entry *entry_new(struct tributary_bytes name)
{
    struct entry *entry = calloc(1, sizeof(*entry) + name.size + 1);

    if (entry == NULL)
        return NULL;
    if (name.size > 0)
        memcpy(entry->name, name.at, name.size);
    entry->node.key = (struct bytes){(const uint8_t *)entry->name, name.size};
    return entry;
}

/* Under the lock. NULL: out of memory. */
static struct entry *find(struct ledger *ledger, struct tributary_bytes name)
{
    struct map_node *node = map_find(&ledger->sources, (struct bytes){name.at, name.size});
    struct entry *entry = NULL;

    if (node != NULL)
        return entry_of(node);
    if (ledger->sources.count >= LEDGER_SOURCES_MOST) {
        if (ledger->others == NULL)
            ledger->others = entry_new(tributary_text("(others)"));
        return ledger->others;
    }
    entry = entry_new(name);
    if (entry != NULL && map_add(&ledger->sources, &entry->node) != ERR_OK) {
        free(entry);
        entry = NULL;
    }
    return entry;
}

static uint64_t span(const struct entry *entry)
{
    return entry->first == 0 ? 0 : entry->last - entry->first + 1;
}

static void widen(struct entry *entry, uint64_t epoch, uint64_t first, uint64_t last)
{
    if (epoch < entry->epoch)
        return; /* a late word of an earlier life */
    if (epoch > entry->epoch) {
        entry->earlier += span(entry);
        entry->epoch = epoch;
        entry->first = 0;
        entry->last = 0;
    }
    entry->first = entry->first == 0 ? first : MIN_OF(entry->first, first);
    entry->last = MAX_OF(entry->last, last);
}

void ledger_delivered(struct ledger *ledger, const struct tributary_delivery *delivery)
{
    pthread_mutex_lock(&ledger->lock);

    struct entry *entry = find(ledger, delivery->source);

    ledger->delivered++;
    if (entry != NULL) {
        entry->delivered++;
        widen(entry, delivery->epoch, delivery->sequence, delivery->sequence);
    }
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_lost(struct ledger *ledger, const struct tributary_lost *lost)
{
    pthread_mutex_lock(&ledger->lock);

    struct entry *entry = find(ledger, lost->source);

    ledger->dropped += lost->count;
    ledger->unknown |= lost->count_unknown;
    if (entry != NULL) {
        entry->dropped += lost->count;
        entry->unknown |= lost->count_unknown;
        if (lost->last_sequence > 0)
            widen(entry, lost->epoch, lost->first_sequence, lost->last_sequence);
    }
    pthread_mutex_unlock(&ledger->lock);
}

static void on_producer(void *ctx, const struct tributary_producer *producer)
{
    struct ledger *ledger = ctx;

    pthread_mutex_lock(&ledger->lock);

    struct map_node *node = map_find(&ledger->sources, (struct bytes){(const uint8_t *)producer->name, strlen(producer->name)});
    struct entry *entry = node != NULL ? entry_of(node) : NULL;

    if (entry != NULL && entry->epoch == producer->epoch && producer->last_sequence > entry->last)
        entry->last = producer->last_sequence;
    pthread_mutex_unlock(&ledger->lock);
}

void ledger_ask(struct ledger *ledger, struct tributary *client)
{
    const struct tributary_producers_query query = {.timeout_ns = ASK_NS, .each = on_producer, .ctx = ledger};

    tributary_producers(client, &query, NULL); /* without an answer our own sums stand */
}

static int by_name(const void *left, const void *right)
{
    return strcmp((*(const struct entry *const *)left)->name, (*(const struct entry *const *)right)->name);
}

static void print_row(FILE *out, const struct entry *entry)
{
    const uint64_t seen = entry->delivered + entry->dropped;
    const uint64_t published = MAX_OF(entry->earlier + span(entry), seen);

    fprintf(out, "%-28s %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "%s\n", entry->name, published, entry->delivered, entry->dropped,
            entry->unknown ? "  and more that nobody could count" : "");
}

void ledger_print(struct ledger *ledger, FILE *out)
{
    size_t count = 0;

    pthread_mutex_lock(&ledger->lock);

    const struct entry **rows = calloc(ledger->sources.count + 1, sizeof(*rows));

    fprintf(out, "\n%-28s %12s %12s %12s\n", "producer", "published", "delivered", "dropped");
    for (struct map_node *node = NULL; rows != NULL && (node = map_next(&ledger->sources, node)) != NULL;)
        rows[count++] = entry_of(node);
    if (count > 0)
        qsort(rows, count, sizeof(*rows), by_name);
    for (size_t i = 0; i < count; i++)
        print_row(out, rows[i]);
    if (ledger->others != NULL)
        print_row(out, ledger->others);
    free(rows);
    pthread_mutex_unlock(&ledger->lock);
}
