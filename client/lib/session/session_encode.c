/* session_encode.c - writes RegisterRequests. Field numbers are those of publisher.proto. */
#include "client/lib/session/session_encode.h"

#include <string.h>

#include "client/lib/core/fields.h"
#include "event/varint.h"

#define MAX_END_MESSAGE_BYTES 1024u

enum { REQUEST_ACTIVATION = 2, REQUEST_HELLO = 3, REQUEST_END = 4 };
enum { HELLO_NAME = 1, HELLO_LABELS, HELLO_TOPICS, HELLO_MODE, HELLO_ON_DUPLICATE, HELLO_HANDOVER };
enum { END_ACTIVATION = 1, END_CODE, END_MESSAGE };

static struct bytes to_bytes(struct tributary_bytes text)
{
    return (struct bytes){text.data, text.size};
}

static struct bytes text_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

void session_write_hello(const struct tributary_session_options *options, struct buf *request)
{
    struct buf hello = {0};

    field_append_text(&hello, HELLO_NAME, text_of(options->name));
    for (size_t i = 0; i < options->label_count; i++) {
        struct buf label = {0};

        field_append_text(&label, 1, to_bytes(options->labels[i].name));
        field_append_text(&label, 2, to_bytes(options->labels[i].value));
        field_append_message(&hello, HELLO_LABELS, &label);
    }
    for (size_t i = 0; i < options->topic_count; i++)
        field_append_text(&hello, HELLO_TOPICS, text_of(options->topics[i]));
    field_append_number(&hello, HELLO_MODE, (uint64_t)options->mode);
    field_append_number(&hello, HELLO_ON_DUPLICATE, (uint64_t)options->on_duplicate);
    field_append_number(&hello, HELLO_HANDOVER, (uint64_t)options->handover);
    field_append_message(request, REQUEST_HELLO, &hello);
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

    field_append_number(&end, END_ACTIVATION, activation);
    field_append_number(&end, END_CODE, (uint64_t)code);
    if (message && message[0] != '\0')
        field_append_text(
            &end, END_MESSAGE,
            (struct bytes){(const uint8_t *)message, shortened_size(message, MAX_END_MESSAGE_BYTES)});
    field_append_message(request, REQUEST_END, &end);
}

size_t session_write_head(uint8_t head[MAX_SEND_QUEUE_HEAD], uint64_t activation)
{
    if (activation == SHARED_QUEUE)
        return 0;
    head[0] = REQUEST_ACTIVATION << 3 | WIRE_VARINT;
    return 1 + varint_write(head + 1, activation);
}
