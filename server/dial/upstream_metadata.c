/* upstream_metadata.c - the metadata with which an upstream call is opened: what its endpoint says,
 * the marks of the processes that the call is made for (grpc/own_mark.h), and, where it answers a
 * client's call, what passes on of the client's metadata. */
#include <string.h>

#include "grpc/own_mark.h"
#include "grpc/slices.h"
#include "server/dial/metadata_names.h"
#include "server/dial/upstream_internal.h"

/* What the endpoint says itself comes first, and takes the place of what the client says. */
static bool has_key(const grpc_metadata *metadata, size_t count, struct bytes key)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_same(slice_bytes(&metadata[i].key), key))
            return true;
    }
    return false;
}

static void add_marks(struct upstream *upstream, struct bytes via)
{
    for (size_t at = 0; at + MARK_BYTES <= via.size; at += MARK_BYTES)
        upstream->metadata[upstream->metadata_count++] = mark_metadata(via.data + at);
}

static void add_of_client(struct upstream *upstream, const struct pair *pairs, size_t count)
{
    const struct upstream_plan *plan = upstream->plan;

    for (size_t i = 0; i < count; i++) {
        if (metadata_names_have(plan->request_names, plan->request_name_count, pairs[i].name) &&
            !has_key(plan->metadata, plan->metadata_count, pairs[i].name))
            upstream->metadata[upstream->metadata_count++] =
                (grpc_metadata){.key = slice_copy_of(pairs[i].name), .value = slice_copy_of(pairs[i].value)};
    }
}

bool upstream_metadata_init(struct upstream *upstream, struct bytes via)
{
    const struct upstream_plan *plan = upstream->plan;
    const struct pair *pairs = NULL;
    size_t count = 0;

    if (is_served(upstream))
        pairs = served_call_metadata(upstream->served.call, &count);
    if (via.size + count == 0)
        return true;
    upstream->metadata =
        calloc(plan->metadata_count + via.size / MARK_BYTES + count, sizeof(*upstream->metadata));
    if (!upstream->metadata)
        return false;
    memcpy(upstream->metadata, plan->metadata, plan->metadata_count * sizeof(*upstream->metadata));
    upstream->metadata_count = upstream->plan_metadata = plan->metadata_count;
    add_marks(upstream, via);
    add_of_client(upstream, pairs, count);
    return true;
}

/* The plan may be gone. */
void upstream_metadata_fini(struct upstream *upstream)
{
    for (size_t i = upstream->plan_metadata; i < upstream->metadata_count; i++) {
        grpc_slice_unref(upstream->metadata[i].key);
        grpc_slice_unref(upstream->metadata[i].value);
    }
    free(upstream->metadata);
    upstream->metadata = NULL;
    upstream->metadata_count = upstream->plan_metadata = 0;
}
