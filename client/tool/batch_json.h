/* batch_json.h - what `tributary batch work` and its command say to each other, as JSON.
 *
 * Bytes that are UTF-8 are a string. Others are base64, and then "_base64" is appended to the
 * member's name: "key", "key_base64". Any thread. */
#ifndef TRIBUTARY_TOOL_BATCH_JSON_H
#define TRIBUTARY_TOOL_BATCH_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "tributary/tributary.h"

/* Adds bytes to an object: `name`, or, where they are not UTF-8, the name with "_base64" appended.
 * False: out of memory. */
bool batch_json_put(json_t *object, const char *name, struct tributary_bytes bytes);

/* Reads bytes of an object. An array, object, number or boolean is its JSON text. A null is empty.
 * `text` holds what *bytes_out points to, where the object does not. False: `fault` says why. */
#define BATCH_FAULT_CAPACITY 256
bool batch_json_get(const json_t *object, const char *name, struct buf *text,
                    struct tributary_bytes *bytes_out, char fault[BATCH_FAULT_CAPACITY]);

/* Whether all members of the object have one of these names, which a NULL ends. `what` is the
 * object in the fault. */
bool batch_json_has_only(const json_t *object, const char *const *names, const char *what,
                         char fault[BATCH_FAULT_CAPACITY]);

/* A batch, as the command gets it. */
struct batch_document {
    const char *processor;
    struct tributary_bytes key;
    bool has_resource; /* false: null */
    struct tributary_bytes resource;
    const struct tributary_worker_operation *const *operations;
    size_t count;
};

/* Appends it as one line, with its newline. False: out of memory. */
bool batch_document_write(const struct batch_document *document, struct buf *out);

enum batch_change { BATCH_UNCHANGED, BATCH_REPLACED, BATCH_REMOVED };

struct batch_answer_result {
    struct tributary_bytes data;
    enum tributary_code code; /* OK, or why the operation has failed */
    const char *reason, *message;
    struct buf text; /* private */
};

/* What the command answers. The texts point into it. */
struct batch_answer {
    enum batch_change change;
    struct tributary_bytes resource;
    struct batch_answer_result *results;
    size_t count;
    char fault[BATCH_FAULT_CAPACITY]; /* what is wrong with it */

    /* Private. */
    json_t *json;
    struct buf text;
};

/* Reads an answer, which must have `count` results. False: answer->fault says why.
 * batch_answer_fini() must follow in both cases. */
bool batch_answer_read(struct batch_answer *answer, const char *text, size_t size, size_t count);
void batch_answer_fini(struct batch_answer *answer);

#endif
