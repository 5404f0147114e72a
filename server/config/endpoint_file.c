/* endpoint_file.c - see endpoint_file.h. */
#include "server/config/endpoint_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/map.h"
#include "server/config/definition_write.h"
#include "server/config/json_text.h"
#include "server/config/yaml_text.h"
#include "server/rpc/endpoint_definition.h"

#define MAX_NAME_BYTES 256u

/* One reading of a file. */
struct reading {
    struct endpoint_file *file;
    const struct file_template *with;
    const char *name;
    size_t stem_size;                /* of the name, without its extension */
    const struct file_total *others; /* what all other files define */
};

static bool ends_in(const char *name, const char *end)
{
    const size_t size = strlen(name), end_size = strlen(end);

    return size > end_size && strcmp(name + size - end_size, end) == 0;
}

bool endpoint_file_is_one(const char *name)
{
    return name[0] != '.' && (ends_in(name, ".json") || ends_in(name, ".yml") || ends_in(name, ".yaml"));
}

static size_t stem_size(const char *name)
{
    return (size_t)(strrchr(name, '.') - name);
}

bool endpoint_file_is_template(const char *name)
{
    return stem_size(name) == strlen("template") && strncmp(name, "template", strlen("template")) == 0;
}

bool endpoint_file_parse(const char *name, struct bytes text, struct tree *tree)
{
    static const char mark[] = "\xef\xbb\xbf";
    const size_t mark_size = sizeof(mark) - 1;

    if (text.size >= mark_size && memcmp(text.data, mark, mark_size) == 0)
        text = (struct bytes){text.data + mark_size, text.size - mark_size};
    return ends_in(name, ".json") ? json_text_read(text, tree) : yaml_text_read(text, tree);
}

/* ---- definitions ---- */

static bool add(struct endpoint_file *file, struct bytes name, struct bytes message, unsigned line)
{
    struct file_definition *definitions = file->definitions;
    uint8_t *memory = malloc(name.size + 1 + message.size);

    if (file->count == file->capacity && memory) {
        const size_t capacity = MAX_OF(2 * file->capacity, (size_t)8);

        definitions = realloc(file->definitions, capacity * sizeof(*definitions));
        if (definitions) {
            file->definitions = definitions;
            file->capacity = capacity;
        }
    }
    if (!memory || !definitions) {
        free(memory);
        return tree_refuse(&file->fault, line, NULL, "out of memory");
    }
    memcpy(memory, name.data, name.size);
    memory[name.size] = 0;
    memcpy(memory + name.size + 1, message.data, message.size);
    file->bytes += message.size;
    definitions[file->count++] = (struct file_definition){
        .name = (char *)memory, .message = {memory + name.size + 1, message.size}, .line = line};
    return true;
}

/* Checks the message as the server checks a request. NULL: the fault says why not. */
static struct endpoint_definition *check(const struct definition_source *source, struct bytes message,
                                         struct tree_fault *place)
{
    struct endpoint_definition *definition = NULL;
    struct fault fault;

    if (endpoint_definition_read(message, &definition, &fault) == FAULT_NONE)
        return definition;
    definition_place(source, fault.field, place);
    fault.field[0] = '\0';
    fault_message(&fault, place->text, sizeof(place->text));
    return NULL;
}

static bool check_and_add(const struct reading *reading, const struct definition_source *source,
                          struct bytes message)
{
    OWNED(endpoint_definition_free)
    struct endpoint_definition *definition = check(source, message, &reading->file->fault);

    return definition &&
           add(reading->file, endpoint_definition_params(definition)->name, message, source->line);
}

/* A template is good where an endpoint can be made of it. */
static bool check_template(struct tree *tree)
{
    const struct definition_source source = {.defaults = tree->root,
                                             .name = text_bytes("name"),
                                             .address = text_bytes("host.example:1"),
                                             .line = tree->root->line};
    OWNED(endpoint_definition_free) struct endpoint_definition *definition = NULL;
    struct buf message = {0};

    if (definition_write(&source, &message, &tree->fault))
        definition = check(&source, (struct bytes){message.data, message.size}, &tree->fault);
    buf_fini(&message);
    return definition;
}

bool endpoint_file_parse_template(const char *name, struct bytes text, struct tree *tree)
{
    if (!endpoint_file_parse(name, text, tree))
        return false;
    if (tree->root->kind != NODE_MAP)
        return tree_refuse(&tree->fault, tree->root->line, NULL, "a mapping is wanted");
    return definition_check_keys(tree->root, true, &tree->fault) && check_template(tree);
}

static bool read_endpoint(const struct reading *reading, const struct definition_source *source)
{
    struct endpoint_file *file = reading->file;
    struct buf message = {0};

    if (reading->others->producers + file->count >= MAX_FILE_PRODUCERS)
        return tree_refuse(&file->fault, source->line, NULL, "more than %u producers in all files",
                           MAX_FILE_PRODUCERS);
    bool is_good = definition_write(source, &message, &file->fault);
    if (is_good && reading->others->bytes + file->bytes + message.size > MAX_DEFINITION_BYTES)
        is_good = tree_refuse(&file->fault, source->line, NULL,
                              "the definitions of all files have more than %zu bytes, templates included",
                              MAX_DEFINITION_BYTES);
    is_good = is_good && check_and_add(reading, source, (struct bytes){message.data, message.size});
    buf_fini(&message);
    return is_good;
}

/* ---- the two layouts ---- */

static bool read_map(const struct reading *reading, const struct node *root)
{
    struct definition_source source = {.map = root, .line = root->line};

    if (!definition_check_keys(root, false, &reading->file->fault))
        return false;
    if (!node_get(root, "name"))
        source.name = (struct bytes){(const uint8_t *)reading->name, reading->stem_size};
    return read_endpoint(reading, &source);
}

static bool read_target(const struct reading *reading, const struct node *group, const struct node *target)
{
    char name[MAX_NAME_BYTES + 2];
    struct definition_source source = {
        .defaults = reading->with->map, .further_labels = node_get(group, "labels"), .line = target->line};

    if (target->kind != NODE_TEXT || target->text.size == 0)
        return tree_refuse(&reading->file->fault, target->line, "targets", "a text is wanted, HOST:PORT");
    if (reading->stem_size + 1 + target->text.size > MAX_NAME_BYTES)
        return tree_refuse(&reading->file->fault, target->line, "targets",
                           "the producer's name, FILE@TARGET, has at most %u bytes", MAX_NAME_BYTES);
    snprintf(name, sizeof(name), "%.*s@%.*s", (int)reading->stem_size, reading->name, (int)target->text.size,
             (const char *)target->text.data);
    source.name = text_bytes(name);
    source.address = target->text;
    return read_endpoint(reading, &source);
}

static bool check_group(const struct node *group, struct tree_fault *fault)
{
    if (group->kind != NODE_MAP)
        return tree_refuse(fault, group->line, NULL, "a mapping with targets and labels is wanted");
    for (const struct node *node = group->first; node; node = node->next) {
        if (!bytes_same(node->key, text_bytes("targets")) && !bytes_same(node->key, text_bytes("labels")))
            return tree_refuse(fault, node->line, NULL, "only the keys targets and labels are known here");
    }
    const struct node *targets = node_get(group, "targets");
    if (targets && targets->kind != NODE_LIST)
        return tree_refuse(fault, targets->line, "targets", "a list is wanted");
    return true;
}

static bool read_list(const struct reading *reading, const struct node *root)
{
    struct tree_fault *fault = &reading->file->fault;

    if (reading->with->is_bad)
        return tree_refuse(fault, 0, NULL, "the folder's template cannot be read");
    for (const struct node *group = root->first; group; group = group->next) {
        if (!check_group(group, fault))
            return false;
        const struct node *targets = node_get(group, "targets");
        for (const struct node *target = targets ? targets->first : NULL; target; target = target->next) {
            if (!read_target(reading, group, target))
                return false;
        }
    }
    return true;
}

/* A name that stands there twice would be refused later, and nobody would know by whom. */
static bool check_names(struct endpoint_file *file)
{
    struct map_node *nodes = calloc(file->count + 1, sizeof(*nodes));
    struct map names = {0};
    bool is_good = nodes && map_reserve_many(&names, file->count) == ERR_OK;

    if (!is_good)
        tree_refuse(&file->fault, 0, NULL, "out of memory");
    for (size_t i = 0; i < file->count && is_good; i++) {
        const struct file_definition *definition = &file->definitions[i];

        nodes[i].key = text_bytes(definition->name);
        const struct map_node *first = map_find(&names, nodes[i].key);
        is_good = first ? tree_refuse(&file->fault, definition->line, NULL,
                                      "the producer %.80s is in line %u already", definition->name,
                                      file->definitions[first - nodes].line)
                        : map_add(&names, &nodes[i]) == ERR_OK;
    }
    map_fini(&names);
    free(nodes);
    return is_good;
}

static void drop_definitions(struct endpoint_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        free(file->definitions[i].name);
    file->count = file->bytes = 0;
}

bool endpoint_file_read(const char *name, struct bytes text, const struct file_template *with,
                        const struct file_total *others, struct endpoint_file *file)
{
    const struct reading reading = {
        .file = file, .with = with, .name = name, .stem_size = stem_size(name), .others = others};
    struct tree tree;

    tree_init(&tree);
    bool is_good = endpoint_file_parse(name, text, &tree);
    if (!is_good)
        file->fault = tree.fault;
    else if (tree.root->kind == NODE_MAP)
        is_good = read_map(&reading, tree.root);
    else if (tree.root->kind == NODE_LIST)
        is_good = read_list(&reading, tree.root) && check_names(file);
    else
        is_good = tree_refuse(&file->fault, tree.root->line, NULL, "a list or a mapping is wanted");
    tree_fini(&tree);
    if (!is_good)
        drop_definitions(file);
    return is_good;
}

void endpoint_file_fini(struct endpoint_file *file)
{
    drop_definitions(file);
    free(file->definitions);
    *file = (struct endpoint_file){.count = 0};
}
