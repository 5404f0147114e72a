/* batch_json.c - see batch_json.h. */
#include "client/tool/batch_json.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "client/tool/event_json.h"
#include "event/text.h"

#define NAME_CAPACITY 32u
#define MAX_RESOURCE_BYTES ((size_t)64 << 20)

static const char *encoded_name(const char *name, char text[NAME_CAPACITY])
{
    snprintf(text, NAME_CAPACITY, "%s_base64", name);
    return text;
}

/* ---- writing ---- */

bool batch_json_put(json_t *object, const char *name, struct tributary_bytes bytes)
{
    char encoded[NAME_CAPACITY];
    struct buf text = {0};

    if (bytes.size == 0)
        return json_object_set_new(object, name, json_string("")) == 0;
    if (utf8_valid((struct bytes){bytes.data, bytes.size}))
        return json_object_set_new(object, name, json_stringn(bytes.data, bytes.size)) == 0;
    base64_write(&text, bytes.data, bytes.size);
    const bool done =
        !text.broken && json_object_set_new(object, encoded_name(name, encoded),
                                            json_stringn((const char *)text.data, text.size)) == 0;
    buf_fini(&text);
    return done;
}

static json_t *operation_json(const struct tributary_worker_operation *operation)
{
    json_t *object = json_object();

    if (object &&
        (operation->operation_id.size == 0 || batch_json_put(object, "id", operation->operation_id)) &&
        batch_json_put(object, "data", operation->data))
        return object;
    json_decref(object);
    return NULL;
}

static int append(const char *text, size_t size, void *ctx)
{
    struct buf *out = ctx;

    buf_bytes(out, text, size);
    return out->broken ? -1 : 0;
}

static bool fill(json_t *object, const struct batch_document *document)
{
    json_t *operations = json_array();

    if (!batch_json_put(object, "processor", tributary_text(document->processor)) ||
        !batch_json_put(object, "key", document->key) ||
        !(document->has_resource ? batch_json_put(object, "resource", document->resource)
                                 : json_object_set_new(object, "resource", json_null()) == 0) ||
        json_object_set_new(object, "operations", operations) != 0)
        return false;
    for (size_t i = 0; i < document->count; i++)
        if (json_array_append_new(operations, operation_json(document->operations[i])) != 0)
            return false;
    return true;
}

bool batch_document_write(const struct batch_document *document, struct buf *out)
{
    json_t *object = json_object();
    const bool done =
        object && fill(object, document) && json_dump_callback(object, append, out, JSON_COMPACT) == 0;

    json_decref(object);
    buf_byte(out, '\n');
    return done && !out->broken;
}

/* ---- reading ---- */

static bool fail(char fault[BATCH_FAULT_CAPACITY], const char *format, ...) PRINTF_LIKE(2, 3);
static bool fail(char fault[BATCH_FAULT_CAPACITY], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(fault, BATCH_FAULT_CAPACITY, format, arguments);
    va_end(arguments);
    for (char *letter = fault; *letter; letter++)
        if ((unsigned char)*letter < ' ' || *letter == 0x7f)
            *letter = '?';
    return false;
}

static bool get_base64(const json_t *value, const char *name, struct buf *text,
                       struct tributary_bytes *bytes_out, char fault[BATCH_FAULT_CAPACITY])
{
    buf_clear(text);
    if (!json_is_string(value) || !base64_read(text, json_string_value(value), json_string_length(value)))
        return fail(fault, "\"%s\" is not base64", name);
    *bytes_out = (struct tributary_bytes){text->data, text->size};
    return true;
}

bool batch_json_get(const json_t *object, const char *name, struct buf *text,
                    struct tributary_bytes *bytes_out, char fault[BATCH_FAULT_CAPACITY])
{
    char encoded[NAME_CAPACITY];
    const json_t *value = json_object_get(object, name);
    const json_t *base64 = json_object_get(object, encoded_name(name, encoded));

    *bytes_out = (struct tributary_bytes){NULL, 0};
    if (base64)
        return value ? fail(fault, "\"%s\" comes together with \"%s\"", encoded, name)
                     : get_base64(base64, encoded, text, bytes_out, fault);
    if (!value || json_is_null(value))
        return true;
    if (json_is_string(value)) {
        *bytes_out = (struct tributary_bytes){json_string_value(value), json_string_length(value)};
        return true;
    }
    buf_clear(text);
    if (json_dump_callback(value, append, text, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        return fail(fault, "\"%s\" does not fit into memory", name);
    *bytes_out = (struct tributary_bytes){text->data, text->size};
    return true;
}

bool batch_json_has_only(const json_t *object, const char *const *names, const char *what,
                         char fault[BATCH_FAULT_CAPACITY])
{
    const char *name = NULL;
    json_t *value = NULL;

    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        size_t i = 0;

        while (names[i] && strcmp(names[i], name) != 0)
            i++;
        if (!names[i])
            return fail(fault, "%s has an unknown member \"%.64s\"", what, name);
    }
    return true;
}

static bool get_code(const json_t *value, enum tributary_code *code_out)
{
    if (!value) {
        *code_out = TRIBUTARY_UNKNOWN;
        return true;
    }
    for (unsigned code = TRIBUTARY_CANCELLED; code <= TRIBUTARY_UNAUTHENTICATED; code++) {
        if (json_is_integer(value)
                ? json_integer_value(value) == (json_int_t)code
                : json_is_string(value) && strcmp(json_string_value(value), tributary_code_name(code)) == 0) {
            *code_out = code;
            return true;
        }
    }
    return false;
}

/* A text that may be missing. */
static bool get_text(const json_t *object, const char *name, size_t max, const char **text_out)
{
    const json_t *value = json_object_get(object, name);

    *text_out = value ? json_string_value(value) : "";
    return *text_out && strlen(*text_out) == (value ? json_string_length(value) : 0) &&
           strlen(*text_out) <= max;
}

static bool read_error(const json_t *error, struct batch_answer_result *result, size_t number,
                       char fault[BATCH_FAULT_CAPACITY])
{
    static const char *const names[] = {"code", "message", "reason", NULL};

    if (!json_is_object(error))
        return fail(fault, "\"error\" of result %zu is not an object", number);
    if (!batch_json_has_only(error, names, "\"error\"", fault))
        return false;
    if (!get_code(json_object_get(error, "code"), &result->code))
        return fail(fault,
                    "\"code\" of result %zu is neither the name nor the number (1 to 16) of a status code",
                    number);
    if (!get_text(error, "message", 500, &result->message))
        return fail(fault, "\"message\" of result %zu is not a string of at most 500 bytes", number);
    return get_text(error, "reason", 63, &result->reason) ||
           fail(fault, "\"reason\" of result %zu is not a string of at most 63 bytes", number);
}

static bool read_result(const json_t *value, struct batch_answer_result *result, size_t number,
                        char fault[BATCH_FAULT_CAPACITY])
{
    static const char *const names[] = {"data", "data_base64", "error", NULL};
    const json_t *error = json_object_get(value, "error");

    result->reason = "";
    result->message = "";
    if (!json_is_object(value))
        return fail(fault, "result %zu is not an object", number);
    if (!batch_json_has_only(value, names, "a result", fault))
        return false;
    if (error && json_object_size(value) > 1)
        return fail(fault, "result %zu has both data and an error", number);
    if (error)
        return read_error(error, result, number, fault);
    if (!batch_json_get(value, "data", &result->text, &result->data, fault))
        return false;
    return result->data.size <= TRIBUTARY_MAX_RESULT_BYTES ||
           fail(fault, "\"data\" of result %zu has %zu bytes, at most %u are allowed", number,
                result->data.size, TRIBUTARY_MAX_RESULT_BYTES);
}

static bool read_resource(struct batch_answer *answer)
{
    const json_t *value = json_object_get(answer->json, "resource");

    answer->change = json_is_null(value)                                         ? BATCH_REMOVED
                     : value || json_object_get(answer->json, "resource_base64") ? BATCH_REPLACED
                                                                                 : BATCH_UNCHANGED;
    if (!batch_json_get(answer->json, "resource", &answer->text, &answer->resource, answer->fault))
        return false;
    return answer->resource.size <= MAX_RESOURCE_BYTES ||
           fail(answer->fault, "\"resource\" has %zu bytes, at most %zu are allowed", answer->resource.size,
                MAX_RESOURCE_BYTES);
}

bool batch_answer_read(struct batch_answer *answer, const char *text, size_t size, size_t count)
{
    static const char *const names[] = {"resource", "resource_base64", "results", NULL};
    const json_t *results;
    json_error_t error;

    *answer = (struct batch_answer){.change = BATCH_UNCHANGED};
    answer->json = json_loadb(text, size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (!answer->json)
        return fail(answer->fault, "it is no JSON: %s (line %d, column %d)", error.text, error.line,
                    error.column);
    if (!json_is_object(answer->json))
        return fail(answer->fault, "it is not a JSON object");
    results = json_object_get(answer->json, "results");
    if (!json_is_array(results))
        return fail(answer->fault, "it has no array \"results\"");
    if (json_array_size(results) != count)
        return fail(answer->fault, "it has %zu results for %zu operations", json_array_size(results), count);
    if (!batch_json_has_only(answer->json, names, "it", answer->fault) || !read_resource(answer))
        return false;
    answer->results = calloc(count + 1, sizeof(*answer->results));
    if (!answer->results)
        return fail(answer->fault, "it does not fit into memory");
    answer->count = count;
    for (size_t i = 0; i < count; i++)
        if (!read_result(json_array_get(results, i), &answer->results[i], i + 1, answer->fault))
            return false;
    return true;
}

void batch_answer_fini(struct batch_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        buf_fini(&answer->results[i].text);
    free(answer->results);
    buf_fini(&answer->text);
    json_decref(answer->json);
}
