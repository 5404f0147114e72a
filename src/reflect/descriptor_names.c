/* descriptor_names.c - a map of the full names that a set of files declares.
 *
 * A set may come from anybody: everything that grows with it has a bound. */
#include <stdlib.h>
#include <string.h>

#include "proto/field_numbers.h"
#include "reflect/descriptors_internal.h"

#define MAX_NAME_BYTES 512u
#define MAX_NESTING 16u

/* Whatever declares a name has it in the same field. */
#define DECLARED_NAME PB_PROTOBUF_DESCRIPTOR_PROTO_NAME
_Static_assert(PB_PROTOBUF_FIELD_DESCRIPTOR_PROTO_NAME == DECLARED_NAME &&
                   PB_PROTOBUF_ONEOF_DESCRIPTOR_PROTO_NAME == DECLARED_NAME &&
                   PB_PROTOBUF_ENUM_DESCRIPTOR_PROTO_NAME == DECLARED_NAME &&
                   PB_PROTOBUF_ENUM_VALUE_DESCRIPTOR_PROTO_NAME == DECLARED_NAME &&
                   PB_PROTOBUF_SERVICE_DESCRIPTOR_PROTO_NAME == DECLARED_NAME &&
                   PB_PROTOBUF_METHOD_DESCRIPTOR_PROTO_NAME == DECLARED_NAME,
               "one function reads the name of each");

/* The full name at the current depth: "package.Outer" grows to "package.Outer.Inner" and shrinks
 * again. */
struct path {
    char text[MAX_NAME_BYTES];
    size_t size;
};

static enum err path_add(struct path *path, struct bytes name)
{
    size_t dot = path->size > 0;

    if (name.size == 0 || path->size + dot >= sizeof(path->text) ||
        name.size > sizeof(path->text) - path->size - dot)
        return ERR_INVALID;
    if (dot)
        path->text[path->size++] = '.';
    memcpy(path->text + path->size, name.data, name.size);
    path->size += name.size;
    return ERR_OK;
}

static struct bytes path_bytes(const struct path *path)
{
    return (struct bytes){(const uint8_t *)path->text, path->size};
}

static enum err symbol_add(struct descriptors *descriptors, const struct path *path, size_t file,
                           bool is_message)
{
    struct symbol *symbol;
    enum err err;

    if (map_find(&descriptors->symbols, path_bytes(path)))
        return descriptors_refuse(descriptors, "a name is declared twice in it",
                                  descriptors->files[file].name);
    if (++descriptors->symbol_count > MAX_DESCRIPTOR_SYMBOLS ||
        (descriptors->name_bytes += path->size) > MAX_DESCRIPTOR_NAME_BYTES)
        return descriptors_refuse(descriptors, "it declares too many names", descriptors->files[file].name);
    symbol = malloc(sizeof(*symbol) + path->size);
    if (!symbol)
        return ERR_NO_MEMORY;
    memcpy(symbol->name, path->text, path->size);
    symbol->node.key = (struct bytes){(const uint8_t *)symbol->name, path->size};
    symbol->file = (uint32_t)file;
    symbol->is_message = is_message;
    err = map_add(&descriptors->symbols, &symbol->node);
    if (err) {
        free(symbol);
        return err;
    }
    symbol->next = descriptors->first;
    descriptors->first = symbol;
    return ERR_OK;
}

/* The walk through one file: each declaration is added under its full name. The values of an enum
 * are named beside the enum, not within it, as in C++. */
struct walk {
    struct descriptors *descriptors;
    size_t file;
    struct path path;
};

static enum err declare(struct walk *walk, struct bytes declared, bool message)
{
    enum err err = path_add(&walk->path, descriptors_text(declared, DECLARED_NAME));

    if (err)
        return descriptors_refuse(walk->descriptors, "a name in it is missing or too long",
                                  walk->descriptors->files[walk->file].name);
    return symbol_add(walk->descriptors, &walk->path, walk->file, message);
}

/* Adds what each field `number` of `holder` declares, where nothing is nested in it. */
static enum err declare_leaves(struct walk *walk, struct bytes holder, uint32_t number)
{
    size_t size = walk->path.size;
    const uint8_t *at = holder.data;
    enum err err = ERR_OK;
    struct field field = {0};

    while (!err && descriptors_next(&at, holder.data + holder.size, number, &field)) {
        err = declare(walk, field.bytes, false);
        walk->path.size = size;
    }
    return err;
}

static enum err declare_enum(struct walk *walk, struct bytes declared)
{
    size_t size = walk->path.size;
    enum err err = declare(walk, declared, false);

    walk->path.size = size;
    return err ? err : declare_leaves(walk, declared, PB_PROTOBUF_ENUM_DESCRIPTOR_PROTO_VALUE);
}

static enum err declare_service(struct walk *walk, struct bytes declared)
{
    size_t size = walk->path.size;
    enum err err = declare(walk, declared, false);

    if (!err)
        err = declare_leaves(walk, declared, PB_PROTOBUF_SERVICE_DESCRIPTOR_PROTO_METHOD);
    walk->path.size = size;
    return err;
}

static enum err declare_message(struct walk *walk, struct bytes declared, unsigned levels)
{
    size_t size = walk->path.size;
    const uint8_t *at = declared.data;
    struct field field = {0};
    enum err err = levels > 0 ? declare(walk, declared, true)
                              : descriptors_refuse(walk->descriptors, "its messages are nested too deeply",
                                                   walk->descriptors->files[walk->file].name);

    if (!err)
        err = declare_leaves(walk, declared, PB_PROTOBUF_DESCRIPTOR_PROTO_FIELD);
    if (!err)
        err = declare_leaves(walk, declared, PB_PROTOBUF_DESCRIPTOR_PROTO_ONEOF_DECL);
    while (!err && descriptors_next(&at, declared.data + declared.size, 0, &field)) {
        if (field.number == PB_PROTOBUF_DESCRIPTOR_PROTO_NESTED_TYPE)
            err = declare_message(walk, field.bytes, levels - 1);
        else if (field.number == PB_PROTOBUF_DESCRIPTOR_PROTO_ENUM_TYPE)
            err = declare_enum(walk, field.bytes);
    }
    walk->path.size = size;
    return err;
}

enum err descriptors_declare(struct descriptors *descriptors, size_t file)
{
    struct walk walk = {.descriptors = descriptors, .file = file};
    struct bytes proto = descriptors->files[file].proto;
    struct bytes package = descriptors_text(proto, PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_PACKAGE);
    const uint8_t *at = proto.data;
    enum err err = ERR_OK;
    struct field field = {0};

    if (package.size > 0 && path_add(&walk.path, package))
        return descriptors_refuse(descriptors, "a name in it is missing or too long",
                                  descriptors->files[file].name);
    while (!err && descriptors_next(&at, proto.data + proto.size, 0, &field)) {
        if (field.number == PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_MESSAGE_TYPE)
            err = declare_message(&walk, field.bytes, MAX_NESTING);
        else if (field.number == PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_ENUM_TYPE)
            err = declare_enum(&walk, field.bytes);
        else if (field.number == PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_SERVICE)
            err = declare_service(&walk, field.bytes);
    }
    return err;
}

static const struct symbol *find(const struct descriptors *descriptors, struct bytes name)
{
    struct map_node *node = map_find(&descriptors->symbols, name);

    return node ? container_of(node, struct symbol, node) : NULL;
}

bool descriptors_symbol(const struct descriptors *descriptors, struct bytes name, size_t *file_out)
{
    const struct symbol *symbol = find(descriptors, name);

    if (!symbol)
        return false;
    *file_out = symbol->file;
    return true;
}

bool descriptors_is_message(const struct descriptors *descriptors, struct bytes name)
{
    const struct symbol *symbol = find(descriptors, name);

    return symbol && symbol->is_message;
}
