/* session_words.c - hello, ends, and the rules of coming back. Numbers of fields are those of
 * publisher.proto. */
#include "client/lib/session/session_encode.h"

#include <stdio.h>
#include <string.h>

#include "client/lib/core/encode.h"
#include "client/lib/subscribe/settings.h"
#include "client/lib/core/status.h"
#include "event/varint.h"

#define MAX_LIST 64u
#define MAX_END_MESSAGE 1024u

enum { REQUEST_ACTIVATION = 2, REQUEST_HELLO = 3, REQUEST_END = 4 };
enum { HELLO_NAME = 1, HELLO_LABELS, HELLO_TOPICS, HELLO_MODE, HELLO_ON_DUPLICATE, HELLO_HANDOVER };
enum { END_ACTIVATION = 1, END_CODE, END_MESSAGE };

static const char *hello_fault(const struct tributary_session_options *options)
{
    const size_t size = options->name != NULL ? strlen(options->name) : 0;

    if (size == 0 || size > MAX_NAME_BYTES)
        return "name: 1 to 256 bytes";
    if (options->label_count > MAX_LIST)
        return "labels: at most 64";
    if (options->topic_count > MAX_LIST)
        return "topics: at most 64";
    if (options->mode != TRIBUTARY_MODE_SHARED && options->mode != TRIBUTARY_MODE_PER_CONSUMER)
        return "mode: SHARED or PER_CONSUMER";
    if ((unsigned)options->on_duplicate > TRIBUTARY_ON_DUPLICATE_REJECT)
        return "on_duplicate: REPLACE or REJECT";
    if ((unsigned)options->handover > TRIBUTARY_HANDOVER_START_FIRST)
        return "handover: STOP_FIRST or START_FIRST";
    return NULL;
}

const char *session_apply_defaults(struct tributary_session_options *options)
{
    options->mode = options->mode == 0 ? TRIBUTARY_MODE_SHARED : options->mode;

    const bool shared = options->mode == TRIBUTARY_MODE_SHARED;

    options->queue_bytes = options->queue_bytes == 0 ? (shared ? 8u << 20 : 1u << 20) : options->queue_bytes;
    options->queue_events = options->queue_events == 0 ? (shared ? 262144u : 4096u) : options->queue_events;
    options->batch_bytes = options->batch_bytes == 0 ? 128u << 10 : options->batch_bytes;
    options->batch_events = options->batch_events == 0 ? 4096 : options->batch_events;
    options->linger_ns = options->linger_ns == 0 ? NS_PER_MS : MAX_OF(options->linger_ns, 0);
    if (options->batch_bytes > 1u << 20)
        return "batch_bytes: at most 1 MiB";
    if (options->batch_events > 65536)
        return "batch_events: at most 65536";
    if (options->linger_ns > NS_PER_S)
        return "linger_ns: at most 1 s";
    if (options->full != TRIBUTARY_FULL_WAIT && options->full != TRIBUTARY_FULL_FAIL)
        return "full: WAIT or FAIL";
    return hello_fault(options);
}

static struct bytes inner(struct tributary_bytes text)
{
    return (struct bytes){text.data, text.size};
}

static struct bytes text_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static void put_message(struct buf *buf, uint32_t number, struct buf *message)
{
    settings_write_text(buf, number, (struct bytes){message->data, message->size});
    buf->broken |= message->broken;
    buf_fini(message);
}

void session_write_hello(const struct tributary_session_options *options, struct buf *request)
{
    struct buf hello = {0};

    settings_write_text(&hello, HELLO_NAME, text_of(options->name));
    for (size_t i = 0; i < options->label_count; i++) {
        struct buf label = {0};

        settings_write_text(&label, 1, inner(options->labels[i].name));
        settings_write_text(&label, 2, inner(options->labels[i].value));
        put_message(&hello, HELLO_LABELS, &label);
    }
    for (size_t i = 0; i < options->topic_count; i++)
        settings_write_text(&hello, HELLO_TOPICS, text_of(options->topics[i]));
    settings_write_number(&hello, HELLO_MODE, (uint64_t)options->mode);
    settings_write_number(&hello, HELLO_ON_DUPLICATE, (uint64_t)options->on_duplicate);
    settings_write_number(&hello, HELLO_HANDOVER, (uint64_t)options->handover);
    put_message(request, REQUEST_HELLO, &hello);
}

/* Where to cut so that no character is left in pieces. */
static size_t cut(const char *text, size_t max)
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

    settings_write_number(&end, END_ACTIVATION, activation);
    settings_write_number(&end, END_CODE, (uint64_t)code);
    if (message != NULL && message[0] != '\0')
        settings_write_text(&end, END_MESSAGE,
                            (struct bytes){(const uint8_t *)message, cut(message, MAX_END_MESSAGE)});
    put_message(request, REQUEST_END, &end);
}

size_t session_write_head(uint8_t head[MAX_SEND_QUEUE_HEAD], uint64_t activation)
{
    if (activation == SHARED_QUEUE)
        return 0;
    head[0] = REQUEST_ACTIVATION << 3 | WIRE_VARINT;
    return 1 + varint_write(head + 1, activation);
}

enum session_closing session_closing_of(const char *reason)
{
    if (strcmp(reason, "REPLACED") == 0)
        return CLOSING_REPLACED;
    return strcmp(reason, "REMOVED") == 0 ? CLOSING_REMOVED : CLOSING_DRAINING;
}

enum tributary_code session_seal(enum session_closing closing)
{
    switch (closing) {
    case CLOSING_REPLACED:
        return TRIBUTARY_ABORTED;
    case CLOSING_REMOVED:
        return TRIBUTARY_FAILED_PRECONDITION;
    case CLOSING_NOT:
    case CLOSING_DRAINING:
        return TRIBUTARY_OK;
    }
    return TRIBUTARY_OK;
}

/* The registration was closed before the server's own word for it came. */
static void say(struct tributary_status *status, enum tributary_code code, const char *reason,
                const char *message)
{
    if (strcmp(status->reason, reason) == 0)
        return;
    status_set(status, code, message);
    snprintf(status->reason, sizeof(status->reason), "%s", reason);
}

bool session_comes_back(struct tributary_status *status, enum session_closing closing, bool finishing)
{
    switch (closing) {
    case CLOSING_REPLACED:
        say(status, TRIBUTARY_ABORTED, "REPLACED", "another session took this name");
        return false;
    case CLOSING_REMOVED:
        say(status, TRIBUTARY_FAILED_PRECONDITION, "REMOVED", "an operator removed this producer");
        return false;
    case CLOSING_DRAINING:
        if (finishing)
            return false;
        say(status, TRIBUTARY_UNAVAILABLE, "DRAINING", "the server is draining");
        return true;
    case CLOSING_NOT:
        break;
    }
    if (finishing)
        return false;
    if (status->code == TRIBUTARY_OK)
        status_set(status, TRIBUTARY_UNAVAILABLE, "the server ended the registration");
    return status_is_passing(status);
}
