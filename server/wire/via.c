/* via.c - see via.h. */
#include "server/wire/via.h"

#include <stdio.h>
#include <string.h>

#include "grpc/own_mark.h"
#include "grpc/slices.h"

static enum fault_reason refuse_own(size_t others, struct fault *fault)
{
    char bound[96] = "";

    if (others > 0)
        snprintf(bound, sizeof(bound), "the call has come back through %zu other server%s", others,
                 others == 1 ? "" : "s");
    return fault_set(fault, FAULT_DIALS_ITSELF, "", bound);
}

enum fault_reason via_read(const grpc_metadata_array *metadata, struct shared_bytes **via_out,
                           struct fault *fault)
{
    uint8_t marks[MAX_VIA * MARK_BYTES];
    struct shared_bytes *via;
    size_t count = 0;

    for (size_t i = 0; i < metadata->count; i++) {
        const struct bytes value = slice_bytes(&metadata->metadata[i].value);

        if (grpc_slice_str_cmp(metadata->metadata[i].key, OWN_MARK_KEY) != 0 || !mark_is_valid(value))
            continue;
        if (mark_is_own(value))
            return refuse_own(count, fault);
        if (count < MAX_VIA)
            memcpy(marks + count * MARK_BYTES, value.data, MARK_BYTES);
        count++;
    }
    if (count > MAX_VIA)
        return fault_number(fault, FAULT_TOO_MANY_HOPS, OWN_MARK_KEY, count, "at most 16");
    if (count == 0) {
        *via_out = NULL;
        return FAULT_NONE;
    }
    via = shared_bytes_new((struct bytes){marks, count * MARK_BYTES});
    if (!via)
        return fault_set(fault, FAULT_MEMORY_BUDGET, "", "");
    *via_out = via;
    return FAULT_NONE;
}
