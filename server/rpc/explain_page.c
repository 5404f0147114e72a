/* explain_page.c - Admin.Explain of every subscription: one probe (explain_probe.h) for each
 * subscription of the page.
 *
 *   gather --all are made, and have looked twice--> write --> answer
 *
 * Both are done in slices. The memory of the probes is charged to the peer of the caller, as that
 * of an answer is, before the first one is made. All of it is on the loop. */
#include "server/rpc/explain_page.h"

#include <stdlib.h>

#include "event/field_write.h"
#include "hub/hub_query.h"
#include "proto/field_numbers.h"
#include "server/rpc/explain_probe.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/token.h"

_Static_assert(MAX_WALK_NAME >= MAX_PAGE_NAME_BYTES, "page_read() writes into a walk's name");

#define MAX_PAGE_SIZE 100u

struct explain_page {
    struct unary_call *unary;
    int64_t window_ns;
    struct hub_list list;
    struct timer timer;
    struct slice slice;
    struct explain_probe *probes[MAX_PAGE_SIZE];
    uint32_t count, probing, written; /* probing: of those not yet done */
    bool gathered;
};

static void finish(struct explain_page *page)
{
    struct unary_call *unary = page->unary;

    for (uint32_t i = 0; i < page->count; i++)
        explain_probe_free(page->probes[i]);
    free(page);
    rpc_unary_finish(unary);
}

/* ---- the answer ---- */

static void write_token(struct explain_page *page)
{
    struct buf *answer = &page->unary->answer;
    OWNED(buf_fini) struct buf token = {0};

    if (page->list.more)
        page_write(PAGES_OF_SUBSCRIPTIONS, walk_name_get(&page->list.after), &token);
    field_bytes(answer, PB_EXPLANATION_NEXT_PAGE_TOKEN, (struct bytes){token.data, token.size});
    answer->broken |= token.broken;
}

/* What has ended meanwhile is left out. */
static void write_one(struct explain_page *page, const struct explain_probe *probe)
{
    const struct fault *fault = explain_probe_fault(probe);
    struct buf each = {0};

    if (!fault) {
        explain_probe_write(probe, &each);
        field_message(&page->unary->answer, PB_EXPLANATION_EACH, &each);
    } else if (fault->reason != FAULT_SUBSCRIPTION_NOT_FOUND) {
        page->unary->fault = *fault;
    }
}

static bool write_next(struct slice *slice)
{
    struct explain_page *page = container_of(slice, struct explain_page, slice);

    if (page->written < page->count && !page->unary->fault.reason) {
        write_one(page, page->probes[page->written]);
        explain_probe_free(page->probes[page->written]);
        page->probes[page->written++] = NULL;
        return true;
    }
    write_token(page);
    finish(page);
    return false;
}

static void write_where_done(struct explain_page *page)
{
    if (!page->gathered || page->probing > 0)
        return;
    slice_init(&page->slice, write_next);
    loop_slice_later(page->unary->rpc->loop, &page->slice);
}

/* ---- probes ---- */

static void on_done(void *ctx, struct explain_probe *probe)
{
    struct explain_page *page = ctx;

    (void)probe; /* its answer is written in the order of the list */
    page->probing--;
    write_where_done(page);
}

static void add_probe(void *ctx, const struct subscription_view *view)
{
    struct explain_page *page = ctx;
    struct unary_call *unary = page->unary;
    struct explain_probe *probe =
        explain_probe_new(unary->rpc, text_bytes(view->id), page->window_ns, on_done, page);

    if (!probe) {
        fault_set(&unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        return;
    }
    page->probes[page->count++] = probe;
    page->probing++;
}

static bool gather(struct slice *slice)
{
    struct explain_page *page = container_of(slice, struct explain_page, slice);
    struct unary_call *unary = page->unary;
    const bool more = hub_subscriptions(unary->rpc->hub, &page->list, add_probe, page);

    if (unary->fault.reason) {
        finish(page);
        return false;
    }
    if (more)
        return true;
    page->gathered = true;
    if (unary->charge.count)
        peer_charge_set(&unary->rpc->answers, &unary->charge, page->count * EXPLAIN_PROBE_BYTES);
    write_where_done(page);
    return false;
}

static void on_begin(struct timer *timer)
{
    struct explain_page *page = container_of(timer, struct explain_page, timer);

    loop_slice_later(page->unary->rpc->loop, &page->slice);
}

/* ---- the request ---- */

/* Where it fails unary->fault says why. */
static void begin(struct explain_page *page)
{
    struct unary_call *unary = page->unary;
    struct rpc *rpc = unary->rpc;

    if (peer_charge_add(&rpc->answers, loop_settings(rpc->loop), &unary->charge, call_peer_key(unary->call),
                        page->list.left * EXPLAIN_PROBE_BYTES, &unary->fault))
        return;
    slice_init(&page->slice, gather);
    page->timer.fired = on_begin;
    unary->waits = timer_start(rpc->loop, &page->timer, 0) == ERR_OK;
    if (!unary->waits)
        fault_set(&unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
}

void explain_page(struct unary_call *unary, uint32_t page_size, const char *page_token, int64_t window_ns)
{
    struct explain_page *page = NULL;

    if (page_size > MAX_PAGE_SIZE) {
        fault_number(&unary->fault, FAULT_OUT_OF_BOUNDS, "all.page_size", page_size, "at most 100");
        return;
    }
    page = calloc(1, sizeof(*page));
    if (!page) {
        fault_set(&unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        return;
    }
    page->unary = unary;
    page->window_ns = window_ns;
    page->list.left = page_size > 0 ? page_size : MAX_PAGE_SIZE;
    if (page_read(PAGES_OF_SUBSCRIPTIONS, page_token, page->list.after.data, &page->list.after.size,
                  &unary->fault))
        fault_within(&unary->fault, "all.");
    else
        begin(page);
    if (!unary->waits)
        free(page);
}
