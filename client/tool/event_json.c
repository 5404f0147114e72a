/* event_json.c - writes events as JSON, and reads them. */
#include "client/tool/event_json.h"

#include <stdlib.h>
#include <string.h>

#include "client/tool/lines.h"
#include "client/tool/value.h"
#include "event/text.h"

#define MAX_PRODUCER_BYTES 256

static const char base64_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_write(struct buf *buf, const void *bytes, size_t size)
{
    const uint8_t *data = bytes;

    for (size_t i = 0; i < size; i += 3) {
        const size_t left = size - i;
        const uint32_t group = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                               (left > 2 ? (uint32_t)data[i + 2] : 0);
        const char out[4] = {base64_letters[group >> 18], base64_letters[group >> 12 & 63],
                             left > 1 ? base64_letters[group >> 6 & 63] : '=',
                             left > 2 ? base64_letters[group & 63] : '='};

        buf_bytes(buf, out, sizeof(out));
    }
}

static int base64_value(char letter)
{
    const char *found = letter != '\0' ? strchr(base64_letters, letter) : NULL;

    return found ? (int)(found - base64_letters) : -1;
}

bool base64_read(struct buf *buf, const char *text, size_t size)
{
    if (size % 4 != 0)
        return false;
    for (size_t i = 0; i < size; i += 4) {
        const bool last = i + 4 == size;
        const size_t padding = last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2 : 1) : 0;
        uint32_t group = 0;

        for (size_t j = 0; j < 4; j++) {
            const int value = j >= 4 - padding ? 0 : base64_value(text[i + j]);

            if (value < 0)
                return false;
            group = group << 6 | (uint32_t)value;
        }
        if ((padding == 2 && (group & 0xffff) != 0) || (padding == 1 && (group & 0xff) != 0))
            return false;
        for (size_t j = 0; j < 3 - padding; j++)
            buf_byte(buf, (uint8_t)(group >> (16 - 8 * j)));
    }
    return !buf->broken;
}

/* Adds a text where it is not empty. False: it could not be added. */
static bool put_text(json_t *object, const char *name, struct tributary_bytes text)
{
    return text.size == 0 || json_object_set_new(object, name, json_stringn(text.data, text.size)) == 0;
}

static bool put_moment(json_t *object, const char *name, uint64_t unix_nano)
{
    char text[MOMENT_CAPACITY];

    if (unix_nano == 0)
        return true;
    moment_text(unix_nano, text);
    return json_object_set_new(object, name, json_string(text)) == 0;
}

static bool put_headers(json_t *object, const struct tributary_event *event)
{
    json_t *headers = NULL;
    bool done = true;

    if (event->header_count == 0)
        return true;
    headers = json_object();
    for (size_t i = 0; i < event->header_count && done; i++) {
        const struct tributary_header *header = &event->headers[i];
        json_t *value = json_stringn(header->value.size > 0 ? header->value.data : "", header->value.size);

        done = json_object_setn_new(headers, header->name.data, header->name.size, value) == 0;
    }
    return json_object_set_new(object, "headers", headers) == 0 && done;
}

static bool put_data(json_t *object, struct tributary_bytes data)
{
    struct buf text = {0};
    bool done = false;

    if (data.size == 0)
        return true;
    if (utf8_valid((struct bytes){data.data, data.size}))
        return json_object_set_new(object, "data", json_stringn(data.data, data.size)) == 0;
    base64_write(&text, data.data, data.size);
    done = !text.broken &&
           json_object_set_new(object, "data_base64", json_stringn((const char *)text.data, text.size)) == 0;
    buf_fini(&text);
    return done;
}

static bool put_number(json_t *object, const char *name, uint64_t number)
{
    return json_object_set_new(object, name, json_integer((json_int_t)number)) == 0;
}

json_t *event_to_json(const struct tributary_delivery *delivery)
{
    const struct tributary_event *event = &delivery->event;
    json_t *object = json_object();
    char epoch[24];
    bool done = !!object;

    snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)delivery->epoch);
    done = done && put_text(object, "producer", delivery->source) &&
           put_text(object, "origin", delivery->origin) &&
           put_number(object, "sequence", delivery->sequence) &&
           put_text(object, "epoch", tributary_text(epoch)) &&
           put_moment(object, "time", event->time_unix_nano) &&
           put_moment(object, "observed", delivery->observed_time_unix_nano);
    if (delivery->attempt > 0)
        done = done && put_number(object, "attempt", delivery->attempt);
    done = done && put_text(object, "id", event->id) && put_text(object, "topic", event->topic) &&
           put_text(object, "key", event->key) && put_text(object, "type", event->type) &&
           put_text(object, "content_type", event->content_type) && put_headers(object, event) &&
           put_moment(object, "expires", event->expires_unix_nano) &&
           put_moment(object, "deliver_after", event->deliver_after_unix_nano) &&
           put_data(object, event->data);
    if (done)
        return object;
    json_decref(object);
    return NULL;
}

static bool fail(struct json_event *parsed, const char *name, const char *what)
{
    snprintf(parsed->fault, sizeof(parsed->fault), "\"%s\" %s", name, what);
    return false;
}

/* A text of the line as it may stand in a message: shortened between two characters, and without
 * control characters. */
struct shown {
    char text[128];
};

static struct shown show(const char *text)
{
    struct shown shown = {.text = ""};
    const size_t max = sizeof(shown.text) - sizeof("...");
    const size_t length = strlen(text);
    const size_t size = length > max ? line_part_size(text, max) : length;

    for (size_t i = 0; i < size; i++)
        shown.text[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? '?' : text[i];
    if (length > max)
        memcpy(shown.text + size, "...", sizeof("..."));
    return shown;
}

static struct tributary_bytes text_of(const json_t *string)
{
    return (struct tributary_bytes){json_string_value(string), json_string_length(string)};
}

static bool get_text(struct json_event *parsed, const char *name, struct tributary_bytes *text_out)
{
    const json_t *value = json_object_get(parsed->json, name);

    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value))
        return fail(parsed, name, "is not a string");
    *text_out = text_of(value);
    return true;
}

static bool get_moment(struct json_event *parsed, const char *name, uint64_t *unix_nano_out)
{
    const json_t *value = json_object_get(parsed->json, name);

    if (!value || json_is_null(value))
        return true;
    if (json_is_integer(value) && json_integer_value(value) >= 0 &&
        moment_of_number((uint64_t)json_integer_value(value), unix_nano_out))
        return true;
    if (json_is_string(value) && moment_parse(json_string_value(value), unix_nano_out))
        return true;

    char *text = json_dumps(value, JSON_ENCODE_ANY);

    snprintf(
        parsed->fault, sizeof(parsed->fault),
        "\"%s\": %s is neither an RFC 3339 moment from 1970 to 2554 nor nanoseconds since 1970, from 2001 "
        "on",
        name, show(text ? text : "").text);
    free(text);
    return false;
}

/* Of a stored topic's event the producer is its origin: a topic publishes nothing itself. */
static bool get_producer(struct json_event *parsed)
{
    struct tributary_bytes origin = {NULL, 0};
    struct fault fault = {0};

    if (!get_text(parsed, "producer", &parsed->producer) || !get_text(parsed, "origin", &origin))
        return false;
    if (origin.size > 0)
        parsed->producer = origin;
    if (parsed->producer.size > 0 && name_check((struct bytes){parsed->producer.data, parsed->producer.size},
                                                "producer", MAX_PRODUCER_BYTES, &fault) != FAULT_NONE)
        return fail(parsed, "producer", "is no name: 1 to 256 bytes of UTF-8 without control characters");
    return true;
}

static bool get_headers(struct json_event *parsed)
{
    json_t *headers = json_object_get(parsed->json, "headers");
    const char *name = NULL;
    json_t *value = NULL;
    size_t count = 0;

    if (!headers || json_is_null(headers))
        return true;
    if (!json_is_object(headers))
        return fail(parsed, "headers", "is not an object");
    parsed->headers = calloc(json_object_size(headers) + 1, sizeof(*parsed->headers));
    if (!parsed->headers)
        return fail(parsed, "headers", "do not fit into memory");
    json_object_foreach(headers, name, value) {
        if (!json_is_string(value)) {
            snprintf(parsed->fault, sizeof(parsed->fault), "\"headers\": the value of \"%s\" is not a string",
                     show(name).text);
            return false;
        }
        parsed->headers[count++] = (struct tributary_header){tributary_text(name), text_of(value)};
    }
    parsed->event.headers = parsed->headers;
    parsed->event.header_count = count;
    return true;
}

/* The end of the JSON value that begins here, in a text that is valid JSON. */
static const char *value_end(const char *next, const char *end)
{
    unsigned depth = 0;
    bool in_string = false;

    for (; next < end; next++) {
        if (in_string) {
            if (*next == '\\')
                next++;
            else if (*next == '"')
                in_string = false;
            if (!in_string && depth == 0)
                return next + 1;
        } else if (*next == '"') {
            in_string = true;
        } else if (*next == '{' || *next == '[') {
            depth++;
        } else if (*next == '}' || *next == ']') {
            if (depth == 0)
                return next; /* of the object around a number or a word */
            if (--depth == 0)
                return next + 1;
        } else if (depth == 0 && strchr(", \t\r\n", *next)) {
            return next;
        }
    }
    return end;
}

static const char *skip(const char *next, const char *end, const char *letters)
{
    while (next < end && *next != '\0' && strchr(letters, *next))
        next++;
    return next;
}

/* The text of the member "data" of a line that is a JSON object. Empty: its name is written with
 * escapes. */
static struct tributary_bytes raw_data(const char *line, size_t size)
{
    static const char name[] = "\"data\"";
    const char *const end = line + size;
    const char *next = skip(line, end, " \t\r\n{");

    while (next < end && *next == '"') {
        const char *after = value_end(next, end);
        const bool is_data =
            (size_t)(after - next) == sizeof(name) - 1 && memcmp(next, name, sizeof(name) - 1) == 0;
        const char *value = skip(after, end, " \t\r\n:");

        after = value_end(value, end);
        if (is_data)
            return (struct tributary_bytes){value, (size_t)(after - value)};
        next = skip(after, end, " \t\r\n,");
    }
    return (struct tributary_bytes){NULL, 0};
}

/* Data that is an object, an array, a number or a boolean is taken as the JSON that it is, byte by
 * byte. */
static bool get_json_data(struct json_event *parsed, const json_t *data, struct tributary_bytes line)
{
    const struct tributary_bytes raw = raw_data(line.data, line.size);
    char *text = raw.size == 0 ? json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    if (raw.size > 0)
        buf_bytes(&parsed->data, raw.data, raw.size);
    else if (text)
        buf_text(&parsed->data, text);
    if ((raw.size == 0 && !text) || parsed->data.broken)
        return fail(parsed, "data", "does not fit into memory");
    free(text);
    parsed->event.data = (struct tributary_bytes){parsed->data.data, parsed->data.size};
    if (parsed->event.content_type.size == 0)
        parsed->event.content_type = tributary_text("application/json");
    return true;
}

static bool get_data(struct json_event *parsed, struct tributary_bytes line)
{
    const json_t *base64 = json_object_get(parsed->json, "data_base64");
    const json_t *data = json_object_get(parsed->json, "data");

    if ((!base64 || json_is_null(base64)) && data && !json_is_null(data) && !json_is_string(data))
        return get_json_data(parsed, data, line);
    if (!base64 || json_is_null(base64))
        return get_text(parsed, "data", &parsed->event.data);
    if (json_object_get(parsed->json, "data"))
        return fail(parsed, "data_base64", "comes together with \"data\"");
    if (!json_is_string(base64) ||
        !base64_read(&parsed->data, json_string_value(base64), json_string_length(base64)))
        return fail(parsed, "data_base64", "is not base64");
    parsed->event.data = (struct tributary_bytes){parsed->data.data, parsed->data.size};
    return true;
}

static bool is_known(const char *name)
{
    static const char *const known[] = {
        "id",       "topic",   "key",           "type",    "content_type", "headers",
        "time",     "expires", "deliver_after", "data",    "data_base64",  "producer",
        "sequence", "epoch",   "observed",      "attempt", "origin"};

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(name, known[i]) == 0)
            return true;
    return false;
}

static bool check_members(struct json_event *parsed, uint64_t *ignored)
{
    const char *name = NULL;
    json_t *value = NULL;

    json_object_foreach(parsed->json, name, value) {
        if (is_known(name))
            continue;
        if (!ignored) {
            snprintf(parsed->fault, sizeof(parsed->fault), "\"%s\" is unknown (--ignore-unknown)",
                     show(name).text);
            return false;
        }
        ++*ignored;
    }
    return true;
}

bool json_event_read(struct json_event *parsed, const char *line, size_t size, uint64_t *ignored)
{
    struct tributary_event *event = &parsed->event;
    json_error_t error;

    json_event_fini(parsed);
    if (size >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        line += 3;
        size -= 3;
    }
    parsed->json = json_loadb(line, size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (!parsed->json) {
        snprintf(parsed->fault, sizeof(parsed->fault), "%s (column %d)", show(error.text).text, error.column);
        return false;
    }
    if (!json_is_object(parsed->json)) {
        snprintf(parsed->fault, sizeof(parsed->fault), "not a JSON object");
        return false;
    }
    return check_members(parsed, ignored) && get_producer(parsed) && get_text(parsed, "id", &event->id) &&
           get_text(parsed, "topic", &event->topic) && get_text(parsed, "key", &event->key) &&
           get_text(parsed, "type", &event->type) && get_text(parsed, "content_type", &event->content_type) &&
           get_headers(parsed) && get_moment(parsed, "time", &event->time_unix_nano) &&
           get_moment(parsed, "expires", &event->expires_unix_nano) &&
           get_moment(parsed, "deliver_after", &event->deliver_after_unix_nano) &&
           get_data(parsed, (struct tributary_bytes){line, size});
}

void json_event_fini(struct json_event *parsed)
{
    json_decref(parsed->json);
    free(parsed->headers);
    buf_fini(&parsed->data);
    *parsed = (struct json_event){0};
}
