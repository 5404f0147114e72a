/* catalog_lookup.c - lookups to the catalog. See catalog.h. */
#include <stdio.h>

#include "base/clock.h"
#include "base/whole_characters.h"
#include "reflect/catalog_internal.h"

/* Endpoints of a service among which one is sought that has a schema already. */
#define MAX_LOOKED_AT 8u

/* ---- what is there ---- */

static bool declares(const struct schema *schema, struct bytes service)
{
    size_t file;

    return schema && descriptors_symbol(schema_descriptors(schema), service, &file);
}

size_t catalog_entry_services(const struct catalog_entry *entry, struct bytes *services)
{
    size_t count = 0;

    for (size_t i = 0; i < entry->offer_count; i++) {
        const struct bytes name = entry->offers[i].service->node.key;

        if (!declares(entry->given, name))
            services[count++] = name;
    }
    return count;
}

static bool is_current(const struct catalog_entry *entry)
{
    return entry->fetched_until_ns > clock_mono_ns() || entry->port->is_current(entry->ctx);
}

/* NULL: it must be fetched. */
static struct schema *schema_for(const struct catalog_offer *offer, bool may_be_old)
{
    const struct catalog_entry *entry = offer->entry;
    const struct bytes service = offer->service->node.key;

    if (!entry)
        return NULL;
    if (declares(entry->given, service))
        return entry->given;
    return declares(entry->fetched, service) && (may_be_old || is_current(entry)) ? entry->fetched : NULL;
}

static struct schema *schema_of_service(const struct catalog_service *service, bool may_be_old)
{
    unsigned looked_at = 0;

    list_each(node, next, (struct list *)&service->offers) {
        struct schema *schema = schema_for(container_of(node, struct catalog_offer, link), may_be_old);

        if (schema || ++looked_at == MAX_LOOKED_AT)
            return schema;
    }
    return NULL;
}

static struct catalog_entry *entry_of_service(const struct catalog_service *service, unsigned number)
{
    list_each(node, next, (struct list *)&service->offers) {
        if (number-- == 0)
            return container_of(node, struct catalog_offer, link)->entry;
    }
    return NULL;
}

/* The service that a name is of: its own, or that of one of its methods. NULL: it is of none. */
static struct catalog_service *service_of_symbol(struct catalog *catalog, struct bytes name)
{
    struct map_node *node = map_find(&catalog->services, name);

    for (size_t size = name.size; !node && size > 0; size--) {
        if (name.data[size - 1] != '.')
            continue;
        node = map_find(&catalog->services, (struct bytes){name.data, size - 1});
        break; /* methods have no parts */
    }
    return node ? container_of(node, struct catalog_service, node) : NULL;
}

/* ---- lookups ---- */

static void add_schema(struct catalog_lookup *lookup, struct schema *schema)
{
    for (size_t i = 0; i < lookup->schema_count; i++) {
        if (lookup->schemas[i] == schema)
            return;
    }
    if (lookup->schema_count < MAX_LOOKUP_SCHEMAS)
        lookup->schemas[lookup->schema_count++] = schema_retain(schema);
}

static bool waits_for(const struct catalog_lookup *lookup, const struct catalog_entry *entry)
{
    for (uint32_t i = 0; i < lookup->pending; i++) {
        if (lookup->waits[i].entry == entry)
            return true;
    }
    return false;
}

static void note_failure(struct catalog_lookup *lookup, const struct catalog_entry *entry)
{
    if (entry->failure[0] != '\0')
        snprintf(lookup->failure, sizeof(lookup->failure), "%.*s: %.*s", whole_characters(entry->name, 100),
                 entry->name, whole_characters(entry->failure, 140), entry->failure);
}

/* False: it has answered or failed just now, or the lookup waits for enough others. */
static bool wait_for(struct catalog_lookup *lookup, struct catalog_entry *entry)
{
    struct catalog_wait *wait = &lookup->waits[lookup->pending];

    if (waits_for(lookup, entry))
        return true;
    if (MAX_OF(entry->failed_until_ns, entry->fetched_until_ns) > clock_mono_ns()) {
        note_failure(lookup, entry);
        return false;
    }
    if (lookup->pending == MAX_LOOKUP_SCHEMAS)
        return false;
    if (!entry->is_fetching) {
        entry->is_fetching = entry->port->fetch(entry->ctx);
        if (!entry->is_fetching)
            return false;
    }
    *wait = (struct catalog_wait){.lookup = lookup, .entry = entry};
    list_init(&wait->link);
    list_append(&entry->waits, &wait->link);
    lookup->pending++;
    return true;
}

/* Returns whether the lookup waits. */
static bool go_on_service(struct catalog_lookup *lookup, const struct catalog_service *service)
{
    struct schema *schema = schema_of_service(service, false);
    struct catalog_entry *entry;

    while (!schema && lookup->tries < MAX_CATALOG_TRIES &&
           (entry = entry_of_service(service, lookup->tries++))) {
        if (wait_for(lookup, entry))
            return true;
    }
    /* A connection may have begun while it was fetched. */
    if (!schema)
        schema = schema_of_service(service, true);
    if (schema)
        add_schema(lookup, schema);
    return false;
}

/* One endpoint of each service, once. */
static bool go_on_all(struct catalog *catalog, struct catalog_lookup *lookup)
{
    const bool is_first = lookup->tries++ == 0;

    list_each(node, next, &catalog->in_order) {
        const struct catalog_service *service = container_of(node, struct catalog_service, in_order);
        struct schema *schema = schema_of_service(service, !is_first);

        if (schema)
            add_schema(lookup, schema);
        else if (is_first)
            (void)wait_for(lookup, entry_of_service(service, 0));
    }
    return lookup->pending > 0;
}

static void list_services(struct catalog *catalog, struct catalog_lookup *lookup)
{
    list_each(node, next, &catalog->in_order)
        reflection_add_service(container_of(node, struct catalog_service, in_order)->node.key,
                               &lookup->services);
}

static void go_on(struct catalog *catalog, struct catalog_lookup *lookup)
{
    const struct reflection_request *request = lookup->request;
    const struct catalog_service *service =
        request->want == REFLECTION_SYMBOL ? service_of_symbol(catalog, request->name) : NULL;
    bool waits = false;

    if (request->want == REFLECTION_SERVICES)
        list_services(catalog, lookup);
    else if (service)
        waits = go_on_service(lookup, service);
    else if (request->want != REFLECTION_NOTHING)
        waits = go_on_all(catalog, lookup);
    if (!waits)
        lookup->answered(lookup);
}

void catalog_look_up(struct catalog *catalog, struct catalog_lookup *lookup)
{
    lookup->pending = lookup->tries = 0;
    lookup->failure[0] = '\0';
    go_on(catalog, lookup);
}

/* Places of `waits` that were never used have no lookup. */
void catalog_withdraw(struct catalog_lookup *lookup)
{
    for (size_t i = 0; i < MAX_LOOKUP_SCHEMAS && lookup->waits[i].lookup; i++)
        list_remove(&lookup->waits[i].link);
    lookup->pending = 0;
    lookup->answered(lookup);
}

void catalog_lookup_fini(struct catalog_lookup *lookup)
{
    buf_fini(&lookup->services);
    for (size_t i = 0; i < lookup->schema_count; i++)
        schema_release(lookup->schemas[i]);
    lookup->schema_count = 0;
}

/* ---- waits ---- */

void catalog_wake(struct catalog *catalog, struct list *waits)
{
    struct list *node;

    while ((node = list_first(waits))) {
        struct catalog_wait *wait = container_of(node, struct catalog_wait, link);

        note_failure(wait->lookup, wait->entry);
        list_remove(node);
        list_append(&catalog->due, node);
    }
    if (!list_empty(&catalog->due))
        loop_slice_later(catalog->loop, &catalog->slice);
}

/* One wait. */
bool catalog_step(struct slice *slice)
{
    struct catalog *catalog = container_of(slice, struct catalog, slice);
    struct list *node = list_first(&catalog->due);

    if (!node)
        return false;
    list_remove(node);
    struct catalog_lookup *lookup = container_of(node, struct catalog_wait, link)->lookup;
    if (--lookup->pending == 0)
        go_on(catalog, lookup);
    return !list_empty(&catalog->due);
}
