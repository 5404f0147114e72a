/* descriptor_files.c - the files of a descriptor set.
 *
 * protobuf-c has no reflection. So this reads the messages of descriptor.proto field by field. A
 * set may come from anybody: everything that grows with it has a bound. */
#include "reflect/descriptors.h"

#include <stdlib.h>

#include "proto/field_numbers.h"
#include "reflect/descriptors_internal.h"

bool descriptors_next(const uint8_t **at, const uint8_t *end, uint32_t number, struct field *field)
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

struct bytes descriptors_text(struct bytes message, uint32_t number)
{
    const uint8_t *at = message.data;
    struct field field = {0};

    return descriptors_next(&at, message.data + message.size, number, &field) ? field.bytes
                                                                              : (struct bytes){0};
}

enum err descriptors_refuse(struct descriptors *descriptors, const char *what, struct bytes name)
{
    descriptors->fault = (struct descriptors_fault){what, name};
    return ERR_INVALID;
}

static size_t count_fields(struct bytes message, uint32_t number)
{
    const uint8_t *at = message.data;
    struct field field = {0};
    size_t count = 0;

    while (descriptors_next(&at, message.data + message.size, number, &field))
        count++;
    return count;
}

/* ---- files ---- */

static struct file *file_named(const struct descriptors *descriptors, struct bytes name)
{
    struct map_node *node = map_find(&descriptors->by_name, name);

    return node ? container_of(node, struct file, node) : NULL;
}

/* The same file twice, as where sets were put together, is there once. */
static enum err add_file(struct descriptors *descriptors, struct bytes proto)
{
    struct file *file = &descriptors->files[descriptors->file_count];
    const struct bytes name = descriptors_text(proto, PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_NAME);
    const struct file *before;

    if (!well_formed(proto) || name.size == 0)
        return descriptors_refuse(descriptors, "a file of it is malformed", name);
    if ((before = file_named(descriptors, name)))
        return bytes_same(before->proto, proto)
                   ? ERR_OK
                   : descriptors_refuse(descriptors, "a file is there twice, with other content", name);
    *file = (struct file){.node.key = name, .proto = proto, .name = name};
    descriptors->file_count++;
    descriptors->import_count += count_fields(proto, PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_DEPENDENCY);
    return map_add(&descriptors->by_name, &file->node);
}

static enum err add_files(struct descriptors *descriptors, struct bytes set)
{
    const size_t count = count_fields(set, PB_PROTOBUF_FILE_DESCRIPTOR_SET_FILE);
    const uint8_t *at = set.data;
    enum err err = ERR_OK;
    struct field field = {0};

    if (!well_formed(set))
        return descriptors_refuse(descriptors, "it is no FileDescriptorSet", (struct bytes){NULL, 0});
    if (count > MAX_DESCRIPTOR_FILES)
        return descriptors_refuse(descriptors, "it has over 1024 files", (struct bytes){NULL, 0});
    descriptors->files = calloc(count + 1, sizeof(*descriptors->files));
    descriptors->order = calloc(count + 1, sizeof(*descriptors->order));
    if (!descriptors->files || !descriptors->order)
        return ERR_NO_MEMORY;
    while (!err && descriptors_next(&at, set.data + set.size, PB_PROTOBUF_FILE_DESCRIPTOR_SET_FILE, &field))
        err = add_file(descriptors, field.bytes);
    if (!err && descriptors->import_count > MAX_DESCRIPTOR_IMPORTS)
        return descriptors_refuse(descriptors, "its files have over 8192 imports", (struct bytes){NULL, 0});
    return err;
}

static enum err add_imports(struct descriptors *descriptors, struct file *file)
{
    const uint8_t *at = file->proto.data;
    struct field field = {0};

    file->first_import = (uint32_t)descriptors->import_count;
    while (descriptors_next(&at, file->proto.data + file->proto.size,
                            PB_PROTOBUF_FILE_DESCRIPTOR_PROTO_DEPENDENCY, &field)) {
        const struct file *import = file_named(descriptors, field.bytes);

        if (!import)
            return descriptors_refuse(descriptors, "an imported file is missing (protoc --include_imports)",
                                      field.bytes);
        descriptors->imports[descriptors->import_count++] = (uint32_t)(import - descriptors->files);
        file->import_count++;
    }
    return ERR_OK;
}

static enum err find_imports(struct descriptors *descriptors)
{
    enum err err = ERR_OK;

    descriptors->imports = calloc(descriptors->import_count + 1, sizeof(*descriptors->imports));
    if (!descriptors->imports)
        return ERR_NO_MEMORY;
    descriptors->import_count = 0;
    for (size_t i = 0; !err && i < descriptors->file_count; i++)
        err = add_imports(descriptors, &descriptors->files[i]);
    return err;
}

/* Whether all imports of a file have a place; it gets the next one then. */
static bool place_file(struct descriptors *descriptors, size_t number, size_t placed)
{
    struct file *file = &descriptors->files[number];

    for (; file->missing < file->import_count; file->missing++) {
        const uint32_t import = descriptors->imports[file->first_import + file->missing];

        if (!descriptors->files[import].is_placed)
            return false;
    }
    file->is_placed = true;
    file->place = (uint32_t)placed;
    descriptors->order[placed] = (uint32_t)number;
    return true;
}

/* Each file after its imports. A set has them in this order already, or nearly so. */
static enum err order_files(struct descriptors *descriptors)
{
    size_t placed = 0;

    while (placed < descriptors->file_count) {
        const size_t before = placed;

        for (size_t i = 0; i < descriptors->file_count; i++)
            placed += !descriptors->files[i].is_placed && place_file(descriptors, i, placed);
        if (placed == before)
            return descriptors_refuse(descriptors, "its files import each other in a circle",
                                      (struct bytes){NULL, 0});
    }
    return ERR_OK;
}

static enum err fill(struct descriptors *descriptors, struct bytes set)
{
    enum err err = add_files(descriptors, set);

    if (!err)
        err = find_imports(descriptors);
    if (!err)
        err = order_files(descriptors);
    for (size_t i = 0; !err && i < descriptors->file_count; i++)
        err = descriptors_declare(descriptors, i);
    return err;
}

enum err descriptors_new(struct bytes set, struct descriptors **descriptors_out,
                         struct descriptors_fault *fault_out)
{
    struct descriptors *descriptors = calloc(1, sizeof(*descriptors));
    enum err err;

    if (!descriptors)
        return ERR_NO_MEMORY;
    map_init(&descriptors->symbols);
    map_init(&descriptors->by_name);
    err = fill(descriptors, set);
    if (err) {
        *fault_out = descriptors->fault;
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
    map_fini(&descriptors->by_name);
    free(descriptors->imports);
    free(descriptors->order);
    free(descriptors->files);
    free(descriptors);
}

size_t descriptors_bytes(const struct descriptors *descriptors)
{
    return sizeof(*descriptors) +
           descriptors->file_count * (sizeof(*descriptors->files) + sizeof(*descriptors->order)) +
           descriptors->import_count * sizeof(*descriptors->imports) +
           descriptors->symbol_count * (sizeof(struct symbol) + 4 * sizeof(void *)) + descriptors->name_bytes;
}

bool descriptors_file(const struct descriptors *descriptors, struct bytes name, size_t *file_out)
{
    const struct file *file = file_named(descriptors, name);

    if (file)
        *file_out = (size_t)(file - descriptors->files);
    return file;
}

void descriptors_needs(const struct descriptors *descriptors, size_t file,
                       void (*each)(void *ctx, struct bytes proto), void *ctx)
{
    bool needed[MAX_DESCRIPTOR_FILES] = {false}; /* by place */

    needed[descriptors->files[file].place] = true;
    for (size_t place = descriptors->files[file].place + 1; place-- > 0;) {
        const struct file *needs = &descriptors->files[descriptors->order[place]];

        if (!needed[place])
            continue;
        each(ctx, needs->proto);
        for (size_t i = 0; i < needs->import_count; i++)
            needed[descriptors->files[descriptors->imports[needs->first_import + i]].place] = true;
    }
}
