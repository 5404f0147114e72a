/* source_totals.c - adds up a stream for each producer.
 *
 * DESIGN. The span of a producer's sequences says how much it published while we were subscribed.
 * The span begins with the first sequence that was delivered or lost. It ends with the latest one
 * known: delivered, lost, or reported by the server at the end. A new epoch begins a new span, and
 * spans add up. */
#include "client/tool/source_totals.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/tool/text_table.h"

#define QUERY_NS INT64_C(2000000000)

struct entry {
    struct map_node node;
    uint64_t epoch, first, last; /* the span of this epoch; `first` 0: it is empty */
    uint64_t earlier;            /* events in the spans of earlier epochs */
    uint64_t delivered, dropped;
    bool unknown;
    char name[];
};

static struct entry *entry_of(const struct map_node *node)
{
    return container_of(node, struct entry, node);
}

void source_totals_init(struct source_totals *totals)
{
    *totals = (struct source_totals){.delivered = 0};
    CHECK(pthread_mutex_init(&totals->lock, NULL) == 0);
    map_init(&totals->sources);
}

void source_totals_fini(struct source_totals *totals)
{
    map_each(node, next, &totals->sources)
    {
        free(entry_of(node));
    }
    free(totals->others);
    map_fini(&totals->sources);
    pthread_mutex_destroy(&totals->lock);
}

static struct entry *entry_new(struct tributary_bytes name)
{
    struct entry *entry = calloc(1, sizeof(*entry) + name.size + 1);

    if (!entry)
        return NULL;
    if (name.size > 0)
        memcpy(entry->name, name.data, name.size);
    entry->node.key = (struct bytes){(const uint8_t *)entry->name, name.size};
    return entry;
}

/* Finds a source, or adds it. Under the lock. NULL: out of memory. */
static struct entry *find(struct source_totals *totals, struct tributary_bytes name)
{
    struct map_node *node = map_find(&totals->sources, (struct bytes){name.data, name.size});
    struct entry *entry = NULL;

    if (node)
        return entry_of(node);
    if (totals->sources.count >= MAX_TOTALS_SOURCES) {
        if (!totals->others)
            totals->others = entry_new(tributary_text("(others)"));
        return totals->others;
    }
    entry = entry_new(name);
    if (entry && map_add(&totals->sources, &entry->node) != ERR_OK) {
        free(entry);
        entry = NULL;
    }
    return entry;
}

static uint64_t span(const struct entry *entry)
{
    return entry->first == 0 ? 0 : entry->last - entry->first + 1;
}

/* Adds sequences to the span. Under the lock. */
static void widen(struct entry *entry, uint64_t epoch, uint64_t first, uint64_t last)
{
    if (epoch < entry->epoch)
        return; /* a late event of an earlier epoch */
    if (epoch > entry->epoch) {
        entry->earlier += span(entry);
        entry->epoch = epoch;
        entry->first = 0;
        entry->last = 0;
    }
    entry->first = entry->first == 0 ? first : MIN_OF(entry->first, first);
    entry->last = MAX_OF(entry->last, last);
}

void source_totals_delivered(struct source_totals *totals, const struct tributary_delivery *delivery)
{
    pthread_mutex_lock(&totals->lock);

    struct entry *entry = find(totals, delivery->source);

    totals->delivered++;
    if (entry) {
        entry->delivered++;
        widen(entry, delivery->epoch, delivery->sequence, delivery->sequence);
    }
    pthread_mutex_unlock(&totals->lock);
}

void source_totals_lost(struct source_totals *totals, const struct tributary_lost *lost)
{
    pthread_mutex_lock(&totals->lock);

    struct entry *entry = find(totals, lost->source);

    totals->dropped += lost->count;
    totals->unknown |= lost->count_unknown;
    if (entry) {
        entry->dropped += lost->count;
        entry->unknown |= lost->count_unknown;
        if (lost->last_sequence > 0)
            widen(entry, lost->epoch, lost->first_sequence, lost->last_sequence);
    }
    pthread_mutex_unlock(&totals->lock);
}

static void on_producer(void *ctx, const struct tributary_producer *producer)
{
    struct source_totals *totals = ctx;

    pthread_mutex_lock(&totals->lock);

    struct map_node *node =
        map_find(&totals->sources, (struct bytes){(const uint8_t *)producer->name, strlen(producer->name)});
    struct entry *entry = node ? entry_of(node) : NULL;

    if (entry && entry->epoch == producer->epoch && producer->last_sequence > entry->last)
        entry->last = producer->last_sequence;
    pthread_mutex_unlock(&totals->lock);
}

void source_totals_fetch(struct source_totals *totals, struct tributary *client)
{
    const struct tributary_producers_query query = {
        .timeout_ns = QUERY_NS, .each = on_producer, .ctx = totals};

    tributary_producers(client, &query, NULL); /* without an answer our own totals stand */
}

static const struct text_column columns[] = {
    {"producer", COLUMN_FLEXIBLE},
    {"published", COLUMN_RIGHT},
    {"delivered", COLUMN_RIGHT},
    {"dropped", COLUMN_RIGHT},
    {"", 0}, /* a remark */
};

static void put_row(struct text_table *table, const struct entry *entry)
{
    const uint64_t seen = entry->delivered + entry->dropped;
    const uint64_t published = MAX_OF(entry->earlier + span(entry), seen);

    text_table_row(table, entry->name, 0);
    text_table_cell(table, entry->name);
    text_table_format(table, "%" PRIu64, published);
    text_table_format(table, "%" PRIu64, entry->delivered);
    text_table_format(table, "%" PRIu64, entry->dropped);
    if (entry->unknown)
        text_table_cell(table, "and more, nobody can say how many");
}

void source_totals_print(struct source_totals *totals, FILE *out, unsigned width)
{
    struct text_table table;

    text_table_init(&table, columns, ARRAY_LEN(columns), false);
    pthread_mutex_lock(&totals->lock);
    for (struct map_node *node = NULL; (node = map_next(&totals->sources, node));)
        put_row(&table, entry_of(node));
    if (totals->others)
        put_row(&table, totals->others);
    pthread_mutex_unlock(&totals->lock);
    fputc('\n', out);
    if (!text_table_print(&table, out, width))
        fprintf(out, "tributary: out of memory\n");
    text_table_fini(&table);
}
