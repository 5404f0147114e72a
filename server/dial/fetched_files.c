/* fetched_files.c - see fetched_files.h. */
#include "server/dial/fetched_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/whole_characters.h"
#include "event/field_reader.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"
#include "server/dial/peer_words.h"
#include "reflect/schema.h"

/* All answers together: many servers send the imports of a file again with each file. */
#define MAX_ANSWER_BYTES (16u << 20)
/* Of what an upstream says in a failure. */
#define WORDS_BYTES 60

/* A file that has come, or was imported. */
struct fetched_name {
    struct map_node node;
    struct list link; /* of `wanted` */
    bool is_there;
    char name[];
};

void fetched_files_init(struct fetched_files *files)
{
    *files = (struct fetched_files){.failure = ""};
    map_init(&files->names);
    list_init(&files->wanted);
}

void fetched_files_fini(struct fetched_files *files)
{
    map_each(node, next, &files->names) free(container_of(node, struct fetched_name, node));
    map_fini(&files->names);
    buf_fini(&files->set);
}

static bool fail(struct fetched_files *files, const char *what)
{
    snprintf(files->failure, sizeof(files->failure), "its reflection %s", what);
    return false;
}

/* The name's place, which is made where there is none. NULL: files->failure says why not. */
static struct fetched_name *place_of(struct fetched_files *files, struct bytes name)
{
    struct map_node *node = map_find(&files->names, name);

    if (node)
        return container_of(node, struct fetched_name, node);
    if (name.size == 0 || files->names.count >= MAX_DESCRIPTOR_FILES) {
        (void)fail(files, name.size == 0 ? "has sent a file without a name" : "has over 1024 files");
        return NULL;
    }
    struct fetched_name *place = malloc(sizeof(*place) + name.size);
    if (!place || name.size > MAX_SCHEMA_BYTES) {
        free(place);
        return NULL;
    }
    memcpy(place->name, name.data, name.size);
    place->node.key = (struct bytes){(const uint8_t *)place->name, name.size};
    place->is_there = false;
    list_init(&place->link);
    if (map_add(&files->names, &place->node) == ERR_OK)
        return place;
    free(place);
    (void)fail(files, "needs memory that is not there");
    return NULL;
}

static bool want(struct fetched_files *files, struct bytes name)
{
    struct fetched_name *place;

    if (++files->imports > MAX_DESCRIPTOR_IMPORTS)
        return fail(files, "has files with over 8192 imports");
    place = place_of(files, name);
    if (place && !place->is_there && list_empty(&place->link))
        list_append(&files->wanted, &place->link);
    return place;
}

static struct bytes name_of(struct bytes proto)
{
    struct field_reader reader = field_reader_of(proto);
    struct field field = {0};

    while (reader.next < reader.end && field_next(&reader, &field)) {
        if (field.number == PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_NAME && field.type == WIRE_LEN)
            return field.bytes;
    }
    return (struct bytes){NULL, 0};
}

static bool want_imports(struct fetched_files *files, struct bytes proto)
{
    struct field_reader reader = field_reader_of(proto);
    struct field field = {0};

    while (reader.next < reader.end) {
        if (!field_next(&reader, &field))
            return fail(files, "has sent a file that is malformed");
        if (field.number == PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_DEPENDENCY && field.type == WIRE_LEN &&
            !want(files, field.bytes))
            return false;
    }
    return true;
}

static bool add_file(struct fetched_files *files, struct bytes proto)
{
    struct fetched_name *place = place_of(files, name_of(proto));

    if (!place)
        return false;
    if (place->is_there)
        return true;
    if (files->set.size + proto.size > MAX_SCHEMA_BYTES)
        return fail(files, "has files of over 1048576 bytes together");
    place->is_there = true;
    list_remove(&place->link);
    field_bytes_always(&files->set, PB_PROTOBUF_FILE_DESCRIPTOR_SET_FILE, proto);
    return !files->set.broken ? want_imports(files, proto) : fail(files, "needs memory that is not there");
}

static bool add_all(struct fetched_files *files, struct bytes response)
{
    struct field_reader reader = field_reader_of(response);
    struct field field = {0};

    while (reader.next < reader.end) {
        if (!field_next(&reader, &field))
            return fail(files, "has sent what is no answer");
        if (field.number == PB_REFLECTION_FILE_DESCRIPTOR_RESPONSE_FILE_DESCRIPTOR_PROTO &&
            field.type == WIRE_LEN && !add_file(files, field.bytes))
            return false;
    }
    return true;
}

static void note_error(struct fetched_files *files, struct bytes error, struct bytes asked)
{
    struct field_reader reader = field_reader_of(error);
    char words[PEER_WORDS_BYTES + 1] = "";
    char name[4 * WORDS_BYTES + 6];
    struct field field = {0};

    while (reader.next < reader.end && field_next(&reader, &field)) {
        if (field.number == PB_REFLECTION_ERROR_RESPONSE_ERROR_MESSAGE && field.type == WIRE_LEN)
            peer_words_copy(words, field.bytes);
    }
    quote_bytes(asked, WORDS_BYTES, name, sizeof(name));
    snprintf(files->failure, sizeof(files->failure), "its reflection has no %.70s: %.*s", name,
             whole_characters(words, 50), words);
}

bool fetched_files_add(struct fetched_files *files, struct bytes response, struct bytes asked)
{
    struct field_reader reader = field_reader_of(response);
    struct field field = {0};

    files->bytes += response.size;
    if (files->bytes > MAX_ANSWER_BYTES)
        return fail(files, "has sent over 16 MiB");
    while (reader.next < reader.end) {
        if (!field_next(&reader, &field))
            return fail(files, "has sent what is no answer");
        if (field.type != WIRE_LEN)
            continue;
        if (field.number == PB_REFLECTION_SERVER_REFLECTION_RESPONSE_FILE_DESCRIPTOR_RESPONSE &&
            !add_all(files, field.bytes))
            return false;
        if (field.number == PB_REFLECTION_SERVER_REFLECTION_RESPONSE_ERROR_RESPONSE)
            note_error(files, field.bytes, asked);
    }
    return true;
}

struct bytes fetched_files_next(struct fetched_files *files)
{
    struct list *node = list_first(&files->wanted);

    if (!node)
        return (struct bytes){NULL, 0};
    list_remove(node);
    return container_of(node, struct fetched_name, link)->node.key;
}
