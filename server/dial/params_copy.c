/* params_copy.c - see params_copy.h. */
#include "server/dial/params_copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/shared_bytes.h"
#include "event/serve_entry.h"
#include "server/dial/metadata_names.h"
#include "reflect/schema.h"

/* The copy, and what it points to. The bytes of names and texts follow it. */
struct block {
    struct endpoint_params params;
    struct shared_bytes *requests[MAX_ENDPOINT_REQUESTS];
    struct pair metadata[MAX_ENDPOINT_METADATA], labels[MAX_ENDPOINT_LABELS];
    struct bytes serve[MAX_SERVE_ENTRIES];
    struct bytes request_names[MAX_METADATA_NAMES], answer_names[MAX_METADATA_NAMES];
    char texts[];
};

static size_t size_of_pairs(const struct pair *pairs, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += pairs[i].name.size + pairs[i].value.size;
    return size;
}

static size_t size_of_list(const struct bytes *texts, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += texts[i].size;
    return size;
}

static size_t size_of_text(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static size_t size_of_texts(const struct endpoint_params *params)
{
    return params->name.size + size_of_text(params->address) + size_of_text(params->method) +
           size_of_text(params->authority) + size_of_text(params->tls) + size_of_text(params->origin_text) +
           size_of_text(params->key_field) + size_of_text(params->time_field) +
           size_of_pairs(params->metadata, params->metadata_count) +
           size_of_list(params->serve, params->serve_count) +
           size_of_list(params->serve_request_metadata, params->serve_request_metadata_count) +
           size_of_list(params->serve_answer_metadata, params->serve_answer_metadata_count) +
           size_of_pairs(params->labels, params->label_count);
}

static struct bytes put_bytes(char **end, struct bytes from)
{
    const struct bytes copy = {(const uint8_t *)*end, from.size};

    if (from.size > 0)
        memcpy(*end, from.data, from.size);
    *end += from.size;
    return copy;
}

static const char *put_text(char **end, const char *text)
{
    const char *copy = *end;

    if (!text)
        return NULL;
    *end = stpcpy(*end, text) + 1;
    return copy;
}

static void put_pairs(char **end, struct pair *pairs, const struct pair *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pairs[i].name = put_bytes(end, from[i].name);
        pairs[i].value = put_bytes(end, from[i].value);
    }
}

static const struct bytes *put_list(char **end, struct bytes *list, const struct bytes *from, size_t count)
{
    for (size_t i = 0; i < count; i++)
        list[i] = put_bytes(end, from[i]);
    return list;
}

/* A new member that points somewhere is copied in put_all(), and then counts here. */
_Static_assert(sizeof(struct endpoint_params) == 328, "put_all() copies every member");

/* Every member that points somewhere. */
static void put_all(struct block *block, const struct endpoint_params *from)
{
    struct endpoint_params *params = &block->params;
    char *end = block->texts;

    *params = *from;
    put_pairs(&end, block->metadata, from->metadata, from->metadata_count);
    put_pairs(&end, block->labels, from->labels, from->label_count);
    params->serve = put_list(&end, block->serve, from->serve, from->serve_count);
    params->serve_request_metadata = put_list(&end, block->request_names, from->serve_request_metadata,
                                              from->serve_request_metadata_count);
    params->serve_answer_metadata =
        put_list(&end, block->answer_names, from->serve_answer_metadata, from->serve_answer_metadata_count);
    params->metadata = block->metadata;
    params->labels = block->labels;
    params->name = put_bytes(&end, from->name);
    params->address = put_text(&end, from->address);
    params->method = put_text(&end, from->method);
    params->authority = put_text(&end, from->authority);
    params->tls = put_text(&end, from->tls);
    params->key_field = put_text(&end, from->key_field);
    params->time_field = put_text(&end, from->time_field);
    params->origin_text = put_text(&end, from->origin_text);
    params->schema = schema_retain(from->schema);
    params->requests = NULL;
    params->definition = (struct bytes){NULL, 0};
    params->shared_requests = block->requests;
}

struct endpoint_params *params_copy(const struct endpoint_params *from)
{
    CHECK(from->request_count <= MAX_ENDPOINT_REQUESTS && from->metadata_count <= MAX_ENDPOINT_METADATA &&
          from->label_count <= MAX_ENDPOINT_LABELS && from->serve_count <= MAX_SERVE_ENTRIES &&
          from->serve_request_metadata_count <= MAX_METADATA_NAMES &&
          from->serve_answer_metadata_count <= MAX_METADATA_NAMES);
    struct block *block = calloc(1, sizeof(*block) + size_of_texts(from));

    if (!block)
        return NULL;
    put_all(block, from);
    block->params.shared_definition = shared_bytes_new(from->definition);
    bool is_whole = block->params.shared_definition;
    for (size_t i = 0; i < from->request_count; i++) {
        block->requests[i] = shared_bytes_new(from->requests[i]);
        is_whole = is_whole && block->requests[i];
    }
    if (is_whole)
        return &block->params;
    params_copy_free(&block->params);
    return NULL;
}

void params_copy_free(struct endpoint_params *copy)
{
    if (!copy)
        return;
    struct block *block = container_of(copy, struct block, params);

    for (size_t i = 0; i < MAX_ENDPOINT_REQUESTS; i++)
        shared_bytes_release(block->requests[i]);
    shared_bytes_release(block->params.shared_definition);
    schema_release(block->params.schema);
    free(block);
}
