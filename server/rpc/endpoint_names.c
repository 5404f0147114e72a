/* endpoint_names.c - the names of endpoints that the store has. */
#include "server/rpc/endpoint_names.h"

#include <stdlib.h>
#include <string.h>

void endpoint_names_init(struct endpoint_names *names)
{
    map_init(&names->by_name);
    list_init(&names->not_loaded);
}

static void name_free(struct endpoint_name *name)
{
    CHECK(list_empty(&name->edits));
    free(name->cause);
    free(name);
}

void endpoint_names_fini(struct endpoint_names *names)
{
    map_each(node, following, &names->by_name) name_free(container_of(node, struct endpoint_name, node));
    map_fini(&names->by_name);
}

struct endpoint_name *endpoint_names_get(struct endpoint_names *names, struct bytes text)
{
    struct map_node *node = map_find(&names->by_name, text);

    if (node)
        return container_of(node, struct endpoint_name, node);
    struct endpoint_name *name = calloc(1, sizeof(*name) + text.size);
    if (!name)
        return NULL;
    memcpy(name->text, text.data, text.size);
    name->node.key = (struct bytes){name->text, text.size};
    list_init(&name->edits);
    list_init(&name->not_loaded);
    if (map_add(&names->by_name, &name->node) == ERR_OK)
        return name;
    free(name);
    return NULL;
}

void endpoint_names_rest(struct endpoint_names *names, struct endpoint_name *name)
{
    if (name->is_recorded || !list_empty(&name->edits))
        return;
    list_remove(&name->not_loaded);
    map_remove(&names->by_name, &name->node);
    name_free(name);
}

void endpoint_name_set_cause(struct endpoint_names *names, struct endpoint_name *name, const char *cause)
{
    list_remove(&name->not_loaded);
    free(name->cause);
    name->cause = cause ? strdup(cause) : NULL;
    if (name->cause)
        list_append(&names->not_loaded, &name->not_loaded);
}
