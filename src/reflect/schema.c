/* schema.c - see schema.h. */
#include "reflect/schema.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct schema {
    _Atomic uint32_t refs;
    struct descriptors *descriptors;
    struct peer_charges *charges; /* NULL: nobody is charged */
    struct peer_charge charge;
    size_t size;
    uint8_t set[];
};

static enum fault_reason refuse(const char *field, const struct descriptors_fault *refusal,
                                struct fault *fault)
{
    if (refusal->name.size == 0)
        return fault_set(fault, FAULT_BAD_DESCRIPTORS, field, refusal->what);
    return fault_bytes(fault, FAULT_BAD_DESCRIPTORS, field, refusal->name, refusal->what);
}

enum fault_reason schema_new(const char *field, struct bytes set, struct schema **schema_out,
                             struct fault *fault)
{
    struct descriptors_fault refusal = {"it is no FileDescriptorSet", {NULL, 0}};
    struct schema *schema;

    if (set.size > MAX_SCHEMA_BYTES)
        return fault_number(fault, FAULT_TOO_LONG, field, set.size, "at most 1048576 bytes");
    schema = malloc(sizeof(*schema) + set.size);
    if (!schema)
        return fault_set(fault, FAULT_MEMORY_BUDGET, field, "");
    *schema = (struct schema){.size = set.size};
    atomic_init(&schema->refs, 1);
    if (set.size > 0)
        memcpy(schema->set, set.data, set.size);
    const enum err err =
        descriptors_new((struct bytes){schema->set, set.size}, &schema->descriptors, &refusal);
    if (!err) {
        *schema_out = schema;
        return FAULT_NONE;
    }
    const enum fault_reason reason = err == ERR_INVALID ? refuse(field, &refusal, fault)
                                                        : fault_set(fault, FAULT_MEMORY_BUDGET, field, "");
    schema_release(schema);
    return reason;
}

struct schema *schema_retain(struct schema *schema)
{
    if (schema)
        atomic_fetch_add_explicit(&schema->refs, 1, memory_order_relaxed);
    return schema;
}

void schema_release(struct schema *schema)
{
    if (!schema || atomic_fetch_sub_explicit(&schema->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (schema->charges)
        peer_charge_give_back(schema->charges, &schema->charge);
    descriptors_free(schema->descriptors);
    free(schema);
}

enum fault_reason schema_charge(struct schema *schema, struct peer_charges *charges,
                                const struct settings *settings, struct peer_key peer, struct fault *fault)
{
    if (schema->charges)
        return FAULT_NONE;
    if (peer_charge_add(charges, settings, &schema->charge, peer,
                        sizeof(*schema) + schema->size + descriptors_bytes(schema->descriptors), fault))
        return fault->reason;
    schema->charges = charges;
    return FAULT_NONE;
}

const struct descriptors *schema_descriptors(const struct schema *schema)
{
    return schema->descriptors;
}
