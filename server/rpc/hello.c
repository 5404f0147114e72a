/* hello.c - every default and every bound of Hello, in one place. */
#include "server/rpc/hello.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/text.h"
#include "hub/session.h"
#include "server/rpc/decode.h"
#include "server/rpc/heartbeat.h"
#include "tributary/v1/publisher.pb-c.h"

#define MAX_NAME_BYTES 256u
#define MAX_LABELS 64u
#define MAX_TOPICS 64u

static enum fault_reason read_labels(const Tributary__V1__Hello *from, struct hello *hello,
                                     struct fault *fault)
{
    char field[32];

    if (from->n_labels > MAX_LABELS)
        return fault_number(fault, FAULT_TOO_MANY, "labels", from->n_labels, "at most 64");
    hello->labels = calloc(from->n_labels + 1, sizeof(*hello->labels));
    if (!hello->labels)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "", "");
    for (size_t i = 0; i < from->n_labels; i++) {
        struct pair label = {text_bytes(from->labels[i]->key), text_bytes(from->labels[i]->value)};
        snprintf(field, sizeof(field), "labels[%zu]", i);
        enum fault_reason reason = name_check(label.name, field, MAX_NAME_BYTES, fault);
        if (reason)
            return reason;
        if (label.value.size > MAX_NAME_BYTES)
            return fault_bytes(fault, FAULT_TOO_LONG, field, label.value, "at most 256 bytes");
        hello->labels[i] = label;
    }
    hello->params.labels = hello->labels;
    hello->params.label_count = from->n_labels;
    return FAULT_NONE;
}

static enum fault_reason read_topics(const Tributary__V1__Hello *from, struct hello *hello,
                                     struct fault *fault)
{
    char field[32];

    if (from->n_topics > MAX_TOPICS)
        return fault_number(fault, FAULT_TOO_MANY, "topics", from->n_topics, "at most 64");
    hello->topics = calloc(from->n_topics + 1, sizeof(*hello->topics));
    if (!hello->topics)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "", "");
    for (size_t i = 0; i < from->n_topics; i++) {
        hello->topics[i] = text_bytes(from->topics[i]);
        snprintf(field, sizeof(field), "topics[%zu]", i);
        enum fault_reason reason = name_check(hello->topics[i], field, MAX_NAME_BYTES, fault);
        if (reason)
            return reason;
    }
    hello->params.topics = hello->topics;
    hello->params.topic_count = from->n_topics;
    return FAULT_NONE;
}

enum fault_reason producer_name_check(struct bytes name, const char *field, struct fault *fault)
{
    const enum fault_reason reason = name_check(name, field, MAX_NAME_BYTES, fault);

    if (reason || name.data[0] != '@')
        return reason;
    return fault_bytes(fault, FAULT_BAD_NAME, field, name, "names that begin with '@' are for topics");
}

static enum fault_reason read_all(const Tributary__V1__Hello *from, struct hello *hello, struct fault *fault)
{
    struct session_params *params = &hello->params;
    enum fault_reason reason;

    params->name = text_bytes(from->name);
    params->mode =
        from->mode == TRIBUTARY__V1__HELLO__MODE__PER_CONSUMER ? SESSION_PER_CONSUMER : SESSION_SHARED;
    params->reject_duplicate = from->on_duplicate == TRIBUTARY__V1__HELLO__ON_DUPLICATE__REJECT;
    params->start_first = from->handover == TRIBUTARY__V1__HELLO__HANDOVER__START_FIRST;
    reason = producer_name_check(params->name, "name", fault);
    if (!reason)
        reason = read_labels(from, hello, fault);
    if (!reason)
        reason = read_topics(from, hello, fault);
    if (!reason)
        reason = heartbeat_read(from->heartbeat_interval ? &from->heartbeat_interval->base : NULL,
                                &hello->heartbeat_ns, fault);
    return reason;
}

enum fault_reason hello_read(struct bytes bytes, struct hello *hello_out, struct fault *fault)
{
    struct hello hello = {0};
    enum fault_reason reason = decode(bytes, &tributary__v1__hello__descriptor, &hello.message, fault);

    if (!reason)
        reason = read_all((const Tributary__V1__Hello *)(const void *)hello.message, &hello, fault);
    if (reason) {
        fault_within(fault, "hello.");
        hello_fini(&hello);
        return reason;
    }
    *hello_out = hello;
    return FAULT_NONE;
}

void hello_fini(struct hello *hello)
{
    free(hello->labels);
    free(hello->topics);
    decoded_free(hello->message);
    *hello = (struct hello){0};
}
