/* batch_error.c - see batch_error.h. */
#include "batch/batch_error.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct batch_error {
    _Atomic uint32_t references;
    uint32_t code;
    uint32_t message_size, reason_size;
    uint8_t text[]; /* message, then reason */
};

struct batch_error *batch_error_new(const struct batch_error_text *text)
{
    struct batch_error *error = malloc(sizeof(*error) + text->message.size + text->reason.size);

    if (!error)
        return NULL;
    atomic_init(&error->references, 1);
    error->code = text->code;
    error->message_size = (uint32_t)text->message.size;
    error->reason_size = (uint32_t)text->reason.size;
    if (text->message.size > 0)
        memcpy(error->text, text->message.data, text->message.size);
    if (text->reason.size > 0)
        memcpy(error->text + text->message.size, text->reason.data, text->reason.size);
    return error;
}

struct batch_error *batch_error_retain(struct batch_error *error)
{
    if (error)
        atomic_fetch_add_explicit(&error->references, 1, memory_order_relaxed);
    return error;
}

void batch_error_release(struct batch_error *error)
{
    if (error && atomic_fetch_sub_explicit(&error->references, 1, memory_order_acq_rel) == 1)
        free(error);
}

struct batch_error_text batch_error_view(const struct batch_error *error)
{
    return (struct batch_error_text){.code = error->code,
                                     .message = {error->text, error->message_size},
                                     .reason = {error->text + error->message_size, error->reason_size}};
}
