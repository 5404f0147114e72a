/* endpoint_text.h - the fields of Endpoint as people write them in files. They come from the
 * message's descriptor, so a new field is known here at once.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_ENDPOINT_TEXT_H
#define TRIBUTARY_SERVER_RPC_ENDPOINT_TEXT_H

#include <stdbool.h>

#include "base/buf.h"

enum endpoint_form {
    ENDPOINT_TEXT,     /* a text; a number; true or false; a choice, by its name; a duration as "1m30s" */
    ENDPOINT_PAIRS,    /* a mapping from texts to texts */
    ENDPOINT_MESSAGES, /* a list of bytes */
    ENDPOINT_LIST,     /* a list of texts */
    ENDPOINT_OTHER     /* it has no form in a file */
};

#define ENDPOINT_TEXT_FAULT 160u

struct endpoint_field {
    const char *name;
    enum endpoint_form form;
    const void *descriptor; /* for endpoint_text.c */
};

/* The field with this index, in the order of their numbers. False: there are no more. */
bool endpoint_field_get(size_t index, struct endpoint_field *field_out);

/* Appends a field of the form ENDPOINT_TEXT, or a text of ENDPOINT_LIST. False: `fault` says how it
 * must be. */
bool endpoint_field_write(const struct endpoint_field *field, struct bytes text, struct buf *message,
                          char fault[ENDPOINT_TEXT_FAULT]);
/* Appends one pair, or one message. */
void endpoint_field_write_pair(const struct endpoint_field *field, struct bytes key, struct bytes value,
                               struct buf *message);
void endpoint_field_write_bytes(const struct endpoint_field *field, struct bytes bytes, struct buf *message);

#endif
