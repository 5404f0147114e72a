/* endpoint_show.c - see endpoint_show.h. */
#include "client/tool/endpoint_show.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/endpoint_params.h"
#include "client/tool/plain_error.h"
#include "client/tool/printer.h"
#include "client/tool/table.h"
#include "client/tool/value.h"

#define SHOWN_BYTES 32u /* of a request */
#define DEFAULT_BACKOFF_NS NS_PER_S
#define DEFAULT_MAX_BACKOFF_NS (30 * NS_PER_S)
#define DEFAULT_CONNECT_NS (10 * NS_PER_S)
#define DEFAULT_RESOLVE_NS (30 * NS_PER_S)
#define DEFAULT_HISTORY_EVENTS 1024u
#define DEFAULT_HISTORY_BYTES (UINT64_C(1) << 20)

/* The word with this number among words that '|' separates; the first one is number 1. 0 is the
 * default, which is the first one. */
static struct tributary_bytes word_of(const char *words, unsigned number)
{
    for (; number > 1 && strchr(words, '|'); number--)
        words = strchr(words, '|') + 1;
    return (struct tributary_bytes){words, strcspn(words, "|")};
}

/* A word for printf("%.*s"). */
#define WORD(words, number) (int)word_of(words, number).size, (const char *)word_of(words, number).data

const char *endpoint_activation_name(const struct tributary_endpoint *endpoint)
{
    switch (endpoint->activation) {
    case TRIBUTARY_ENDPOINT_SHARED:
        return "shared";
    case TRIBUTARY_ENDPOINT_BY_REQUEST:
        return "by-request";
    default:
        return "per-consumer";
    }
}

const char *endpoint_not_kept_text(const struct tributary_producer *producer)
{
    switch (producer->not_kept_reason) {
    case TRIBUTARY_NOT_KEPT_UNSPECIFIED:
        break;
    case TRIBUTARY_NOT_KEPT_NO_STATE_DIR:
        return "the server has no --state-dir";
    case TRIBUTARY_NOT_KEPT_STORE_FAILED:
        return "the disk of --state-dir failed while it was changed";
    case TRIBUTARY_NOT_KEPT_NOT_ASKED:
        return "no operator added it";
    }
    return NULL;
}

static const char *method_of(const struct tributary_endpoint *endpoint)
{
    if (endpoint->method[0] == '\0' && endpoint->serve_count > 0)
        return "none"; /* it only serves */
    return endpoint->method[0] != '\0' ? endpoint->method : ENDPOINT_DEFAULT_METHOD;
}

/* Prints a text, and makes visible what is not printable. */
static void put_text(const char *text)
{
    struct buf buf = {0};

    escape_text(&buf, tributary_text(text));
    fwrite(buf.data, 1, buf.size, stdout);
    buf_fini(&buf);
}

static void put_line(const char *name, const char *text)
{
    printf("%-15s", name);
    put_text(text);
    putchar('\n');
}

void endpoint_show_line(const struct tributary_producer *producer)
{
    const struct tributary_endpoint *endpoint = producer->endpoint;

    if (endpoint) {
        put_text(method_of(endpoint));
        printf(" at ");
        put_text(endpoint->address);
        printf(", %s, ", endpoint_activation_name(endpoint));
    }
    printf("%s\n", tributary_state_name(producer->state));
}

static void put_hex(struct buf *buf, struct tributary_bytes bytes, size_t max)
{
    const uint8_t *data = bytes.data;

    for (size_t i = 0; i < MIN_OF(bytes.size, max); i++)
        buf_format(buf, "%02x", data[i]);
}

static void put_requests(const struct tributary_endpoint *endpoint)
{
    if (endpoint->request_count == 0)
        put_line("requests", "the consumer's own");
    for (size_t i = 0; i < endpoint->request_count; i++) {
        const size_t size = endpoint->requests[i].size;
        struct buf line = {0};
        char name[32];

        snprintf(name, sizeof(name), "request %zu", i + 1);
        buf_format(&line, "%zu byte%s%s", size, size == 1 ? "" : "s", size == 0 ? "" : ": ");
        put_hex(&line, endpoint->requests[i], SHOWN_BYTES);
        buf_text(&line, size > SHOWN_BYTES ? "..." : "");
        buf_byte(&line, 0);
        put_line(name, line.broken ? "" : (const char *)line.data);
        buf_fini(&line);
    }
}

static void put_metadata(const struct tributary_endpoint *endpoint)
{
    printf("metadata       %s", endpoint->metadata_count == 0 ? "none" : "");
    for (size_t i = 0; i < endpoint->metadata_count; i++) {
        printf("%s", i > 0 ? ", " : "");
        put_text(endpoint->metadata[i].name);
        putchar('=');
        put_text(endpoint->metadata[i].value);
    }
    putchar('\n');
}

/* Prints a duration, its default, or "no bound" where there is none. */
static void put_time(const char *name, int64_t ns, int64_t default_ns)
{
    char text[32] = "no bound";

    ns = ns != 0 ? ns : default_ns;
    if (ns != 0)
        duration_text(ns, text, sizeof(text));
    put_line(name, text);
}

static void put_times(const struct tributary_endpoint *endpoint)
{
    put_time("backoff", endpoint->backoff_ns, DEFAULT_BACKOFF_NS);
    put_time("max backoff", endpoint->max_backoff_ns, DEFAULT_MAX_BACKOFF_NS);
    put_time("connect", endpoint->connect_timeout_ns, DEFAULT_CONNECT_NS);
    put_time("first message", endpoint->first_message_timeout_ns, 0);
    put_time("idle", endpoint->idle_timeout_ns, 0);
}

static void put_texts(const char *name, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put_line(name, texts[i]);
}

static void put_served(const struct tributary_endpoint *endpoint)
{
    put_texts("serve", endpoint->serve, endpoint->serve_count);
    put_texts("passes on", endpoint->serve_request_metadata, endpoint->serve_request_metadata_count);
    put_texts("passes back", endpoint->serve_answer_metadata, endpoint->serve_answer_metadata_count);
}

static void put_stored(const struct tributary_endpoint *endpoint)
{
    char text[64];
    char size[32];

    if (endpoint->key_field[0] != '\0')
        put_line("key field", endpoint->key_field);
    if (endpoint->time_field[0] != '\0')
        put_line("time field", endpoint->time_field);
    if (endpoint->history_events == 0 && endpoint->history_bytes == 0)
        return;
    bytes_text(endpoint->history_bytes > 0 ? endpoint->history_bytes : DEFAULT_HISTORY_BYTES, size,
               sizeof(size));
    snprintf(text, sizeof(text), "%u events, %s",
             endpoint->history_events > 0 ? endpoint->history_events : DEFAULT_HISTORY_EVENTS, size);
    put_line("history", text);
}

static const char *where_of(const struct tributary_failure *failure)
{
    return failure->dialling ? "DIAL" : "STREAM";
}

/* Writes why a dial failed, in plain words. False: they are not known. */
static bool plain_failure(const struct tributary_producer *producer, char *text, size_t capacity)
{
    const struct tributary_failure *failure = producer->failure;
    struct tributary_status status = {.code = (enum tributary_code)failure->code};
    /* the peer of an endpoint is its address; a change has no more */
    const char *address = producer->endpoint ? producer->endpoint->address : producer->peer;

    if (!failure->dialling)
        return false;
    snprintf(status.message, sizeof(status.message), "%s", failure->message);
    return plain_error(&status, address, text, capacity);
}

void endpoint_put_failure(struct buf *buf, const struct tributary_producer *producer)
{
    const struct tributary_failure *failure = producer->failure;
    char plain[512];

    if (!failure)
        return;
    if (plain_failure(producer, plain, sizeof(plain)))
        buf_text(buf, plain);
    else
        buf_format(buf, "%s: %s", tributary_code_name((enum tributary_code)failure->code), failure->message);
}

static void put_failure(const struct tributary_producer *producer)
{
    const struct tributary_failure *failure = producer->failure;
    char moment[MOMENT_CAPACITY];
    char age[40];
    char plain[512];

    if (!failure) {
        put_line("failure", "none");
        return;
    }
    table_age(failure->time_unix_nano, age, sizeof(age));
    moment_text(failure->time_unix_nano, moment);
    printf("failure        %s, %s, %s (%s)\n", where_of(failure),
           tributary_code_name((enum tributary_code)failure->code), age, moment);
    if (plain_failure(producer, plain, sizeof(plain)))
        put_line("  cause", plain);
    put_line("  message", failure->message);
}

static void put_origin(const struct tributary_producer *producer)
{
    if (producer->origin == TRIBUTARY_ORIGIN_FILE)
        put_line("defined by", producer->origin_text);
    if (producer->origin == TRIBUTARY_ORIGIN_DNS)
        put_line("address of", producer->origin_text);
}

void endpoint_show_whole(const struct tributary_producer *producer)
{
    const struct tributary_endpoint *endpoint = producer->endpoint;

    put_line("address", endpoint->address);
    put_line("method", method_of(endpoint));
    printf("activation     %s\nupstream calls %u%s\n", endpoint_activation_name(endpoint),
           producer->upstream_calls, producer->blocked_calls > 0 ? ", blocked" : "");
    put_requests(endpoint);
    if (endpoint->half_close == 0 && strcmp(method_of(endpoint), ENDPOINT_DEFAULT_METHOD) == 0)
        put_line("half-close", "when the call is to stop");
    else
        printf("half-close     %.*s\n", WORD(HALF_CLOSE_WORDS, endpoint->half_close));
    put_metadata(endpoint);
    printf("restart        %.*s\n", WORD(RESTART_WORDS, endpoint->restart));
    put_times(endpoint);
    printf("decode         %.*s\n", WORD(DECODE_WORDS, endpoint->decode));
    put_line("authority", endpoint->authority[0] != '\0' ? endpoint->authority : "from the address");
    put_line("tls", endpoint->tls[0] != '\0' ? endpoint->tls : "no, plaintext");
    put_origin(producer);
    if (endpoint->each_address) {
        put_time("resolve period", endpoint->resolve_period_ns, DEFAULT_RESOLVE_NS);
        printf("addresses      %zu\n", producer->child_count);
        for (size_t i = 0; i < producer->child_count; i++)
            put_line("", producer->children[i]);
    }
    if (producer->kept)
        put_line("kept", "yes");
    else if (endpoint_not_kept_text(producer))
        printf("kept           no: %s\n", endpoint_not_kept_text(producer));
    put_stored(endpoint);
    put_served(endpoint);
    put_failure(producer);
}

static json_t *pairs_json(const struct tributary_label *pairs, size_t count)
{
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++)
        table_put_text(object, pairs[i].name, pairs[i].value);
    return object;
}

static json_t *requests_json(const struct tributary_endpoint *endpoint)
{
    json_t *array = json_array();

    for (size_t i = 0; i < endpoint->request_count; i++) {
        json_t *request = json_object();
        struct buf hex = {0};

        put_hex(&hex, endpoint->requests[i], SIZE_MAX);
        table_put_number(request, "bytes", endpoint->requests[i].size);
        json_object_set_new(request, "hex",
                            json_stringn(hex.size > 0 ? (const char *)hex.data : "", hex.size));
        json_array_append_new(array, request);
        buf_fini(&hex);
    }
    return array;
}

static void put_word(json_t *object, const char *name, const char *words, unsigned number)
{
    const struct tributary_bytes word = word_of(words, number);

    json_object_set_new(object, name, json_stringn(word.data, word.size));
}

static void put_ns(json_t *object, const char *name, int64_t ns, int64_t default_ns)
{
    table_put_number(object, name, (uint64_t)(ns != 0 ? ns : default_ns));
}

static json_t *texts_json(const char *const *texts, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_string(texts[i]));
    return array;
}

json_t *endpoint_json(const struct tributary_endpoint *endpoint)
{
    json_t *object = json_object();

    table_put_text(object, "address", endpoint->address);
    table_put_text(object, "method", method_of(endpoint));
    json_object_set_new(object, "requests", requests_json(endpoint));
    if (endpoint->half_close == 0 && strcmp(method_of(endpoint), ENDPOINT_DEFAULT_METHOD) == 0)
        table_put_text(object, "half_close", "when-stopped");
    else
        put_word(object, "half_close", HALF_CLOSE_WORDS, endpoint->half_close);
    json_object_set_new(object, "metadata", pairs_json(endpoint->metadata, endpoint->metadata_count));
    json_object_set_new(object, "labels", pairs_json(endpoint->labels, endpoint->label_count));
    put_word(object, "activation", ACTIVATION_WORDS, endpoint->activation);
    put_word(object, "restart", RESTART_WORDS, endpoint->restart);
    put_ns(object, "backoff_ns", endpoint->backoff_ns, DEFAULT_BACKOFF_NS);
    put_ns(object, "max_backoff_ns", endpoint->max_backoff_ns, DEFAULT_MAX_BACKOFF_NS);
    put_ns(object, "connect_timeout_ns", endpoint->connect_timeout_ns, DEFAULT_CONNECT_NS);
    put_ns(object, "first_message_timeout_ns", endpoint->first_message_timeout_ns, 0);
    put_ns(object, "idle_timeout_ns", endpoint->idle_timeout_ns, 0);
    put_word(object, "decode", DECODE_WORDS, endpoint->decode);
    table_put_text(object, "authority", endpoint->authority);
    table_put_text(object, "tls", endpoint->tls);
    json_object_set_new(object, "each_address", json_boolean(endpoint->each_address));
    if (endpoint->each_address)
        put_ns(object, "resolve_period_ns", endpoint->resolve_period_ns, DEFAULT_RESOLVE_NS);
    table_put_text(object, "key_field", endpoint->key_field);
    table_put_text(object, "time_field", endpoint->time_field);
    table_put_number(object, "history_events", endpoint->history_events);
    table_put_number(object, "history_bytes", endpoint->history_bytes);
    json_object_set_new(object, "serve", texts_json(endpoint->serve, endpoint->serve_count));
    json_object_set_new(object, "serve_request_metadata",
                        texts_json(endpoint->serve_request_metadata, endpoint->serve_request_metadata_count));
    json_object_set_new(object, "serve_answer_metadata",
                        texts_json(endpoint->serve_answer_metadata, endpoint->serve_answer_metadata_count));
    return object;
}

json_t *endpoint_failure_json(const struct tributary_failure *failure)
{
    json_t *object = json_object();

    table_put_text(object, "where", where_of(failure));
    table_put_text(object, "code", tributary_code_name((enum tributary_code)failure->code));
    table_put_text(object, "message", failure->message);
    table_put_moment(object, "time", failure->time_unix_nano);
    return object;
}

void endpoint_put_origin(json_t *object, const struct tributary_producer *producer)
{
    static const char *const origins[] = {[TRIBUTARY_ORIGIN_OPERATOR] = "operator",
                                          [TRIBUTARY_ORIGIN_FILE] = "file",
                                          [TRIBUTARY_ORIGIN_DNS] = "dns"};
    json_t *children = json_array();

    if (producer->origin > 0 && producer->origin < ARRAY_LEN(origins))
        table_put_text(object, "origin", origins[producer->origin]);
    if (producer->origin_text[0] != '\0')
        table_put_text(object, "origin_text", producer->origin_text);
    for (size_t i = 0; i < producer->child_count; i++)
        json_array_append_new(children, json_string(producer->children[i]));
    if (producer->endpoint->each_address)
        json_object_set(object, "children", children);
    json_decref(children);
}
