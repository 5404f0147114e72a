/* session_encode.c - writes RegisterRequests. */
#include "client/lib/session/session_encode.h"

#include <string.h>

#include "client/lib/core/bytes.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"

#define MAX_END_MESSAGE_BYTES 1024u

void session_write_hello(const struct tributary_session_options *options, struct buf *request)
{
    struct buf hello = {0};

    field_bytes_always(&hello, PB_HELLO_NAME, text_bytes(options->name));
    for (size_t i = 0; i < options->label_count; i++) {
        struct buf label = {0};

        field_bytes_always(&label, PB_HELLO_LABELS_ENTRY_KEY, to_bytes(options->labels[i].name));
        field_bytes_always(&label, PB_HELLO_LABELS_ENTRY_VALUE, to_bytes(options->labels[i].value));
        field_message(&hello, PB_HELLO_LABELS, &label);
    }
    for (size_t i = 0; i < options->topic_count; i++)
        field_bytes_always(&hello, PB_HELLO_TOPICS, text_bytes(options->topics[i]));
    field_varint(&hello, PB_HELLO_MODE, (uint64_t)options->mode);
    field_varint(&hello, PB_HELLO_ON_DUPLICATE, (uint64_t)options->on_duplicate);
    field_varint(&hello, PB_HELLO_HANDOVER, (uint64_t)options->handover);
    field_message(request, PB_REGISTER_REQUEST_HELLO, &hello);
}

/* The size of `text`, shortened to at most `max` bytes without splitting a UTF-8 character. */
static size_t shortened_size(const char *text, size_t max)
{
    size_t size = strnlen(text, max + 1);

    if (size <= max)
        return size;
    size = max;
    while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    return size;
}

void session_write_end(struct buf *request, uint64_t activation, enum tributary_code code,
                       const char *message)
{
    struct buf end = {0};

    field_varint(&end, PB_REGISTER_REQUEST_END_ACTIVATION, activation);
    field_varint(&end, PB_REGISTER_REQUEST_END_CODE, (uint64_t)code);
    if (message && message[0] != '\0')
        field_bytes_always(
            &end, PB_REGISTER_REQUEST_END_MESSAGE,
            (struct bytes){(const uint8_t *)message, shortened_size(message, MAX_END_MESSAGE_BYTES)});
    field_message(request, PB_REGISTER_REQUEST_END, &end);
}

_Static_assert(SHARED_QUEUE == 0, "the field is left out where it is zero");
_Static_assert(PB_REGISTER_REQUEST_ACTIVATION < 16, "MAX_SEND_QUEUE_HEAD has one byte for the tag");

size_t session_write_head(uint8_t head[MAX_SEND_QUEUE_HEAD], uint64_t activation)
{
    return (size_t)(field_put_varint(head, PB_REGISTER_REQUEST_ACTIVATION, activation) - head);
}
