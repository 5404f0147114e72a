/* definition_write.h - an endpoint of a file, as an encoded message.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_CONFIG_DEFINITION_WRITE_H
#define TRIBUTARY_SERVER_CONFIG_DEFINITION_WRITE_H

#include "base/buf.h"
#include "server/config/tree.h"

/* Where the fields of one endpoint stand. What is in `map` comes before what is in `defaults`; both
 * are mappings, or NULL. Labels of both count together. */
struct definition_source {
    const struct node *map, *defaults;
    struct bytes name, address;        /* instead of those in `map`; empty: those */
    const struct node *further_labels; /* a mapping, or NULL: before those of `defaults` */
    unsigned line;                     /* for faults of no field of its own */
};

/* Refuses keys that no field of Endpoint has, and with `is_template` name and address. */
MUST_CHECK bool definition_check_keys(const struct node *map, bool is_template, struct tree_fault *fault);

/* Appends the message. Its fields stand in the order of their numbers, and pairs in that of their
 * keys: so what says the same has the same bytes. False: the fault says why. */
MUST_CHECK bool definition_write(const struct definition_source *source, struct buf *message,
                                 struct tree_fault *fault);

/* The line and the key of a field, for a fault that names it, such as "endpoint.labels[0].key". */
void definition_place(const struct definition_source *source, const char *field, struct tree_fault *fault);

#endif
