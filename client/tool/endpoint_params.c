/* endpoint_params.c - see endpoint_params.h. The server checks all of this again; here it is
 * checked before anything is sent, with the name of the option. */
#include "client/tool/endpoint_params.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/quantity.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/file_bytes.h"
#include "event/field_path.h"
#include "event/serve_entry.h"
#include "event/text.h"

#define MAX_PRODUCER_NAME_BYTES 256u
#define MAX_AUTHORITY_BYTES 256u
#define MAX_TLS_NAME_BYTES 64u
#define MAX_LABEL_BYTES 256u
#define MAX_SET_NAME_BYTES 192u /* with --each-address */
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789-_."
#define DEFAULT_MAX_BACKOFF_NS (30 * NS_PER_S)

/* Whether the text is ASCII from `first` to '~' throughout. */
static bool is_ascii(const char *text, char first)
{
    for (const char *letter = text; *letter != '\0'; letter++) {
        if (*letter < first || *letter > '~')
            return false;
    }
    return true;
}

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

#define WRONG(...) (snprintf(fault, PLACE_FAULT_CAPACITY, __VA_ARGS__), false)

/* What may stand before HOST:PORT, what then must follow, and how that is written. */
static const struct scheme {
    const char *prefix;
    enum place_kind kind;
    const char *form;
} schemes[] = {
    {"dns:///", PLACE_NAME, "HOST:PORT"},
    {"dns:", PLACE_NAME, "HOST:PORT"},
    {"ipv4:", PLACE_IPV4, "A.B.C.D:PORT"},
    {"ipv6:", PLACE_IPV6, "[V6]:PORT"},
};

/* NULL: the address has none. */
static const struct scheme *scheme_of(const char *address)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (begins_with(address, schemes[i].prefix))
            return &schemes[i];
    }
    return NULL;
}

/* Whether the place is what the scheme says. An IP address is a host, too. */
static bool is_of_scheme(const struct place *place, const struct scheme *scheme)
{
    if (scheme->kind == PLACE_NAME)
        return place->kind != PLACE_UNIX && place->kind != PLACE_ABSTRACT;
    return place->kind == scheme->kind;
}

bool endpoint_address_is_valid(const char *address, char fault[PLACE_FAULT_CAPACITY])
{
    const struct scheme *scheme = scheme_of(address);
    const char *host = address + (scheme ? strlen(scheme->prefix) : 0);
    const char *bracket = strrchr(host, ']');
    struct place place;

    /* "unix:///a" is a URI of "unix:/a". */
    if (!scheme && begins_with(host, "unix:///"))
        return strlen(host + strlen("unix://")) <= PLACE_MAX_UNIX_BYTES ||
               WRONG("the path of a socket has 1 to %u bytes", PLACE_MAX_UNIX_BYTES);
    if (!place_parse(host, PLACE_CONNECT, &place, fault))
        return false;
    if (scheme && !is_of_scheme(&place, scheme))
        return WRONG("behind '%s' comes %s", scheme->prefix, scheme->form);
    if (place.port != 0 && !strchr(bracket ? bracket : host, ':'))
        return WRONG("the port is missing: port 1 to 65535");
    return true;
}

static int read_name(const struct verb *verb, const char *name, struct tributary_endpoint *endpoint)
{
    if (name[0] == '\0' || strlen(name) > MAX_PRODUCER_NAME_BYTES)
        return cli_wrong(verb, "the name '%.60s' has %zu bytes: 1 to %u", name, strlen(name),
                         MAX_PRODUCER_NAME_BYTES);
    if (name[0] == '@')
        return cli_wrong(verb, "the name '%.60s' must not begin with '@'", name);
    if (text_printable(text_bytes(name)) != FAULT_NONE)
        return cli_wrong(verb, "the name '%.60s' must be UTF-8 without control characters", name);
    endpoint->name = name;
    return EXITS_OK;
}

static int read_address(const struct verb *verb, const char *address, struct tributary_endpoint *endpoint)
{
    char fault[PLACE_FAULT_CAPACITY];

    if (!endpoint_address_is_valid(address, fault))
        return cli_wrong(verb, "the address '%.120s': %s", address, fault);
    endpoint->address = address;
    return EXITS_OK;
}

/* The first '/' may be left out. */
static int read_method(const struct verb *verb, const char *method, struct endpoint_texts *texts)
{
    const char *path = method[0] == '/' ? method + 1 : method;
    const char *slash = strchr(path, '/');

    if (strlen(path) >= MAX_METHOD_BYTES)
        return cli_wrong(verb, "the method '%.60s' has %zu bytes with its first '/': at most %u", method,
                         strlen(path) + 1, MAX_METHOD_BYTES);
    if (!slash || slash == path || slash[1] == '\0' || strchr(slash + 1, '/') || !is_ascii(path, '!'))
        return cli_wrong(verb,
                         "the method '%s' must be /PACKAGE.SERVICE/METHOD, such as "
                         "/grpc.health.v1.Health/Watch",
                         method);
    snprintf(texts->method, sizeof(texts->method), "/%s", path);
    texts->endpoint.method = texts->method;
    return EXITS_OK;
}

/* Splits texts NAME=VALUE of an option. An error does not show a value: it may be a secret. */
static int read_pairs(const struct verb *verb, const char *option, const struct text_list *list, size_t max,
                      struct tributary_label *pairs, struct endpoint_texts *texts)
{
    if (list->count > max)
        return cli_wrong(verb, "--%s: %zu of them are over %zu", option, list->count, max);
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i];
        const size_t size = strcspn(text, "=");

        if (size == 0 || text[size] == '\0')
            return cli_wrong(verb, "--%s '%.60s': must be NAME=VALUE", option, size == 0 ? "=..." : text);

        char *name = strndup(text, size);

        if (!name) {
            fprintf(stderr, "tributary: out of memory\n");
            return EXITS_ERROR;
        }
        texts->names[texts->name_count++] = name;
        pairs[i] = (struct tributary_label){name, text + size + 1};
        for (size_t j = 0; j < i; j++) {
            if (strcmp(pairs[j].name, name) == 0)
                return cli_wrong(verb, "--%s '%.60s': once only", option, name);
        }
    }
    return EXITS_OK;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t size = strlen(text);

    return size >= strlen(end) && strcmp(text + size - strlen(end), end) == 0;
}

/* Names that gRPC sets itself, or that would change what a call is. */
static bool is_reserved(const char *name)
{
    static const char *const names[] = {"te",         "host",       "connection", "content-type",
                                        "user-agent", "keep-alive", "upgrade",    "transfer-encoding"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return begins_with(name, "grpc-");
}

/* What is wrong with a pair of metadata. NULL: nothing. */
static const char *metadata_fault(const struct tributary_label *pair)
{
    if (strspn(pair->name, NAME_LETTERS) != strlen(pair->name))
        return "the name has small letters, digits, '-', '_' and '.' only";
    if (is_reserved(pair->name))
        return "gRPC sets this name itself";
    if (ends_with(pair->name, "-bin"))
        return "names that end in '-bin' have values that are no text";
    return is_ascii(pair->value, ' ') ? NULL : "the value must be printable ASCII";
}

static int read_metadata(const struct verb *verb, const struct text_list *list, struct endpoint_texts *texts)
{
    int result = read_pairs(verb, "metadata", list, MAX_ENDPOINT_METADATA, texts->metadata, texts);
    size_t bytes = 0;

    for (size_t i = 0; i < list->count && result == EXITS_OK; i++) {
        const struct tributary_label *pair = &texts->metadata[i];
        const char *fault = metadata_fault(pair);

        bytes += strlen(pair->name) + strlen(pair->value);
        if (fault)
            return cli_wrong(verb, "--metadata '%.60s': %s", pair->name, fault);
        if (bytes > MAX_METADATA_BYTES)
            return cli_wrong(verb, "--metadata '%.60s': names and values have over %u bytes together",
                             pair->name, MAX_METADATA_BYTES);
    }
    texts->endpoint.metadata = texts->metadata;
    texts->endpoint.metadata_count = list->count;
    return result;
}

static int read_labels(const struct verb *verb, const struct text_list *list, struct endpoint_texts *texts)
{
    int result = read_pairs(verb, "label", list, MAX_PAIRS, texts->labels, texts);

    for (size_t i = 0; i < list->count && result == EXITS_OK; i++) {
        const struct tributary_label *pair = &texts->labels[i];

        if (strlen(pair->name) > MAX_LABEL_BYTES || strlen(pair->value) > MAX_LABEL_BYTES)
            return cli_wrong(verb, "--label '%.60s': name and value have at most %u bytes each", pair->name,
                             MAX_LABEL_BYTES);
        if (text_printable(text_bytes(pair->name)) != FAULT_NONE ||
            text_printable(text_bytes(pair->value)) != FAULT_NONE)
            return cli_wrong(verb, "--label '%.60s': must be UTF-8 without control characters", pair->name);
    }
    texts->endpoint.labels = texts->labels;
    texts->endpoint.label_count = list->count;
    return result;
}

static int read_authority(const struct verb *verb, const char *authority, struct tributary_endpoint *endpoint)
{
    endpoint->authority = authority;
    if (!authority)
        return EXITS_OK;
    if (authority[0] == '\0' || strlen(authority) > MAX_AUTHORITY_BYTES)
        return cli_wrong(verb, "--authority '%.60s': 1 to %u bytes", authority, MAX_AUTHORITY_BYTES);
    return is_ascii(authority, '!')
               ? EXITS_OK
               : cli_wrong(verb, "--authority '%s': must be printable ASCII without spaces", authority);
}

/* The server knows which settings it has. */
static int read_tls(const struct verb *verb, const char *name, struct tributary_endpoint *endpoint)
{
    endpoint->tls = name;
    if (!name || (name[0] != '\0' && strlen(name) <= MAX_TLS_NAME_BYTES && is_ascii(name, '!')))
        return EXITS_OK;
    return cli_wrong(verb, "--tls '%.60s': the name of a TLS setting of the server, 1 to %u bytes", name,
                     MAX_TLS_NAME_BYTES);
}

static int read_each_address(const struct verb *verb, const struct endpoint_params *params,
                             struct tributary_endpoint *endpoint)
{
    endpoint->each_address = params->each_address;
    endpoint->resolve_period_ns = params->resolve_period_ns;
    if (!params->each_address)
        return params->resolve_period_ns == 0
                   ? EXITS_OK
                   : cli_wrong(verb, "--resolve-period is for --each-address only");
    if (strlen(endpoint->name) > MAX_SET_NAME_BYTES)
        return cli_wrong(verb, "the name '%.60s' has %zu bytes: 1 to %u with --each-address", endpoint->name,
                         strlen(endpoint->name), MAX_SET_NAME_BYTES);
    return EXITS_OK;
}

/* "3", or "1.3.2". */
static int read_path(const struct verb *verb, const char *option, const char *text, const char **path_out)
{
    struct field_path path;

    *path_out = text;
    return !text || field_path_parse(text, &path)
               ? EXITS_OK
               : cli_wrong(verb, "--%s '%.100s': 1 to %u field numbers, such as 3 or 1.3.2", option, text,
                           FIELD_PATH_DEPTH);
}

/* The server checks the keys of metadata. */
static int read_serve(const struct verb *verb, const struct endpoint_params *params,
                      struct tributary_endpoint *endpoint)
{
    if (params->serve.count > MAX_SERVE_ENTRIES)
        return cli_wrong(verb, "--serve: %zu of them are over %u", params->serve.count, MAX_SERVE_ENTRIES);
    for (size_t i = 0; i < params->serve.count; i++) {
        struct serve_entry entry;
        const char *wrong = serve_entry_read(text_bytes(params->serve.items[i]), &entry);

        if (wrong)
            return cli_wrong(verb, "--serve '%.60s': %s", params->serve.items[i], wrong);
    }
    if (params->serve.count == 0 && params->serve_requests.count + params->serve_answers.count > 0)
        return cli_wrong(verb, "--serve-request-metadata and --serve-answer-metadata are for --serve only");
    endpoint->serve = params->serve.items;
    endpoint->serve_count = params->serve.count;
    endpoint->serve_request_metadata = params->serve_requests.items;
    endpoint->serve_request_metadata_count = params->serve_requests.count;
    endpoint->serve_answer_metadata = params->serve_answers.items;
    endpoint->serve_answer_metadata_count = params->serve_answers.count;
    return EXITS_OK;
}

/* The server checks what is in the file. */
static int read_descriptors(const struct verb *verb, const char *path, struct endpoint_texts *texts)
{
    struct tributary_endpoint *endpoint = &texts->endpoint;
    struct buf *bytes = &texts->descriptors;

    if (!path)
        return EXITS_OK;
    if (endpoint->serve_count == 0)
        return cli_wrong(verb, "--descriptors is for --serve only");
    if (!file_bytes_read(path, MAX_DESCRIPTORS_BYTES, bytes))
        return EXITS_ERROR;
    if (bytes->size == 0 || bytes->size > MAX_DESCRIPTORS_BYTES)
        return cli_wrong(verb, "--descriptors '%.60s': must have 1 to %u bytes", path, MAX_DESCRIPTORS_BYTES);
    endpoint->descriptor_set = (struct tributary_bytes){bytes->data, bytes->size};
    return EXITS_OK;
}

static int read_times(const struct verb *verb, const struct endpoint_params *params,
                      struct tributary_endpoint *endpoint)
{
    const int64_t max_ns = params->max_backoff_ns > 0 ? params->max_backoff_ns : DEFAULT_MAX_BACKOFF_NS;
    char given[QUANTITY_TEXT_CAPACITY];
    char max[QUANTITY_TEXT_CAPACITY];

    endpoint->backoff_ns = params->backoff_ns;
    endpoint->max_backoff_ns = params->max_backoff_ns;
    endpoint->connect_timeout_ns = params->connect_timeout_ns;
    endpoint->first_message_timeout_ns = params->first_message_timeout_ns;
    endpoint->idle_timeout_ns = params->idle_timeout_ns;
    if (params->backoff_ns <= max_ns)
        return EXITS_OK;
    quantity_text(QUANTITY_DURATION, (uint64_t)params->backoff_ns, given);
    quantity_text(QUANTITY_DURATION, (uint64_t)max_ns, max);
    return cli_wrong(verb, "--backoff '%s': must not be over --max-backoff, which is %s", given, max);
}

/* The number in admin.proto. 0: the default. */
static unsigned choice(unsigned given)
{
    return given == ENDPOINT_NOT_GIVEN ? 0 : given + 1;
}

int endpoint_params_read(const struct verb *verb, const struct endpoint_params *params,
                         const struct text_list *arguments, struct endpoint_texts *texts)
{
    struct tributary_endpoint *endpoint = &texts->endpoint;
    int result = read_name(verb, arguments->items[0], endpoint);

    endpoint->half_close = (enum tributary_endpoint_half_close)choice(params->half_close);
    endpoint->activation = (enum tributary_endpoint_activation)choice(params->activation);
    endpoint->restart = (enum tributary_endpoint_restart)choice(params->restart);
    endpoint->decode = (enum tributary_endpoint_decode)choice(params->decode);
    if (result == EXITS_OK)
        result = read_address(verb, arguments->items[1], endpoint);
    if (result == EXITS_OK && arguments->count > 2)
        result = read_method(verb, arguments->items[2], texts);
    if (result == EXITS_OK)
        result = read_metadata(verb, &params->metadata, texts);
    if (result == EXITS_OK)
        result = read_labels(verb, &params->labels, texts);
    if (result == EXITS_OK)
        result = read_authority(verb, params->authority, endpoint);
    if (result == EXITS_OK)
        result = read_tls(verb, params->tls, endpoint);
    if (result == EXITS_OK)
        result = read_each_address(verb, params, endpoint);
    if (result == EXITS_OK)
        result = read_path(verb, "key-field", params->key_field, &endpoint->key_field);
    if (result == EXITS_OK)
        result = read_path(verb, "time-field", params->time_field, &endpoint->time_field);
    endpoint->history_events = (uint32_t)params->history_events;
    endpoint->history_bytes = params->history_bytes;
    if (result == EXITS_OK)
        result = read_serve(verb, params, endpoint);
    if (result == EXITS_OK)
        result = read_descriptors(verb, params->descriptors, texts);
    if (result == EXITS_OK)
        result = read_times(verb, params, endpoint);
    if (result == EXITS_OK)
        result = endpoint_requests_read(verb, &params->requests, &texts->requests);
    endpoint->requests = texts->requests.items;
    endpoint->request_count = texts->requests.count;
    return result;
}

void endpoint_texts_fini(struct endpoint_texts *texts)
{
    for (size_t i = 0; i < texts->name_count; i++)
        free(texts->names[i]);
    endpoint_requests_fini(&texts->requests);
    buf_fini(&texts->descriptors);
}
