/* topics_list.c - Admin.GetTopic and Admin.ListTopics. On the loop; a page is written in slices. */
#include <stdlib.h>

#include "event/field_write.h"
#include "event/glob.h"
#include "hub/walk_name.h"
#include "proto/field_numbers.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/rpc/token.h"
#include "server/rpc/topic_view.h"

#define USUAL_ENTRY_BYTES 256u
/* Topics that one step looks at. */
#define MAX_STEP 32u

/* A page that is being written, as the state of its call. */
struct topic_page {
    struct walk_name last; /* of the last topic that was looked at */
    struct glob pattern;
    uint64_t masks[MAX_GLOB_MASKS];
    uint32_t left;
};

static void get_topic(struct unary_call *unary)
{
    const Tributary__V1__GetTopicRequest *request =
        (const Tributary__V1__GetTopicRequest *)(const void *)unary->request;
    const struct bytes name = text_bytes(request->name);
    struct topics *topics = unary->rpc->params.topics;
    struct topic_view view;

    if (topic_name_check(name, "name", &unary->fault))
        return;
    if (!topics)
        fault_set(&unary->fault, FAULT_NO_STATE_DIR, NULL, NULL);
    else if (topics_view(topics, name, &view))
        topic_write(&view, &unary->answer);
    else
        fault_bytes(&unary->fault, FAULT_TOPIC_NOT_FOUND, "name", name, NULL);
}

static void end_page(struct unary_call *unary, struct bytes last)
{
    OWNED(buf_fini) struct buf token = {0};

    page_write(PAGES_OF_TOPICS, last, &token);
    field_bytes(&unary->answer, PB_LIST_TOPICS_RESPONSE_NEXT_PAGE_TOKEN,
                (struct bytes){token.data, token.size});
    unary->answer.broken |= token.broken;
}

/* False: it was the last one, or the page is full. */
static bool add_next(struct unary_call *unary, struct topic_page *page)
{
    struct topic_view view;
    struct buf entry = {0};

    if (!topics_view_after(unary->rpc->params.topics, walk_name_get(&page->last), &view))
        return false;
    if (glob_matches(&page->pattern, view.info.name)) {
        if (page->left == 0 || unary->answer.size >= MAX_PAGE_BYTES) {
            end_page(unary, walk_name_get(&page->last));
            return false;
        }
        topic_write(&view, &entry);
        field_message(&unary->answer, PB_LIST_TOPICS_RESPONSE_TOPICS, &entry);
        page->left--;
    }
    walk_name_set(&page->last, view.info.name);
    return true;
}

static bool list_more(struct unary_call *unary)
{
    for (unsigned i = 0; i < MAX_STEP; i++) {
        if (!add_next(unary, unary->state))
            return false;
    }
    return true;
}

static enum fault_reason read_page(struct unary_call *unary, struct topic_page *page)
{
    const Tributary__V1__ListTopicsRequest *request =
        (const Tributary__V1__ListTopicsRequest *)(const void *)unary->request;
    const struct bytes pattern = text_bytes(request->name);
    struct fault *fault = &unary->fault;

    if (pattern.size > MAX_PATTERN_BYTES)
        return fault_bytes(fault, FAULT_TOO_LONG, "name", pattern, "at most 256 bytes");
    if (page_size_read(request->page_size, &page->left, fault) ||
        page_read(PAGES_OF_TOPICS, request->page_token, page->last.data, &page->last.size, fault))
        return fault->reason;
    page->pattern = glob_of(pattern);
    glob_set_masks(&page->pattern, page->masks);
    return FAULT_NONE;
}

static void list_topics(struct unary_call *unary)
{
    struct topic_page *page = calloc(1, sizeof(*page));

    unary->state = page;
    if (!page) {
        fault_set(&unary->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        return;
    }
    if (read_page(unary, page) || !unary->rpc->params.topics)
        return;
    unary->max_bytes = MIN_OF((size_t)page->left * USUAL_ENTRY_BYTES, MAX_PAGE_BYTES);
    unary->step = list_more;
}

enum err topics_list_serve(struct rpc *rpc)
{
    const enum err err = rpc_add_unary(rpc, "/tributary.v1.Admin/GetTopic",
                                       &tributary__v1__get_topic_request__descriptor, get_topic);

    if (err)
        return err;
    return rpc_add_unary(rpc, "/tributary.v1.Admin/ListTopics",
                         &tributary__v1__list_topics_request__descriptor, list_topics);
}
