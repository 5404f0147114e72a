/* descriptors.c - walks the descriptor set once and keeps a map of full names.
 *
 * protobuf-c has no reflection. So this reads the messages of descriptor.proto field by field. */
#include "server/rpc/descriptors.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "event/field.h"
#include "proto/field_numbers.h"

/* The assembler includes the file as it is. TRIBUTARY_DESCRIPTORS is its path. */
__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        "descriptors_begin:\n"
        ".incbin \"" TRIBUTARY_DESCRIPTORS "\"\n"
        "descriptors_end:\n"
        ".byte 0\n"
        ".popsection\n");
extern const uint8_t descriptors_begin[] __attribute__((visibility("hidden")));
extern const uint8_t descriptors_end[] __attribute__((visibility("hidden")));

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

struct symbol {
    struct map_node node;
    struct symbol *next; /* of all symbols, to free them */
    size_t file;
    bool message;
    char name[];
};

struct file {
    struct bytes proto;
    struct bytes name;
    bool *needs; /* for each file before this one: whether this one imports it, directly or not */
};

struct descriptors {
    struct map symbols;
    struct symbol *first;
    struct file *files;
    size_t file_count;
};

struct bytes descriptors_embedded(void)
{
    return (struct bytes){descriptors_begin, (size_t)(descriptors_end - descriptors_begin)};
}

static bool same(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Finds the next length-delimited field from *at on, and advances *at behind it. `number` 0: any
 * field. False: there is none, or the bytes are not a message. */
static bool next(const uint8_t **at, const uint8_t *end, uint32_t number, struct field *field)
{
    while (*at < end) {
        if (field_read(at, end, field))
            return false;
        if (field->type == WIRE_LEN && (number == 0 || field->number == number))
            return true;
    }
    return false;
}

static bool well_formed(struct bytes message)
{
    const uint8_t *at = message.data;
    const uint8_t *end = message.data + message.size;
    struct field field = {0};

    while (at < end) {
        if (field_read(&at, end, &field))
            return false;
    }
    return true;
}

static struct bytes text_field(struct bytes message, uint32_t number)
{
    const uint8_t *at = message.data;
    struct field field = {0};

    return next(&at, message.data + message.size, number, &field) ? field.bytes : (struct bytes){0};
}

/* The full name at the current depth: "package.Outer" grows to "package.Outer.Inner" and shrinks
 * again. */
struct path {
    char text[MAX_NAME_BYTES];
    size_t size;
};

static enum err path_add(struct path *path, struct bytes name)
{
    size_t dot = path->size > 0;

    if (name.size == 0 || name.size > sizeof(path->text) - path->size - dot)
        return ERR_INVALID;
    if (dot)
        path->text[path->size++] = '.';
    memcpy(path->text + path->size, name.data, name.size);
    path->size += name.size;
    return ERR_OK;
}

static enum err symbol_add(struct descriptors *descriptors, const struct path *path, size_t file,
                           bool message)
{
    struct symbol *symbol = malloc(sizeof(*symbol) + path->size);
    enum err err;

    if (!symbol)
        return ERR_NO_MEMORY;
    memcpy(symbol->name, path->text, path->size);
    symbol->node.key = (struct bytes){(const uint8_t *)symbol->name, path->size};
    symbol->file = file;
    symbol->message = message;
    err = map_find(&descriptors->symbols, symbol->node.key) ? ERR_INVALID
                                                            : map_add(&descriptors->symbols, &symbol->node);
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
    enum err err = path_add(&walk->path, text_field(declared, DECLARED_NAME));

    return err ? err : symbol_add(walk->descriptors, &walk->path, walk->file, message);
}

/* Adds what each field `number` of `holder` declares, where nothing is nested in it. */
static enum err declare_leaves(struct walk *walk, struct bytes holder, uint32_t number)
{
    size_t size = walk->path.size;
    const uint8_t *at = holder.data;
    enum err err = ERR_OK;
    struct field field = {0};

    while (!err && next(&at, holder.data + holder.size, number, &field)) {
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
    enum err err = levels > 0 ? declare(walk, declared, true) : ERR_INVALID;

    if (!err)
        err = declare_leaves(walk, declared, PB_PROTOBUF_DESCRIPTOR_PROTO_FIELD);
    if (!err)
        err = declare_leaves(walk, declared, PB_PROTOBUF_DESCRIPTOR_PROTO_ONEOF_DECL);
    while (!err && next(&at, declared.data + declared.size, 0, &field)) {
        if (field.number == PB_PROTOBUF_DESCRIPTOR_PROTO_NESTED_TYPE)
            err = declare_message(walk, field.bytes, levels - 1);
        else if (field.number == PB_PROTOBUF_DESCRIPTOR_PROTO_ENUM_TYPE)
            err = declare_enum(walk, field.bytes);
    }
    walk->path.size = size;
    return err;
}

static enum err declare_file(struct descriptors *descriptors, size_t file)
{
    struct walk walk = {.descriptors = descriptors, .file = file};
    struct bytes proto = descriptors->files[file].proto;
    struct bytes package = text_field(proto, PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_PACKAGE);
    const uint8_t *at = proto.data;
    enum err err = package.size > 0 ? path_add(&walk.path, package) : ERR_OK;
    struct field field = {0};

    while (!err && next(&at, proto.data + proto.size, 0, &field)) {
        if (field.number == PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_MESSAGE_TYPE)
            err = declare_message(&walk, field.bytes, MAX_NESTING);
        else if (field.number == PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_ENUM_TYPE)
            err = declare_enum(&walk, field.bytes);
        else if (field.number == PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_SERVICE)
            err = declare_service(&walk, field.bytes);
    }
    return err;
}

static size_t count_fields(struct bytes message, uint32_t number)
{
    const uint8_t *at = message.data;
    struct field field = {0};
    size_t count = 0;

    while (next(&at, message.data + message.size, number, &field))
        count++;
    return count;
}

/* A set lists every file after its imports. So their imports are known already. */
static enum err find_needs(struct descriptors *descriptors, size_t number)
{
    struct file *file = &descriptors->files[number];
    const uint8_t *at = file->proto.data;
    struct field field = {0};
    size_t need;

    file->needs = calloc(number + 1, sizeof(*file->needs));
    if (!file->needs)
        return ERR_NO_MEMORY;
    while (next(&at, file->proto.data + file->proto.size, PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_DEPENDENCY,
                &field)) {
        if (!descriptors_file(descriptors, field.bytes, &need) || need >= number)
            return ERR_INVALID;
        file->needs[need] = true;
        for (size_t i = 0; i < need; i++)
            file->needs[i] |= descriptors->files[need].needs[i];
    }
    return ERR_OK;
}

static enum err fill(struct descriptors *descriptors, struct bytes set)
{
    const uint8_t *at = set.data;
    enum err err = well_formed(set) ? ERR_OK : ERR_INVALID;
    struct field field = {0};

    descriptors->files =
        calloc(count_fields(set, PB_PROTOBUF_FILE_DESCRIPTOR_SET_FILE) + 1, sizeof(*descriptors->files));
    if (!descriptors->files)
        return ERR_NO_MEMORY;
    while (!err && next(&at, set.data + set.size, PB_PROTOBUF_FILE_DESCRIPTOR_SET_FILE, &field)) {
        struct file *file = &descriptors->files[descriptors->file_count++];

        *file = (struct file){.proto = field.bytes,
                              .name = text_field(field.bytes, PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_NAME)};
        err = well_formed(field.bytes) && file->name.size > 0 ? ERR_OK : ERR_INVALID;
    }
    for (size_t i = 0; !err && i < descriptors->file_count; i++) {
        err = find_needs(descriptors, i);
        if (!err)
            err = declare_file(descriptors, i);
    }
    return err;
}

enum err descriptors_new(struct bytes set, struct descriptors **descriptors_out)
{
    struct descriptors *descriptors = calloc(1, sizeof(*descriptors));
    enum err err;

    if (!descriptors)
        return ERR_NO_MEMORY;
    map_init(&descriptors->symbols);
    err = fill(descriptors, set);
    if (err) {
        descriptors_free(descriptors);
        return err;
    }
    *descriptors_out = descriptors;
    return ERR_OK;
}

void descriptors_free(struct descriptors *descriptors)
{
    if (!descriptors)
        return;
    while (descriptors->first) {
        struct symbol *symbol = descriptors->first;

        descriptors->first = symbol->next;
        free(symbol);
    }
    map_fini(&descriptors->symbols);
    for (size_t i = 0; i < descriptors->file_count; i++)
        free(descriptors->files[i].needs);
    free(descriptors->files);
    free(descriptors);
}

bool descriptors_file(const struct descriptors *descriptors, struct bytes name, size_t *file_out)
{
    for (size_t i = 0; i < descriptors->file_count; i++) {
        if (same(descriptors->files[i].name, name)) {
            *file_out = i;
            return true;
        }
    }
    return false;
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

    return symbol && symbol->message;
}

void descriptors_needs(const struct descriptors *descriptors, size_t file,
                       void (*each)(void *ctx, struct bytes proto), void *ctx)
{
    each(ctx, descriptors->files[file].proto);
    for (size_t i = file; i-- > 0;) {
        if (descriptors->files[file].needs[i])
            each(ctx, descriptors->files[i].proto);
    }
}
