/* file_source.c - see file_source.h. */
#include "server/config/file_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/retry_wait.h"
#include "server/dial/dial.h"
#include "server/rpc/endpoint_definition.h"

#define DRAIN_NS (5 * NS_PER_S)
#define REPLACE_NS NS_PER_S
/* A name that is in use costs little to look at again. Other reasons wait longer each time. */
#define FIRST_RETRY_NS NS_PER_S
#define MAX_RETRY_NS (30 * NS_PER_S)

/* A producer of an entry, until it has ended. */
struct hold {
    struct entry *entry; /* NULL: it has been dropped */
    struct dialled *dialled;
};

struct entry {
    struct file_source *source;
    struct list in_source, in_waiting;
    struct map_node by_name;
    struct hold *hold; /* NULL: it waits */
    struct file_definition definition;
    uint64_t round;
    bool is_logged; /* that it waits */
    uint32_t failures;
    uint64_t random;
    int64_t next_try_ns;
};

struct file_source *file_source_new(const char *path, struct dial *dial, struct list *waiting)
{
    struct file_source *source = calloc(1, sizeof(*source) + strlen(path) + 1);

    if (!source)
        return NULL;
    memcpy(source->path, path, strlen(path) + 1);
    source->by_path.key = text_bytes(source->path);
    source->dial = dial;
    source->waiting = waiting;
    list_init(&source->entries);
    count_add(COUNT_LIVE_ENDPOINT_FILES, 1);
    return source;
}

static void set_bad(struct file_source *source, bool is_bad)
{
    count_add(COUNT_LIVE_BAD_ENDPOINT_FILES, (int)is_bad - (int)source->is_bad);
    source->is_bad = is_bad;
}

struct entry *entry_of_waiting(struct list *link)
{
    return container_of(link, struct entry, in_waiting);
}

/* ---- an entry waits, or has a producer ---- */

static void start_waiting(struct entry *entry)
{
    list_append(entry->source->waiting, &entry->in_waiting);
    count_add(COUNT_LIVE_WAITING_FILE_PRODUCERS, 1);
}

static void stop_waiting(struct entry *entry)
{
    list_remove(&entry->in_waiting);
    count_add(COUNT_LIVE_WAITING_FILE_PRODUCERS, -1);
}

/* The producer has ended. Where the file still wants it, it is made again. */
static void on_gone(void *ctx)
{
    struct hold *hold = ctx;

    count_add(COUNT_LIVE_FILE_PRODUCERS, -1);
    if (hold->entry) {
        hold->entry->hold = NULL;
        start_waiting(hold->entry);
    }
    free(hold);
}

/* The end may come before this returns. */
static void let_go(struct entry *entry, int64_t drain_ns)
{
    struct hold *hold = entry->hold;

    if (!hold)
        return;
    entry->hold = NULL;
    hold->entry = NULL;
    dial_remove(entry->source->dial, text_bytes(entry->definition.name), hold->dialled, drain_ns);
}

static void note_waiting(struct entry *entry, const struct fault *fault)
{
    char reason[256];

    entry->failures += entry->failures < UINT32_MAX;
    entry->next_try_ns = 0;
    if (fault->reason != FAULT_NAME_TAKEN)
        entry->next_try_ns =
            clock_from_now_ns(retry_wait_ns(FIRST_RETRY_NS, MAX_RETRY_NS, entry->failures, &entry->random));
    if (entry->is_logged)
        return;
    entry->is_logged = true;
    fault_message(fault, reason, sizeof(reason));
    log_write(LOG_WARN, "endpoints.producer_waits", LOG_TEXT("producer", entry->definition.name),
              LOG_TEXT("file", entry->source->path), LOG_NUMBER("line", entry->definition.line),
              LOG_TEXT("reason", reason));
}

static void note_started(struct entry *entry)
{
    count_add(COUNT_LIVE_FILE_PRODUCERS, 1);
    if (entry->is_logged)
        log_write(LOG_INFO, "endpoints.producer_added", LOG_TEXT("producer", entry->definition.name),
                  LOG_TEXT("file", entry->source->path));
    entry->is_logged = false;
    entry->failures = 0;
}

static enum fault_reason make_producer(struct entry *entry, struct hold *hold, struct fault *fault)
{
    OWNED(endpoint_definition_free) struct endpoint_definition *definition = NULL;
    const struct dialled_owner owner = {.gone = on_gone, .ctx = hold};

    if (endpoint_definition_read(entry->definition.message, &definition, fault))
        return fault->reason;

    struct endpoint_params *params = endpoint_definition_params(definition);

    params->origin = ORIGIN_FILE;
    params->origin_text = entry->source->path;
    params->replace = false;
    return dial_hold(entry->source->dial, params, &owner, &hold->dialled, fault);
}

void entry_start(struct entry *entry)
{
    const struct bytes name = text_bytes(entry->definition.name);
    struct fault fault = {.reason = FAULT_NONE};
    struct hold *hold = NULL;

    stop_waiting(entry);
    if (!dial_name_is_free(entry->source->dial, name)) {
        fault_bytes(&fault, FAULT_NAME_TAKEN, "name", name, NULL);
    } else if (entry->next_try_ns <= clock_mono_ns()) {
        hold = calloc(1, sizeof(*hold));
        if (!hold)
            fault_set(&fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        else
            (void)!make_producer(entry, hold, &fault);
    }
    if (hold && fault.reason == FAULT_NONE) {
        hold->entry = entry;
        entry->hold = hold;
        note_started(entry);
        return;
    }
    free(hold);
    if (fault.reason != FAULT_NONE)
        note_waiting(entry, &fault);
    start_waiting(entry);
}

/* ---- a version ---- */

static void entry_drop(struct entry *entry)
{
    struct file_source *source = entry->source;

    let_go(entry, DRAIN_NS);
    if (!list_empty(&entry->in_waiting))
        stop_waiting(entry);
    list_remove(&entry->in_source);
    map_remove(&source->by_name, &entry->by_name);
    free(entry->definition.name);
    free(entry);
}

void file_source_free(struct file_source *source)
{
    while (file_source_drop_any(source))
        ;
    set_bad(source, false);
    map_fini(&source->by_name);
    free(source);
    count_add(COUNT_LIVE_ENDPOINT_FILES, -1);
}

void file_source_begin(struct file_source *source)
{
    source->round++;
    source->added = source->changed = source->removed = 0;
}

/* False: out of memory. */
static bool definition_copy(const struct file_definition *from, struct file_definition *to)
{
    const size_t name_size = strlen(from->name) + 1;
    char *memory = malloc(name_size + from->message.size);

    if (!memory)
        return false;
    memcpy(memory, from->name, name_size);
    memcpy(memory + name_size, from->message.data, from->message.size);
    *to = (struct file_definition){.name = memory,
                                   .message = {(const uint8_t *)memory + name_size, from->message.size},
                                   .line = from->line};
    return true;
}

/* NULL: out of memory. */
static struct entry *entry_new(struct file_source *source, const struct file_definition *definition)
{
    struct entry *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return NULL;
    entry->source = source;
    entry->random = (uint64_t)clock_mono_ns();
    list_init(&entry->in_source);
    list_init(&entry->in_waiting);
    if (!definition_copy(definition, &entry->definition)) {
        free(entry);
        return NULL;
    }
    entry->by_name.key = text_bytes(entry->definition.name);
    if (map_add(&source->by_name, &entry->by_name) != ERR_OK) {
        free(entry->definition.name);
        free(entry);
        return NULL;
    }
    start_waiting(entry);
    return entry;
}

/* The name stays, and the memory that has it. */
static bool entry_change(struct entry *entry, const struct file_definition *definition)
{
    struct file_definition copy;

    if (!definition_copy(definition, &copy))
        return false;
    if (entry->hold) {
        let_go(entry, REPLACE_NS);
        start_waiting(entry);
    }
    map_remove(&entry->source->by_name, &entry->by_name);
    free(entry->definition.name);
    entry->definition = copy;
    entry->by_name.key = text_bytes(copy.name);
    CHECK(map_add(&entry->source->by_name, &entry->by_name) == ERR_OK); /* another has just left */
    entry->failures = 0;
    entry->next_try_ns = 0;
    entry->is_logged = false;
    entry->source->changed++;
    return true;
}

void file_source_define(struct file_source *source, const struct file_definition *definition)
{
    struct map_node *node = map_find(&source->by_name, text_bytes(definition->name));
    struct entry *entry = node ? container_of(node, struct entry, by_name) : NULL;
    bool is_good = true;

    if (!entry) {
        entry = entry_new(source, definition);
        source->added++;
        is_good = entry;
    } else if (!bytes_same(entry->definition.message, definition->message)) {
        is_good = entry_change(entry, definition);
    }
    if (!is_good)
        log_write(LOG_ERROR, "endpoints.not_read", LOG_TEXT("file", source->path),
                  LOG_TEXT("producer", definition->name), LOG_TEXT("reason", "out of memory"));
    if (!entry)
        return;
    entry->definition.line = definition->line;
    entry->round = source->round;
    list_remove(&entry->in_source);
    list_append(&source->entries, &entry->in_source);
}

bool file_source_drop_one(struct file_source *source)
{
    struct list *first = list_first(&source->entries);

    if (!first || container_of(first, struct entry, in_source)->round == source->round)
        return false;
    source->removed++;
    return file_source_drop_any(source);
}

bool file_source_drop_any(struct file_source *source)
{
    struct list *first = list_first(&source->entries);

    if (!first)
        return false;
    entry_drop(container_of(first, struct entry, in_source));
    return true;
}

/* ---- what the log says ---- */

void file_source_applied(struct file_source *source)
{
    if (source->is_bad || source->round == 1 || source->added + source->changed + source->removed > 0)
        log_write(LOG_INFO, "endpoints.file_read", LOG_TEXT("file", source->path),
                  LOG_NUMBER("producers", source->by_name.count), LOG_NUMBER("added", source->added),
                  LOG_NUMBER("changed", source->changed), LOG_NUMBER("removed", source->removed));
    set_bad(source, false);
    source->fault[0] = '\0';
}

void file_source_refused(struct file_source *source, const struct tree_fault *fault)
{
    char text[sizeof(source->fault)];

    snprintf(text, sizeof(text), "%u %s %s", fault->line, fault->key, fault->text);
    if (strcmp(text, source->fault) != 0)
        log_write(LOG_WARN, "endpoints.file_refused", LOG_TEXT("file", source->path),
                  LOG_NUMBER("line", fault->line), LOG_TEXT("key", fault->key),
                  LOG_TEXT("reason", fault->text), LOG_NUMBER("producers", source->by_name.count));
    memcpy(source->fault, text, sizeof(text));
    set_bad(source, true);
}

void file_source_gone(struct file_source *source)
{
    log_write(LOG_INFO, "endpoints.file_gone", LOG_TEXT("file", source->path),
              LOG_NUMBER("removed", source->removed));
}
