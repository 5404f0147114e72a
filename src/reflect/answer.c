/* answer.c - see answer.h. */
#include "reflect/answer.h"

#include "event/field_reader.h"
#include "event/field_write.h"
#include "proto/field_numbers.h"

/* Of a name in an error message. */
#define MAX_QUOTED_BYTES 64u

const char *const reflection_methods[REFLECTION_METHODS] = {
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
};

/* ---- requests ---- */

/* Field numbers for what is wanted. */
static const uint32_t numbers[] = {
    [REFLECTION_SERVICES] = PB_REFLECTION_SERVER_REFLECTION_REQUEST_LIST_SERVICES,
    [REFLECTION_FILE] = PB_REFLECTION_SERVER_REFLECTION_REQUEST_FILE_BY_FILENAME,
    [REFLECTION_SYMBOL] = PB_REFLECTION_SERVER_REFLECTION_REQUEST_FILE_CONTAINING_SYMBOL,
    [REFLECTION_EXTENSION] = PB_REFLECTION_SERVER_REFLECTION_REQUEST_FILE_CONTAINING_EXTENSION,
    [REFLECTION_EXTENSIONS] = PB_REFLECTION_SERVER_REFLECTION_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE,
};

static bool read_type(struct bytes extension, struct bytes *type_out)
{
    struct field_reader reader = field_reader_of(extension);

    *type_out = (struct bytes){NULL, 0};
    while (reader.next < reader.end) {
        struct field field = {0};

        if (!field_next(&reader, &field))
            return false;
        if (field.number == PB_REFLECTION_EXTENSION_REQUEST_CONTAINING_TYPE && field.type == WIRE_LEN)
            *type_out = field.bytes;
    }
    return true;
}

static bool read_field(const struct field *field, struct reflection_request *out)
{
    if (field->type != WIRE_LEN)
        return true;
    if (field->number == PB_REFLECTION_SERVER_REFLECTION_REQUEST_HOST)
        out->host = field->bytes;
    for (unsigned want = REFLECTION_SERVICES; want < ARRAY_LEN(numbers); want++) {
        if (field->number != numbers[want])
            continue;
        out->want = (enum reflection_want)want;
        out->name = field->bytes;
        return want != REFLECTION_EXTENSION || read_type(field->bytes, &out->name);
    }
    return true;
}

enum fault_reason reflection_request_read(struct bytes message, struct reflection_request *out,
                                          struct fault *fault)
{
    struct field_reader reader = field_reader_of(message);

    *out = (struct reflection_request){.want = REFLECTION_NOTHING};
    while (reader.next < reader.end) {
        struct field field = {0};

        if (!field_next(&reader, &field) || !read_field(&field, out))
            return fault_set(fault, FAULT_MALFORMED, "message", "a ServerReflectionRequest");
    }
    return FAULT_NONE;
}

void reflection_request_write(enum reflection_want want, struct bytes name, struct buf *message)
{
    field_bytes_always(message, numbers[want], name);
}

/* ---- answers ---- */

void reflection_write_head(struct bytes host, struct bytes request, struct buf *answer)
{
    field_bytes(answer, PB_REFLECTION_SERVER_REFLECTION_RESPONSE_VALID_HOST, host);
    field_bytes_always(answer, PB_REFLECTION_SERVER_REFLECTION_RESPONSE_ORIGINAL_REQUEST, request);
}

void reflection_add_service(struct bytes name, struct buf *services)
{
    struct buf service = {0};

    field_bytes(&service, PB_REFLECTION_SERVICE_RESPONSE_NAME, name);
    field_message(services, PB_REFLECTION_LIST_SERVICE_RESPONSE_SERVICE, &service);
}

void reflection_write_services(struct buf *services, struct buf *answer)
{
    field_message(answer, PB_REFLECTION_SERVER_REFLECTION_RESPONSE_LIST_SERVICES_RESPONSE, services);
}

static void add_file(void *ctx, struct bytes proto)
{
    field_bytes_always(ctx, PB_REFLECTION_FILE_DESCRIPTOR_RESPONSE_FILE_DESCRIPTOR_PROTO, proto);
}

void reflection_write_file(const struct descriptors *descriptors, size_t file, struct buf *answer)
{
    struct buf files = {0};

    descriptors_needs(descriptors, file, add_file, &files);
    field_message(answer, PB_REFLECTION_SERVER_REFLECTION_RESPONSE_FILE_DESCRIPTOR_RESPONSE, &files);
}

/* Extensions are not indexed. For a known type the answer is an empty list. */
void reflection_write_extensions(struct bytes type, struct buf *answer)
{
    struct buf extensions = {0};

    field_bytes(&extensions, PB_REFLECTION_EXTENSION_NUMBER_RESPONSE_BASE_TYPE_NAME, type);
    field_message(answer, PB_REFLECTION_SERVER_REFLECTION_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE,
                  &extensions);
}

void reflection_write_error(enum fault_code code, const char *what, struct bytes name, struct buf *answer)
{
    char quoted[4 * MAX_QUOTED_BYTES + 6];
    struct buf error = {0};
    struct buf message = {0};

    quote_bytes(name, MAX_QUOTED_BYTES, quoted, sizeof(quoted));
    buf_format(&message, "%s: %s", what, quoted);
    field_varint(&error, PB_REFLECTION_ERROR_RESPONSE_ERROR_CODE, code);
    field_bytes(&error, PB_REFLECTION_ERROR_RESPONSE_ERROR_MESSAGE,
                (struct bytes){message.data, message.size});
    error.broken |= message.broken;
    field_message(answer, PB_REFLECTION_SERVER_REFLECTION_RESPONSE_ERROR_RESPONSE, &error);
    buf_fini(&message);
}

bool reflection_write_found(const struct descriptors *descriptors, const struct reflection_request *request,
                            struct buf *answer)
{
    const struct bytes name = request->name;
    size_t file;

    if ((request->want == REFLECTION_FILE && descriptors_file(descriptors, name, &file)) ||
        (request->want == REFLECTION_SYMBOL && descriptors_symbol(descriptors, name, &file))) {
        reflection_write_file(descriptors, file, answer);
        return true;
    }
    if (request->want == REFLECTION_EXTENSIONS && descriptors_is_message(descriptors, name)) {
        reflection_write_extensions(name, answer);
        return true;
    }
    return false;
}

void reflection_write_missing(const struct reflection_request *request, struct buf *answer)
{
    static const char *const texts[] = {[REFLECTION_NOTHING] = "a request must ask for something",
                                        [REFLECTION_SERVICES] = "no services",
                                        [REFLECTION_FILE] = "no such file",
                                        [REFLECTION_SYMBOL] = "no such symbol",
                                        [REFLECTION_EXTENSION] = "no extensions of this type",
                                        [REFLECTION_EXTENSIONS] = "no such message type"};

    reflection_write_error(request->want == REFLECTION_NOTHING ? CODE_INVALID_ARGUMENT : CODE_NOT_FOUND,
                           texts[request->want], request->name, answer);
}
