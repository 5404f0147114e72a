/* catalog_entries.c - the entries of the catalog, and their schemas. */
#include "reflect/catalog_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* An endpoint that has failed is not asked again at once. */
#define FAILURE_NS NS_PER_S
/* Nor one that has answered, however often its connections change. */
#define FETCHED_NS (5 * NS_PER_S)

void catalog_init(struct catalog *catalog, struct loop *loop)
{
    *catalog = (struct catalog){.loop = loop};
    map_init(&catalog->services);
    list_init(&catalog->in_order);
    list_init(&catalog->due);
    slice_init(&catalog->slice, catalog_step);
    peer_charges_init(&catalog->charges, COUNT_LIVE_FANIN_BYTES, "endpoint.descriptor_set",
                      "descriptors of the endpoints of");
}

void catalog_fini(struct catalog *catalog)
{
    slice_stop(&catalog->slice);
    map_fini(&catalog->services);
    peer_charges_fini(&catalog->charges);
}

/* "/package.Service/Method" without the slashes and the method. */
static struct bytes service_name(struct bytes serve)
{
    struct serve_entry entry;

    if (serve_entry_read(serve, &entry) || entry.service.size < 2)
        return (struct bytes){NULL, 0};
    return (struct bytes){entry.service.data + 1, entry.service.size - 2};
}

static struct catalog_service *service_of(struct catalog *catalog, struct bytes name)
{
    struct map_node *node = map_find(&catalog->services, name);

    if (node)
        return container_of(node, struct catalog_service, node);
    struct catalog_service *service = malloc(sizeof(*service) + name.size + 1);
    if (!service)
        return NULL;
    list_init(&service->offers);
    list_init(&service->in_order);
    memcpy(service->name, name.data, name.size);
    service->name[name.size] = '\0';
    service->node.key = (struct bytes){(const uint8_t *)service->name, name.size};
    if (map_add(&catalog->services, &service->node)) {
        free(service);
        return NULL;
    }
    list_append(&catalog->in_order, &service->in_order);
    return service;
}

static void leave_service(struct catalog *catalog, struct catalog_offer *offer)
{
    struct catalog_service *service = offer->service;

    list_remove(&offer->link);
    if (!list_empty(&service->offers))
        return;
    map_remove(&catalog->services, &service->node);
    list_remove(&service->in_order);
    free(service);
}

static bool has_offer(const struct catalog_entry *entry, struct bytes name)
{
    for (size_t i = 0; i < entry->offer_count; i++) {
        const struct catalog_service *service = entry->offers[i].service;

        if (service && bytes_same(service->node.key, name))
            return true;
    }
    return false;
}

/* False: out of memory. */
static bool add_offer(struct catalog_entry *entry, struct bytes name)
{
    static const char reflection[] = "grpc.reflection.";
    struct catalog *catalog = entry->catalog;
    struct catalog_offer *offer = &entry->offers[entry->offer_count];

    entry->serves_reflection |= bytes_begin_with(name, text_bytes(reflection));
    if (name.size == 0 || has_offer(entry, name) ||
        (catalog->services.count >= MAX_CATALOG_SERVICES && !map_find(&catalog->services, name)))
        return true;
    offer->entry = entry;
    offer->service = service_of(catalog, name);
    if (!offer->service)
        return false;
    list_init(&offer->link);
    list_append(&offer->service->offers, &offer->link);
    entry->offer_count++;
    return true;
}

static bool add_offers(struct catalog_entry *entry, const struct catalog_params *params)
{
    bool is_added = true;

    entry->offers = calloc(params->serve_count, sizeof(*entry->offers));
    if (!entry->offers)
        return false;
    for (size_t i = 0; is_added && i < params->serve_count; i++)
        is_added = add_offer(entry, service_name(params->serve[i]));
    return is_added;
}

enum fault_reason catalog_add(struct catalog *catalog, struct catalog_entry *entry,
                              const struct catalog_params *params, struct fault *fault)
{
    *entry = (struct catalog_entry){.catalog = NULL};
    if (params->serve_count == 0)
        return FAULT_NONE;
    if (params->given &&
        schema_charge(params->given, &catalog->charges, loop_settings(catalog->loop), params->peer, fault))
        return fault->reason;
    entry->catalog = catalog;
    entry->port = params->port;
    entry->ctx = params->ctx;
    entry->peer = params->peer;
    snprintf(entry->name, sizeof(entry->name), "%.*s", (int)params->name.size,
             (const char *)params->name.data);
    list_init(&entry->waits);
    entry->given = schema_retain(params->given);
    if (!add_offers(entry, params)) {
        entry->serves_reflection = false;
        catalog_remove(entry);
        return fault_set(fault, FAULT_MEMORY_BUDGET, "endpoint", "");
    }
    if (entry->serves_reflection)
        atomic_fetch_add_explicit(&catalog->reflecting, 1, memory_order_relaxed);
    return FAULT_NONE;
}

void catalog_remove(struct catalog_entry *entry)
{
    struct catalog *catalog = entry->catalog;

    if (!catalog)
        return;
    for (size_t i = 0; i < entry->offer_count; i++)
        leave_service(catalog, &entry->offers[i]);
    if (entry->serves_reflection)
        atomic_fetch_sub_explicit(&catalog->reflecting, 1, memory_order_relaxed);
    catalog_wake(catalog, &entry->waits);
    schema_release(entry->given);
    schema_release(entry->fetched);
    free(entry->offers);
    entry->catalog = NULL;
}

void catalog_fetched(struct catalog_entry *entry, struct schema *schema, const char *failure)
{
    struct catalog *catalog = entry->catalog;
    struct fault fault;

    if (schema &&
        schema_charge(schema, &catalog->charges, loop_settings(catalog->loop), entry->peer, &fault)) {
        schema_release(schema);
        schema = NULL;
        failure = fault_text(fault.reason);
    }
    schema_release(entry->fetched);
    entry->fetched = schema;
    entry->is_fetching = false;
    entry->fetched_until_ns = schema && !failure ? clock_mono_ns() + FETCHED_NS : 0;
    entry->failed_until_ns = failure ? clock_mono_ns() + FAILURE_NS : 0;
    snprintf(entry->failure, sizeof(entry->failure), "%s", failure ? failure : "");
    catalog_wake(catalog, &entry->waits);
}
