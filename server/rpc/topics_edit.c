/* topics_edit.c - Admin.CreateTopic, UpdateTopic and DeleteTopic. On the loop.
 *
 * An edit waits for the disk. A caller that leaves meanwhile does not stop it. Where the disk does
 * not answer in time, the caller hears STORE_LATE, and the edit goes on without it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/sqlite/store.h"
#include "base/clock.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "server/rpc/services.h"
#include "server/rpc/topic_view.h"

/* Edits that may wait for the disk; a peer has its share of them. */
#define MAX_EDITS 4096u
#define LATE_NS (10 * NS_PER_S)

struct topic_edit {
    struct rpc *rpc;
    struct unary_call *unary; /* NULL: it was answered */
    bool *is_over;            /* while begin() runs: the answer is there. NULL afterwards */
    struct topics_change change;
    struct peer_count *count;
    struct timer late;
    uint8_t name[];
};

/* ---- the end ---- */

static void answer(struct topic_edit *edit)
{
    struct unary_call *unary = edit->unary;

    edit->unary = NULL;
    if (edit->is_over)
        *edit->is_over = true;
    else if (unary)
        rpc_unary_finish(unary);
}

/* What the disk says. */
static void add_cause(struct fault *fault, struct store *store)
{
    const struct store_health health = store_health(store);

    if (fault->bound[0] != '\0' || *health.code == '\0' ||
        (fault->reason != FAULT_STORE_FULL && fault->reason != FAULT_STORE_LOCKED &&
         fault->reason != FAULT_STORE_FAILED && fault->reason != FAULT_STORE_UNKNOWN))
        return;
    snprintf(fault->bound, sizeof(fault->bound), "%s: %.60s", health.code, health.message);
}

static void set_answer(struct unary_call *unary, const struct topics_change *change)
{
    struct topic_view view = {.info = change->info};
    struct topic_view now;

    unary->fault = change->fault;
    if (unary->fault.reason != FAULT_NONE) {
        add_cause(&unary->fault, unary->rpc->params.store);
        return;
    }
    if (topics_view(unary->rpc->params.topics, change->name, &now) &&
        now.info.incarnation == view.info.incarnation)
        view.readers = now.readers;
    topic_write(&view, &unary->answer);
}

static void on_done(struct topics_change *change, enum fault_reason reason)
{
    struct topic_edit *edit = container_of(change, struct topic_edit, change);

    (void)reason; /* change->fault has it */
    timer_stop(&edit->late);
    if (edit->unary)
        set_answer(edit->unary, change);
    answer(edit);
    peer_counts_remove(&edit->rpc->topic_edits, edit->count);
    free(edit);
}

/* Nothing can stop it any more. */
static void on_late(struct timer *timer)
{
    struct topic_edit *edit = container_of(timer, struct topic_edit, late);

    fault_set(&edit->unary->fault, FAULT_STORE_LATE, NULL, "it is carried out when the disk answers");
    answer(edit);
}

/* ---- the beginning ---- */

static struct topic_edit *edit_new(struct rpc *rpc, struct bytes name, struct peer_key peer)
{
    struct topic_edit *edit = calloc(1, sizeof(*edit) + name.size);

    if (!edit)
        return NULL;
    edit->rpc = rpc;
    edit->late.fired = on_late;
    edit->count = peer_counts_add(&rpc->topic_edits, peer);
    if (edit->count && timer_start(rpc->loop, &edit->late, LATE_NS) == ERR_OK) {
        memcpy(edit->name, name.data, name.size);
        return edit;
    }
    peer_counts_remove(&rpc->topic_edits, edit->count);
    free(edit);
    return NULL;
}

/* `wanted` has the verb and its parameters. */
static void begin(struct unary_call *unary, const struct topics_change *wanted)
{
    struct rpc *rpc = unary->rpc;
    struct fault *fault = &unary->fault;
    const struct peer_key peer = call_peer_key(unary->call);
    struct topic_edit *edit;
    bool is_over = false;

    if (topic_name_check(wanted->name, "name", fault))
        return;
    if (!rpc->params.topics) {
        fault_set(fault, FAULT_NO_STATE_DIR, NULL, NULL);
        return;
    }
    if (peer_share_check(&rpc->topic_edits, loop_settings(rpc->loop), MAX_EDITS, peer, FAULT_STORE_BUSY,
                         fault))
        return;
    edit = edit_new(rpc, wanted->name, peer);
    if (!edit) {
        fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
        return;
    }
    edit->unary = unary;
    edit->is_over = &is_over;
    edit->change = *wanted;
    edit->change.name = (struct bytes){edit->name, wanted->name.size};
    edit->change.peer = peer;
    edit->change.done = on_done;
    topics_change(rpc->params.topics, &edit->change);
    unary->waits = !is_over;
    if (!is_over)
        edit->is_over = NULL;
}

static void create_topic(struct unary_call *unary)
{
    const Tributary__V1__CreateTopicRequest *request =
        (const Tributary__V1__CreateTopicRequest *)(const void *)unary->request;
    struct topics_change wanted = {.verb = TOPIC_CREATE, .name = text_bytes(request->name)};

    if (!topic_settings_read(request->settings, &wanted.settings, &unary->fault))
        begin(unary, &wanted);
}

static void update_topic(struct unary_call *unary)
{
    const Tributary__V1__UpdateTopicRequest *request =
        (const Tributary__V1__UpdateTopicRequest *)(const void *)unary->request;
    struct topics_change wanted = {.verb = TOPIC_UPDATE, .name = text_bytes(request->name)};

    if (!topic_settings_read(request->settings, &wanted.settings, &unary->fault))
        begin(unary, &wanted);
}

static void delete_topic(struct unary_call *unary)
{
    const Tributary__V1__DeleteTopicRequest *request =
        (const Tributary__V1__DeleteTopicRequest *)(const void *)unary->request;
    const struct topics_change wanted = {
        .verb = TOPIC_DELETE, .name = text_bytes(request->name), .incarnation = request->epoch};

    begin(unary, &wanted);
}

enum err topics_edit_serve(struct rpc *rpc)
{
    static const struct {
        const char *path;
        const ProtobufCMessageDescriptor *type;
        void (*on_loop)(struct unary_call *unary);
    } methods[] = {
        {"/tributary.v1.Admin/CreateTopic", &tributary__v1__create_topic_request__descriptor, create_topic},
        {"/tributary.v1.Admin/UpdateTopic", &tributary__v1__update_topic_request__descriptor, update_topic},
        {"/tributary.v1.Admin/DeleteTopic", &tributary__v1__delete_topic_request__descriptor, delete_topic},
    };

    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        const enum err err = rpc_add_unary(rpc, methods[i].path, methods[i].type, methods[i].on_loop);

        if (err)
            return err;
    }
    return ERR_OK;
}
