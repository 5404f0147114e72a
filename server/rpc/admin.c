/* admin.c - the operator's service: lists, pages and verbs. It runs on the loop, so each entry of a
 * list, and each other answer, describes one moment. A page is written in slices. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/counters.h"
#include "event/chunk.h"
#include "event/field_write.h"
#include "event/text.h"
#include "event/filter.h"
#include "h2socket/h2socket.h"
#include "hub/subscription.h"
#include "hub/subscription_port.h"
#include "proto/field_numbers.h"
#include "server/dial/dial.h"
#include "server/rpc/decode.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/method_table.h"
#include "server/rpc/services.h"
#include "server/rpc/store_view.h"
#include "server/rpc/token.h"
#include "server/rpc/views.h"
#include "server/wire/wire.h"
#include "tributary/v1/admin.pb-c.h"

_Static_assert(MAX_WALK_NAME >= MAX_PAGE_NAME_BYTES, "page_read() writes into a walk's name");

#define USUAL_ENTRY_BYTES 1024u
#define MAX_NAME_BYTES 256u
#define MAX_REASON_BYTES 256u

/* One set of functions writes both lists. */
_Static_assert(PB_LIST_SUBSCRIPTIONS_RESPONSE_SUBSCRIPTIONS == PB_LIST_PRODUCERS_RESPONSE_PRODUCERS &&
                   PB_LIST_SUBSCRIPTIONS_RESPONSE_NEXT_PAGE_TOKEN ==
                       PB_LIST_PRODUCERS_RESPONSE_NEXT_PAGE_TOKEN,
               "both answers have the same fields");

static const struct duration_rule deadline = {"deadline", 5 * NS_PER_S, 1, 3600 * NS_PER_S, true};

/* A page that is being written, as the state of its call. */
struct page {
    struct hub_list list;
    enum page_list kind;
    struct buf *answer;
    bool sources;
    struct walk_name last; /* the name of the last entry */
};

/* Appends the entry, and frees its bytes. A page that is large is full. */
static void page_add(struct page *page, struct bytes name, struct buf *entry)
{
    field_message(page->answer, PB_LIST_PRODUCERS_RESPONSE_PRODUCERS, entry);
    walk_name_set(&page->last, name);
    if (page->answer->size >= MAX_PAGE_BYTES)
        page->list.left = 0;
}

static void page_end(struct page *page)
{
    struct buf token = {0};

    if (page->list.more && page->last.size > 0)
        page_write(page->kind, walk_name_get(&page->last), &token);
    field_bytes(page->answer, PB_LIST_PRODUCERS_RESPONSE_NEXT_PAGE_TOKEN,
                (struct bytes){token.data, token.size});
    page->answer->broken |= token.broken;
    buf_fini(&token);
}

/* The page of a request, as the state of its call. NULL: unary->fault says why not. */
static struct page *page_begin(struct unary_call *unary, enum page_list kind, uint32_t page_size,
                               const char *page_token)
{
    struct page *page = calloc(1, sizeof(*page));

    unary->state = page;
    if (!page) {
        fault_set(&unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        return NULL;
    }
    page->kind = kind;
    page->answer = &unary->answer;
    if (page_size_read(page_size, &page->list.left, &unary->fault) ||
        page_read(kind, page_token, page->list.after.data, &page->list.after.size, &unary->fault))
        return NULL;
    unary->max_bytes = MIN_OF((size_t)page->list.left * USUAL_ENTRY_BYTES, MAX_PAGE_BYTES);
    return page;
}

static void producer_add(void *ctx, const struct producer_view *view)
{
    struct buf entry = {0};

    producer_write(view, &entry);
    page_add(ctx, view->name, &entry);
}

static bool list_more_producers(struct unary_call *unary)
{
    struct page *page = unary->state;

    if (hub_producers(unary->rpc->hub, &page->list, producer_add, page))
        return true;
    page_end(page);
    return false;
}

static void list_producers(struct unary_call *unary)
{
    const Tributary__V1__ListProducersRequest *request =
        (const Tributary__V1__ListProducersRequest *)(void *)unary->request;
    struct bytes pattern = text_bytes(request->pattern);
    struct page *page;

    if (pattern.size > MAX_PATTERN_BYTES) {
        fault_bytes(&unary->fault, FAULT_TOO_LONG, "pattern", pattern, "at most 256 bytes");
        return;
    }
    page = page_begin(unary, PAGES_OF_PRODUCERS, request->page_size, request->page_token);
    if (page)
        page->list.pattern = pattern;
    unary->step = list_more_producers;
}

static void producer_answer(void *ctx, const struct producer_view *view)
{
    producer_write(view, ctx);
}

static void get_producer(struct unary_call *unary)
{
    const Tributary__V1__GetProducerRequest *request =
        (const Tributary__V1__GetProducerRequest *)(void *)unary->request;
    struct bytes name = text_bytes(request->name);

    if (name_check(name, "name", MAX_NAME_BYTES, &unary->fault) ||
        hub_producer(unary->rpc->hub, name, producer_answer, &unary->answer, &unary->fault))
        buf_clear(&unary->answer); /* unary->fault says why */
}

static void subscription_add(void *ctx, const struct subscription_view *view)
{
    const struct page *page = ctx;
    struct buf entry = {0};

    subscription_write(view, page->sources, &entry);
    page_add(ctx, text_bytes(view->id), &entry);
}

static bool list_more_subscriptions(struct unary_call *unary)
{
    struct page *page = unary->state;

    if (hub_subscriptions(unary->rpc->hub, &page->list, subscription_add, page))
        return true;
    page_end(page);
    return false;
}

static void list_subscriptions(struct unary_call *unary)
{
    const Tributary__V1__ListSubscriptionsRequest *request =
        (const Tributary__V1__ListSubscriptionsRequest *)(void *)unary->request;
    struct page *page = page_begin(unary, PAGES_OF_SUBSCRIPTIONS, request->page_size, request->page_token);

    if (page)
        page->sources = request->sources;
    unary->step = list_more_subscriptions;
}

/* How to answer Disconnect: the subscription as it is now, but already draining where it will
 * drain. */
struct disconnect_answer {
    struct buf *bytes;
    bool drain;
};

static void write_ending(void *ctx, const struct subscription_view *view)
{
    struct disconnect_answer *answer = ctx;
    struct subscription_view now = *view;

    now.draining |= answer->drain;
    subscription_write(&now, false, answer->bytes);
}

/* Writes the answer first: the hub may free the subscription when it ends it. */
static void disconnect(struct unary_call *unary)
{
    const Tributary__V1__DisconnectRequest *request =
        (const Tributary__V1__DisconnectRequest *)(void *)unary->request;
    struct disconnect_answer answer = {&unary->answer, request->drain};
    struct bytes id = text_bytes(request->subscription_id);
    struct bytes reason = text_bytes(request->reason);
    struct fault *fault = &unary->fault;
    int64_t drain_ns;

    if (name_check(id, "subscription_id", MAX_NAME_BYTES, fault))
        return;
    if (reason.size > MAX_REASON_BYTES) {
        fault_bytes(fault, FAULT_TOO_LONG, "reason", reason, "at most 256 bytes");
        return;
    }
    if (decode_duration((const ProtobufCMessage *)request->deadline, &deadline, &drain_ns, fault))
        return;
    if (hub_subscription(unary->rpc->hub, id, write_ending, &answer, fault))
        return;
    if (request->drain ? hub_finish(unary->rpc->hub, id, CLOSING_DISCONNECTED, drain_ns, fault)
                       : hub_disconnect(unary->rpc->hub, id, reason, fault))
        buf_clear(&unary->answer); /* *fault says why */
}

/* The counters of the process as messages, and after them the connections that the guard has ended
 * for each reason. */
#define MAX_COUNTS (COUNTER_COUNT + H2GUARD_REASON_COUNT)

struct counts {
    Tributary__V1__Info__Counter messages[MAX_COUNTS];
    Tributary__V1__Info__Counter *pointers[MAX_COUNTS];
    char end_names[H2GUARD_REASON_COUNT][48];
    size_t count;
};

static void add_count(struct counts *counts, const char *name, int64_t value)
{
    Tributary__V1__Info__Counter *message = &counts->messages[counts->count];

    tributary__v1__info__counter__init(message);
    message->name = (char *)name;
    message->value = value;
    counts->pointers[counts->count++] = message;
}

/* "guard.ended.flood_pings" */
static void write_end_name(enum h2guard_reason reason, char *name, size_t capacity)
{
    int size = snprintf(name, capacity, "guard.ended.%s", h2guard_reason_name(reason));

    for (int i = 0; i < size && name[i]; i++)
        name[i] = (char)tolower((unsigned char)name[i]);
}

static void counts_fill(struct counts *counts)
{
    const struct h2guard_counters *verdicts = h2socket_counters();

    counts->count = 0;
    for (int i = 0; i < COUNTER_COUNT; i++)
        add_count(counts, counter_name((enum counter)i), count_get((enum counter)i));
    for (int i = H2GUARD_NO_REASON + 1; i < H2GUARD_REASON_COUNT; i++) {
        write_end_name((enum h2guard_reason)i, counts->end_names[i], sizeof(counts->end_names[i]));
        add_count(counts, counts->end_names[i],
                  (int64_t)atomic_load_explicit(&verdicts->ends[i], memory_order_relaxed));
    }
}

static void get_info(struct unary_call *unary)
{
    const struct rpc_params *params = &unary->rpc->params;
    const struct settings *settings = loop_settings(unary->rpc->loop);
    Tributary__V1__Info info = TRIBUTARY__V1__INFO__INIT;
    SCRATCH struct store_view store;
    struct counts counts;

    counts_fill(&counts);
    info.version = (char *)params->version;
    info.grpc_version = (char *)wire_version();
    info.started_unix_nano = (uint64_t)unary->rpc->started_wall_ns;
    info.n_listening = params->listening_count;
    info.listening = (char **)params->listening;
    info.pid = (uint32_t)getpid();
    info.max_event_bytes = settings->framing.max_event_bytes;
    info.max_batch_bytes = settings->framing.max_batch_bytes;
    info.max_batch_events = settings->framing.max_batch_events;
    info.max_calls_per_connection = settings->max_calls_per_connection;
    info.max_connections = settings->max_connections;
    info.memory_limit_bytes = budget_limit();
    info.memory_used_bytes = budget_used();
    info.draining = hub_draining(unary->rpc->hub);
    info.n_counters = counts.count;
    info.counters = counts.pointers;
    info.store = store_view_fill(&store, unary->rpc->edits, params->topics);
    encode(&info.base, &unary->answer);
}

enum err admin_serve(struct rpc *rpc)
{
    static const struct {
        const char *path;
        const ProtobufCMessageDescriptor *type;
        void (*on_loop)(struct unary_call *unary);
    } methods[] = {
        {"/tributary.v1.Admin/ListProducers", &tributary__v1__list_producers_request__descriptor,
         list_producers},
        {"/tributary.v1.Admin/GetProducer", &tributary__v1__get_producer_request__descriptor, get_producer},
        {"/tributary.v1.Admin/ListSubscriptions", &tributary__v1__list_subscriptions_request__descriptor,
         list_subscriptions},
        {"/tributary.v1.Admin/Disconnect", &tributary__v1__disconnect_request__descriptor, disconnect},
        {"/tributary.v1.Admin/GetInfo", &tributary__v1__get_info_request__descriptor, get_info},
    };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        enum err err = rpc_add_unary(rpc, methods[i].path, methods[i].type, methods[i].on_loop);

        if (err)
            return err;
    }
    return ERR_OK;
}
