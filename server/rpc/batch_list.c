/* batch_list.c - Batch.ListProcessors: pages, one processor in each step. */
#include <stdlib.h>

#include "batch/processor_query.h"
#include "event/field_write.h"
#include "hub/walk_name.h"
#include "proto/field_numbers.h"
#include "server/rpc/batch_hello.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/rpc/token.h"
#include "tributary/v1/batch.pb-c.h"

/* The state of a call. */
struct processor_page {
    struct walk_name last; /* of the last processor */
    uint32_t left;
};

static void add_worker(void *ctx, const struct processor_worker_view *view)
{
    struct buf *workers = ctx, body = {0};

    field_bytes(&body, PB_PROCESSOR_WORKER_NAME, view->name);
    field_text(&body, PB_PROCESSOR_WORKER_PEER, view->peer);
    field_varint(&body, PB_PROCESSOR_WORKER_DRAINING, view->draining);
    field_varint(&body, PB_PROCESSOR_WORKER_BATCHES, view->batches);
    field_varint(&body, PB_PROCESSOR_WORKER_MAX_BATCHES, view->max_batches);
    field_varint(&body, PB_PROCESSOR_WORKER_BATCHES_SAVED, view->saved);
    field_varint(&body, PB_PROCESSOR_WORKER_BATCHES_FAILED, view->failed);
    field_varint(&body, PB_PROCESSOR_WORKER_OPERATIONS, view->operations);
    field_message(workers, PB_PROCESSOR_WORKERS, &body);
}

static void write_processor(const struct batch_processor *processor, struct buf *body)
{
    struct buf workers = {0}, policy = {0};
    struct processor_view view;

    batch_processor_view(processor, &view, add_worker, &workers);
    field_bytes(body, PB_PROCESSOR_NAME, view.name);
    batch_policy_write(&policy, view.settings);
    field_message(body, PB_PROCESSOR_POLICY, &policy);
    buf_bytes(body, workers.data, workers.size);
    body->broken |= workers.broken;
    buf_fini(&workers);
    field_varint(body, PB_PROCESSOR_KEYS, view.keys);
    field_varint(body, PB_PROCESSOR_BATCHES, view.batches);
    field_varint(body, PB_PROCESSOR_WAITERS, view.waiters);
    field_varint(body, PB_PROCESSOR_BATCHES_SAVED, view.saved);
    field_varint(body, PB_PROCESSOR_BATCHES_FAILED, view.failed);
    field_varint(body, PB_PROCESSOR_OPERATIONS, view.operations);
}

static void end_page(struct unary_call *unary, const struct processor_page *page)
{
    OWNED(buf_fini) struct buf token = {0};

    page_write(PAGES_OF_PROCESSORS, walk_name_get(&page->last), &token);
    field_bytes(&unary->answer, PB_LIST_PROCESSORS_RESPONSE_NEXT_PAGE_TOKEN,
                (struct bytes){token.data, token.size});
    unary->answer.broken |= token.broken;
}

static bool list_more(struct unary_call *unary)
{
    struct processor_page *page = unary->state;
    struct batch_processor *processor =
        batch_processors_after(unary->rpc->batches, walk_name_get(&page->last));
    struct buf body = {0};

    if (!processor)
        return false;
    if (page->left == 0 || unary->answer.size >= MAX_PAGE_BYTES) {
        end_page(unary, page);
        batch_processor_release(processor);
        return false;
    }
    batch_processor_lock(processor);
    write_processor(processor, &body);
    batch_processor_unlock(processor);
    walk_name_set(&page->last, batch_processor_name(processor));
    page->left--;
    batch_processor_release(processor);
    field_message(&unary->answer, PB_LIST_PROCESSORS_RESPONSE_PROCESSORS, &body);
    return true;
}

static void list_processors(struct unary_call *unary)
{
    const Tributary__V1__ListProcessorsRequest *request =
        (const Tributary__V1__ListProcessorsRequest *)(const void *)unary->request;
    struct processor_page *page = calloc(1, sizeof(*page));

    unary->state = page;
    if (!page) {
        fault_set(&unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        return;
    }
    if (page_size_read(request->page_size, &page->left, &unary->fault) ||
        page_read(PAGES_OF_PROCESSORS, request->page_token, page->last.data, &page->last.size, &unary->fault))
        return;
    unary->max_bytes = MAX_PAGE_BYTES;
    unary->step = list_more;
}

enum err batch_list_serve(struct rpc *rpc)
{
    return rpc_add_unary(rpc, "/tributary.v1.Batch/ListProcessors",
                         &tributary__v1__list_processors_request__descriptor, list_processors);
}
