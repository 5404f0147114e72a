/* topics_change.c - topics are made, changed and deleted: first on the disk, then in the hub. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "hub/hub.h"
#include "hub/hub_parts.h"
#include "hub/registry.h"
#include "loop/loop.h"
#include "topic/topics.h"
#include "topic/topics_internal.h"

/* ---- outcomes ---- */

enum fault_reason topic_outcome_fault(enum topic_outcome outcome, const char *field, struct bytes value,
                                      struct fault *fault)
{
    static const struct {
        enum fault_reason reason;
        bool of_field; /* what was asked for is what is wrong */
    } rows[] = {
        [TOPIC_DONE] = {FAULT_NONE, false},
        [TOPIC_NOT_FOUND] = {FAULT_TOPIC_NOT_FOUND, true},
        [TOPIC_EXISTS] = {FAULT_TOPIC_EXISTS, true},
        [TOPIC_INVALID] = {FAULT_OUT_OF_BOUNDS, true},
        [TOPIC_FENCED] = {FAULT_PUBLISHER_FENCED, true},
        [TOPIC_GAP] = {FAULT_NUMBER_GAP, true},
        [TOPIC_PUBLISHER_FORGOTTEN] = {FAULT_PUBLISHER_UNKNOWN, true},
        [TOPIC_TOO_MANY_DELAYED] = {FAULT_TOO_MANY_DELAYED, true},
        [TOPIC_TOO_MANY] = {FAULT_TOO_MANY_TOPICS, true},
        [TOPIC_DISK_FULL] = {FAULT_STORE_FULL, false},
        [TOPIC_LOCKED] = {FAULT_STORE_LOCKED, false},
        [TOPIC_NO_MEMORY] = {FAULT_MEMORY_BUDGET, false},
        [TOPIC_DAMAGED] = {FAULT_STORED_DATA_LOST, true},
        [TOPIC_CLOSED] = {FAULT_DRAINING, false},
        [TOPIC_FAILED] = {FAULT_STORE_FAILED, false},
        [TOPIC_UNKNOWN] = {FAULT_STORE_UNKNOWN, false},
    };

    if (outcome == TOPIC_DONE)
        return FAULT_NONE;
    if (!rows[outcome].of_field)
        return fault_set(fault, rows[outcome].reason, NULL, NULL);
    return fault_bytes(fault, rows[outcome].reason, field, value,
                       outcome == TOPIC_TOO_MANY ? "at most 10000" : NULL);
}

_Static_assert(MAX_TOPICS == 10000, "topic_outcome_fault() says the number");

static void refuse(struct topics_change *change, enum topic_outcome outcome)
{
    (void)topic_outcome_fault(outcome, "name", change->name, &change->fault);
}

/* ---- what is in effect ---- */

/* The topic as it is now. False: it is gone. */
static bool show(struct topics_change *change)
{
    struct topic_view view;

    if (!topics_view(change->topics, change->name, &view))
        return false;
    change->info = view.info;
    change->info.name = change->name;
    return true;
}

/* Why topics_begin() has failed. */
static void set_no_space(struct topics_change *change, enum err err)
{
    struct registry *registry = hub_registry(change->topics->hub);

    if (err == ERR_FULL && registry_reserve_name(registry, &change->fault) == FAULT_NONE)
        fault_set(&change->fault, FAULT_TOO_MANY_PRODUCERS, NULL, NULL);
    else if (err != ERR_FULL)
        fault_set(&change->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
}

/* The topic is on the disk. */
static enum err begin_topic(struct topics_change *change)
{
    struct topics *topics = change->topics;
    struct topic_info info = {.name = topics_name_of(change->topic)};

    if (!topics->port.info(topics->port.ctx, change->port_change.id, &info))
        return ERR_NOT_FOUND;
    const enum err err = topics_begin(topics, change->topic, &info);
    if (err != ERR_OK)
        return err;
    change->topic->settings = info.settings;
    change->topic->count = change->count;
    change->count = NULL;
    return ERR_OK;
}

/* ---- the disk ---- */

static void run_changes(struct topics *topics, struct named_topic *topic);

/* The backend's thread. */
static void on_port_done(struct topic_change *port_change)
{
    struct topics_change *change = container_of(port_change, struct topics_change, port_change);

    loop_post(change->topics->loop, &change->task);
}

static void submit(struct topics_change *change, enum topic_verb verb, void (*run)(struct task *task))
{
    const struct topic_port *port = &change->topics->port;

    change->task.run = run;
    change->port_change = (struct topic_change){
        .verb = verb, .name = change->name, .settings = change->settings, .done = on_port_done};
    port->change(port->ctx, &change->port_change);
}

/* It is the first one of its name. It may be gone afterwards. */
static void conclude(struct topics_change *change)
{
    list_remove(&change->link);
    peer_counts_remove(&change->topics->peers, change->count);
    change->count = NULL;
    change->done(change, change->fault.reason);
}

static void conclude_and_go_on(struct topics_change *change)
{
    struct topics *topics = change->topics;
    struct named_topic *topic = change->topic;

    topic->is_running = true;
    conclude(change);
    topic->is_running = false;
    run_changes(topics, topic);
}

/* What the hub has no space for is not on the disk any more. */
static void on_undone(struct task *task)
{
    struct topics_change *change = container_of(task, struct topics_change, task);
    const enum topic_outcome outcome = change->port_change.outcome;

    if (outcome != TOPIC_DONE && outcome != TOPIC_NOT_FOUND) {
        log_write(LOG_ERROR, "topic.not_undone", LOG_BYTES("topic", change->name),
                  LOG_NUMBER("outcome", (int64_t)outcome));
        refuse(change, TOPIC_UNKNOWN);
    }
    conclude_and_go_on(change);
}

/* Returns whether it is over. A topic that was there, though the hub did not have it (on_undone()
 * failed), is what was asked for, if its settings are. */
static bool created(struct topics_change *change)
{
    const bool was_there = change->port_change.outcome == TOPIC_EXISTS;
    const enum err err = begin_topic(change);

    if (err != ERR_OK) {
        set_no_space(change, err);
        if (!was_there)
            submit(change, TOPIC_DELETE, on_undone);
        return was_there;
    }
    if (was_there && !topic_settings_same(&change->topic->settings, &change->settings))
        refuse(change, TOPIC_EXISTS);
    else if (!show(change))
        refuse(change, TOPIC_NOT_FOUND);
    return true;
}

static void updated(struct topics_change *change)
{
    change->topic->settings = change->settings;
    if (!show(change))
        refuse(change, TOPIC_NOT_FOUND);
}

/* Publishers may have appended after prepare(). */
static void deleted(struct topics_change *change)
{
    change->info.next_seq = change->port_change.next_seq;
    topics_end(change->topics, change->topic, change->info.next_seq);
}

static void on_committed(struct task *task)
{
    struct topics_change *change = container_of(task, struct topics_change, task);
    const enum topic_outcome outcome = change->port_change.outcome;
    bool is_over = true;

    if (change->verb == TOPIC_CREATE && (outcome == TOPIC_DONE || outcome == TOPIC_EXISTS))
        is_over = created(change);
    else if (outcome != TOPIC_DONE)
        refuse(change, outcome);
    else if (change->verb == TOPIC_UPDATE)
        updated(change);
    else
        deleted(change);
    if (is_over)
        conclude_and_go_on(change);
}

/* ---- the beginning of a change ---- */

/* Sets change->fault where it cannot be carried out. Returns whether it needs the disk. */
static bool prepare_create(struct topics_change *change)
{
    struct topics *topics = change->topics;
    const struct settings *settings = loop_settings(topics->loop);

    if (change->topic->live) {
        if (!topic_settings_same(&change->topic->settings, &change->settings) || !show(change))
            refuse(change, TOPIC_EXISTS);
        return false;
    }
    if (peer_share_check(&topics->peers, settings, MAX_TOPICS, change->peer, FAULT_TOO_MANY_TOPICS,
                         &change->fault) ||
        registry_reserve_name(hub_registry(topics->hub), &change->fault))
        return false;
    if (change->peer.kind != PEER_NONE) {
        change->count = peer_counts_add(&topics->peers, change->peer);
        if (!change->count)
            fault_set(&change->fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    }
    return change->fault.reason == FAULT_NONE;
}

static bool prepare_delete(struct topics_change *change)
{
    const uint64_t incarnation = change->info.incarnation;
    char bound[64];

    if (change->incarnation == 0 || change->incarnation == incarnation)
        return true;
    snprintf(bound, sizeof(bound), "the topic's epoch is %" PRIu64, incarnation);
    fault_number(&change->fault, FAULT_TOPIC_CHANGED, "epoch", change->incarnation, bound);
    return false;
}

static bool prepare(struct topics_change *change)
{
    if (hub_draining(change->topics->hub)) {
        fault_set(&change->fault, FAULT_DRAINING, NULL, NULL);
        return false;
    }
    if (change->verb == TOPIC_CREATE)
        return prepare_create(change);
    if (!show(change)) {
        refuse(change, TOPIC_NOT_FOUND);
        return false;
    }
    if (change->verb == TOPIC_DELETE)
        return prepare_delete(change);
    return !topic_settings_same(&change->topic->settings, &change->settings);
}

/* Those that need no disk are over at once. */
static void run_changes(struct topics *topics, struct named_topic *topic)
{
    struct list *first;

    topic->is_running = true;
    while ((first = list_first(&topic->changes))) {
        struct topics_change *change = container_of(first, struct topics_change, link);

        if (prepare(change)) {
            submit(change, change->verb, on_committed);
            break;
        }
        conclude(change);
    }
    topic->is_running = false;
    topics_rest(topics, topic);
}

void topics_change(struct topics *topics, struct topics_change *change)
{
    bool is_first;

    change->topics = topics;
    change->count = NULL;
    change->topic = NULL;
    change->fault = (struct fault){.reason = FAULT_NONE};
    if (topic_name_check(change->name, "name", &change->fault) ||
        (change->verb != TOPIC_DELETE && topic_settings_check(&change->settings, &change->fault))) {
        change->done(change, change->fault.reason);
        return;
    }
    change->topic = topics_name(topics, change->name);
    if (!change->topic) {
        change->done(change, fault_set(&change->fault, FAULT_MEMORY_BUDGET, NULL, NULL));
        return;
    }
    is_first = list_empty(&change->topic->changes) && !change->topic->is_running;
    list_append(&change->topic->changes, &change->link);
    if (is_first)
        run_changes(topics, change->topic);
}
