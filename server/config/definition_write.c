/* definition_write.c - see definition_write.h. */
#include "server/config/definition_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "server/config/bytes_text.h"
#include "server/rpc/endpoint_text.h"

#define MAX_PAIRS ((size_t)2 * MAX_TREE_KEYS)

/* Labels of file_sd that begin so are for Prometheus itself. */
#define PRIVATE_LABEL "__"

struct writer {
    struct buf *message;
    struct tree_fault *fault;
};

static bool find_field(struct bytes name, struct endpoint_field *field_out)
{
    for (size_t i = 0; endpoint_field_get(i, field_out); i++) {
        if (bytes_same(text_bytes(field_out->name), name))
            return true;
    }
    return false;
}

bool definition_check_keys(const struct node *map, bool is_template, struct tree_fault *fault)
{
    for (const struct node *node = map->first; node; node = node->next) {
        struct endpoint_field field;
        char key[64];

        snprintf(key, sizeof(key), "%.*s", (int)MIN_OF(node->key.size, sizeof(key) - 1), node->key.data);
        if (!find_field(node->key, &field) || field.form == ENDPOINT_OTHER)
            return tree_refuse(fault, node->line, key, "Endpoint has no such field");
        if (is_template && (strcmp(field.name, "name") == 0 || strcmp(field.name, "address") == 0))
            return tree_refuse(fault, node->line, key, "a template has no name and no address");
    }
    return true;
}

/* ---- values ---- */

static bool write_text(const struct writer *writer, const struct endpoint_field *field,
                       const struct node *value)
{
    char fault[ENDPOINT_TEXT_FAULT];

    if (value->kind != NODE_TEXT)
        return tree_refuse(writer->fault, value->line, field->name, "a text is wanted");
    char shown[64];

    if (endpoint_field_write(field, value->text, writer->message, fault))
        return true;
    quote_bytes(value->text, 10, shown, sizeof(shown));
    return tree_refuse(writer->fault, value->line, field->name, "%s (got %s)", fault, shown);
}

static bool write_encoded(const struct writer *writer, const struct endpoint_field *field,
                          const struct node *value)
{
    struct buf bytes = {0};
    bool is_good = true;

    if (value->kind != NODE_TEXT)
        return tree_refuse(writer->fault, value->line, field->name, "a text is wanted");
    if (bytes_same(value->key, text_bytes("text")))
        buf_bytes(&bytes, value->text.data, value->text.size);
    else if (bytes_same(value->key, text_bytes("hex")))
        is_good = hex_read(value->text, &bytes) ||
                  tree_refuse(writer->fault, value->line, field->name, "not pairs of hexadecimal digits");
    else if (bytes_same(value->key, text_bytes("base64")))
        is_good = base64_read(value->text, &bytes) ||
                  tree_refuse(writer->fault, value->line, field->name, "not base64");
    else
        is_good = tree_refuse(writer->fault, value->line, field->name, "one of text:, hex: or base64:");
    if (is_good)
        endpoint_field_write_bytes(field, (struct bytes){bytes.data, bytes.size}, writer->message);
    writer->message->broken |= bytes.broken;
    buf_fini(&bytes);
    return is_good;
}

static bool write_messages(const struct writer *writer, const struct endpoint_field *field,
                           const struct node *value)
{
    if (value->kind != NODE_LIST)
        return tree_refuse(writer->fault, value->line, field->name, "a list is wanted");
    for (const struct node *item = value->first; item; item = item->next) {
        if (item->kind == NODE_TEXT && item->text.size == 0) {
            endpoint_field_write_bytes(field, item->text, writer->message);
            continue;
        }
        if (item->kind != NODE_MAP || item->count != 1)
            return tree_refuse(writer->fault, item->line, field->name,
                               "each is one of text:, hex: or base64:, or the empty text");
        if (!write_encoded(writer, field, item->first))
            return false;
    }
    return true;
}

static bool write_list(const struct writer *writer, const struct endpoint_field *field,
                       const struct node *value)
{
    if (value->kind != NODE_LIST)
        return tree_refuse(writer->fault, value->line, field->name, "a list is wanted");
    for (const struct node *item = value->first; item; item = item->next) {
        if (!write_text(writer, field, item))
            return false;
    }
    return true;
}

/* ---- pairs ---- */

struct pairs {
    const struct node *nodes[MAX_PAIRS];
    size_t count;
};

static bool has_pair(const struct pairs *pairs, struct bytes key)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (bytes_same(pairs->nodes[i]->key, key))
            return true;
    }
    return false;
}

static bool is_private(struct bytes key)
{
    return key.size >= 2 && memcmp(key.data, PRIVATE_LABEL, 2) == 0;
}

/* Adds those whose keys are not there yet. */
static bool add_pairs(const struct writer *writer, const struct endpoint_field *field, const struct node *map,
                      bool is_file_sd, struct pairs *pairs)
{
    if (!map)
        return true;
    if (map->kind != NODE_MAP)
        return tree_refuse(writer->fault, map->line, field->name, "a mapping is wanted");
    for (const struct node *node = map->first; node; node = node->next) {
        if (node->kind != NODE_TEXT)
            return tree_refuse(writer->fault, node->line, field->name, "texts are wanted");
        if (has_pair(pairs, node->key) || (is_file_sd && is_private(node->key)))
            continue;
        if (pairs->count == MAX_PAIRS)
            return tree_refuse(writer->fault, node->line, field->name, "at most %zu pairs", MAX_PAIRS);
        pairs->nodes[pairs->count++] = node;
    }
    return true;
}

static int compare(const void *left, const void *right)
{
    const struct bytes a = (*(const struct node *const *)left)->key,
                       b = (*(const struct node *const *)right)->key;
    const int order = memcmp(a.data, b.data, MIN_OF(a.size, b.size));

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static const struct node *value_of(const struct node *map, const char *name)
{
    return map ? node_get(map, name) : NULL;
}

static bool write_pairs(const struct writer *writer, const struct endpoint_field *field,
                        const struct definition_source *source)
{
    const bool is_labels = strcmp(field->name, "labels") == 0;
    struct pairs pairs = {.count = 0};

    if (!add_pairs(writer, field, value_of(source->map, field->name), false, &pairs) ||
        !add_pairs(writer, field, is_labels ? source->further_labels : NULL, true, &pairs) ||
        !add_pairs(writer, field, value_of(source->defaults, field->name), false, &pairs))
        return false;
    qsort(pairs.nodes, pairs.count, sizeof(pairs.nodes[0]), compare);
    for (size_t i = 0; i < pairs.count; i++)
        endpoint_field_write_pair(field, pairs.nodes[i]->key, pairs.nodes[i]->text, writer->message);
    return true;
}

/* ---- the whole ---- */

/* A text that stands in no field of the file. Empty: there is none. */
static struct bytes given_text(const struct definition_source *source, const struct endpoint_field *field)
{
    if (strcmp(field->name, "name") == 0)
        return source->name;
    if (strcmp(field->name, "address") == 0)
        return source->address;
    return (struct bytes){NULL, 0};
}

static bool write_field(const struct writer *writer, const struct endpoint_field *field,
                        const struct definition_source *source)
{
    const struct node given = {.kind = NODE_TEXT, .line = source->line, .text = given_text(source, field)};
    const struct node *value = value_of(source->map, field->name);

    if (field->form == ENDPOINT_PAIRS)
        return write_pairs(writer, field, source);
    if (given.text.size > 0)
        return write_text(writer, field, &given);
    if (!value)
        value = value_of(source->defaults, field->name);
    if (!value || field->form == ENDPOINT_OTHER)
        return true;
    if (field->form == ENDPOINT_LIST)
        return write_list(writer, field, value);
    return field->form == ENDPOINT_TEXT ? write_text(writer, field, value)
                                        : write_messages(writer, field, value);
}

bool definition_write(const struct definition_source *source, struct buf *message, struct tree_fault *fault)
{
    const struct writer writer = {message, fault};
    struct endpoint_field field;

    for (size_t i = 0; endpoint_field_get(i, &field); i++) {
        if (!write_field(&writer, &field, source))
            return false;
    }
    return !message->broken || tree_refuse(fault, source->line, NULL, "out of memory");
}

void definition_place(const struct definition_source *source, const char *field, struct tree_fault *fault)
{
    static const char prefix[] = "endpoint.";
    const struct node *value;
    char key[sizeof(fault->key)];

    if (strncmp(field, prefix, sizeof(prefix) - 1) == 0)
        field += sizeof(prefix) - 1;
    snprintf(key, sizeof(key), "%.*s", (int)strcspn(field, "[."), field);
    value = value_of(source->map, key);
    if (!value)
        value = value_of(source->defaults, key);
    fault->line = value ? value->line : source->line;
    memcpy(fault->key, key, sizeof(key));
}
