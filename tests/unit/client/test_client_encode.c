/* test_client_encode.c - another decoder reads what is written here, and everything that the server
 * would refuse is refused here. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/lib/core/batch.h"
#include "client/lib/core/encode.h"
#include "client/lib/core/numbering.h"
#include "tributary/tributary.h"
#include "event/framing.h"
#include "tributary/v1/publisher.pb-c.h"

static char long_text[MAX_VALUE_BYTES + 2];

static struct tributary_bytes long_of(size_t size)
{
    memset(long_text, 'a', sizeof(long_text) - 1);
    return (struct tributary_bytes){long_text, size};
}

/* The fault of the event; if there is none, the size must be event_size(). */
static const char *fault_of(const struct tributary_event *event)
{
    size_t size = SIZE_MAX;
    const char *fault = event_check(event, &size);

    cr_assert_eq(size, !fault ? event_size(event) : SIZE_MAX);
    return fault;
}

/* A batch with a producer's name before its events. */
static struct batch *batch_of(const char *producer)
{
    struct buf head = {0};

    field_text(&head, PB_PUBLISH_STREAM_REQUEST_PRODUCER, producer);

    struct batch *batch = batch_new((struct tributary_bytes){head.data, head.size}, 0);

    buf_fini(&head);
    return batch;
}

static Tributary__V1__PublishStreamRequest *decode(const struct batch *batch)
{
    Tributary__V1__PublishStreamRequest *request =
        tributary__v1__publish_stream_request__unpack(NULL, batch->size, batch->data);

    cr_assert_not_null(request);
    return request;
}

Test(client_encode, every_field_is_read_back_by_protobuf_c)
{
    const struct tributary_header headers[] = {{tributary_text("a"), tributary_text("1")},
                                               {tributary_text("b"), {NULL, 0}}};
    const struct tributary_event event = {
        .id = tributary_text("id"),
        .topic = tributary_text("topic"),
        .key = tributary_text("key"),
        .type = tributary_text("type"),
        .content_type = tributary_text("text/plain"),
        .data = {"a\0b", 3},
        .headers = headers,
        .header_count = 2,
        .time_unix_nano = UINT64_MAX,
        .expires_unix_nano = 2,
        .deliver_after_unix_nano = 0x0102030405060708,
    };
    struct batch *batch = batch_of("me");

    cr_assert(batch_add(batch, &event, event_size(&event)));

    Tributary__V1__PublishStreamRequest *request = decode(batch);
    const Tributary__V1__Event *read = request->events[0];

    cr_assert_str_eq(request->producer, "me");
    cr_assert_eq(request->n_events, 1);
    cr_assert_str_eq(read->id, "id");
    cr_assert_str_eq(read->topic, "topic");
    cr_assert_str_eq(read->key, "key");
    cr_assert_str_eq(read->type, "type");
    cr_assert_str_eq(read->content_type, "text/plain");
    cr_assert_eq(read->data.len, 3);
    cr_assert_arr_eq(read->data.data, "a\0b", 3);
    cr_assert_eq(read->n_headers, 2);
    cr_assert_str_eq(read->headers[0]->key, "a");
    cr_assert_str_eq(read->headers[0]->value, "1");
    cr_assert_str_eq(read->headers[1]->key, "b");
    cr_assert_str_eq(read->headers[1]->value, "");
    cr_assert_eq(read->time_unix_nano, UINT64_MAX);
    cr_assert_eq(read->expires_unix_nano, 2);
    cr_assert_eq(read->deliver_after_unix_nano, 0x0102030405060708);
    tributary__v1__publish_stream_request__free_unpacked(request, NULL);
    batch_release(batch);
}

Test(client_encode, an_empty_event_is_two_bytes)
{
    const struct tributary_event event = {.id = {NULL, 0}};

    cr_assert_eq(event_size(&event), 0);
    cr_assert_eq(event_field_size(0), 2);
}

Test(client_encode, sizes_around_the_length_of_a_length_are_exact)
{
    static const size_t sizes[] = {1,     124,   125,   126,   127,   128,   129,
                                   16380, 16381, 16382, 16383, 16384, 16385, 2097150};
    char *data = calloc(1, 2097152);

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        const struct tributary_event event = {.data = {data, sizes[i]}};
        struct batch *batch = batch_of(NULL);

        cr_assert(batch_add(batch, &event, event_size(&event)));
        cr_assert_eq(batch->size, event_field_size(event_size(&event)));

        Tributary__V1__PublishStreamRequest *request = decode(batch);

        cr_assert_eq(request->events[0]->data.len, sizes[i]);
        tributary__v1__publish_stream_request__free_unpacked(request, NULL);
        batch_release(batch);
    }
    free(data);
}

Test(client_encode, a_batch_holds_every_event_in_order)
{
    struct batch *batch = batch_of("p");
    char key[16];

    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "%d", i);

        const struct tributary_event event = {.key = tributary_text(key)};

        cr_assert(batch_add(batch, &event, event_size(&event)));
    }

    Tributary__V1__PublishStreamRequest *request = decode(batch);

    cr_assert_eq(request->n_events, 1000);
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(atoi(request->events[i]->key), i);
    tributary__v1__publish_stream_request__free_unpacked(request, NULL);
    batch_release(batch);
}

Test(client_encode, names_are_accepted_up_to_256_bytes)
{
    struct tributary_event event = {
        .topic = long_of(256), .key = long_of(256), .id = long_of(256), .type = long_of(256)};

    event.content_type = long_of(256);
    cr_assert_null(fault_of(&event));
    event.id.size = 257;
    cr_assert_str_eq(fault_of(&event), "id: over 256 bytes");
    event.id.size = 0;
    event.topic.size = 257;
    cr_assert_str_eq(fault_of(&event), "topic: over 256 bytes");
    event.topic.size = 0;
    event.key.size = 257;
    cr_assert_str_eq(fault_of(&event), "key: over 256 bytes");
    event.key.size = 0;
    event.type.size = 257;
    cr_assert_str_eq(fault_of(&event), "type: over 256 bytes");
    event.type.size = 0;
    event.content_type.size = 257;
    cr_assert_str_eq(fault_of(&event), "content_type: over 256 bytes");
}

Test(client_encode, bad_texts_are_refused_and_data_may_be_anything)
{
    cr_assert_not_null(fault_of(&(struct tributary_event){.topic = tributary_text("a\nb")}));
    cr_assert_not_null(fault_of(&(struct tributary_event){.type = tributary_text("\xff")}));
    cr_assert_not_null(fault_of(&(struct tributary_event){.key = {"a\0b", 3}}));
    cr_assert_not_null(fault_of(&(struct tributary_event){.id = tributary_text("\xc0\x80")}));
    cr_assert_null(fault_of(&(struct tributary_event){.key = tributary_text("a\nb")}));
    cr_assert_null(fault_of(&(struct tributary_event){.data = {"\xff\0\n", 3}}));
}

Test(client_encode, headers_are_accepted_up_to_their_bounds)
{
    struct tributary_header headers[MAX_HEADERS + 1];
    struct tributary_event event = {.headers = headers, .header_count = MAX_HEADERS};

    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        headers[i] = (struct tributary_header){tributary_text("n"), tributary_text("v")};
    cr_assert_null(fault_of(&event));
    event.header_count++;
    cr_assert_not_null(fault_of(&event));
    event.header_count = 1;
    headers[0].value = long_of(MAX_VALUE_BYTES);
    cr_assert_null(fault_of(&event));
    headers[0].value.size++;
    cr_assert_not_null(fault_of(&event));
    headers[0].value.size = 0;
    headers[0].name = long_of(256);
    cr_assert_null(fault_of(&event));
    headers[0].name.size++;
    cr_assert_not_null(fault_of(&event));
    headers[0].name.size = 0;
    cr_assert_not_null(fault_of(&event));
    headers[0] = (struct tributary_header){tributary_text("n"), {"a\0b", 3}};
    cr_assert_not_null(fault_of(&event));
}

Test(client_encode, an_event_of_one_mib_is_accepted_and_one_byte_more_is_refused)
{
    char *data = calloc(1, MAX_EVENT_BYTES);
    struct tributary_event event = {.data = {data, MAX_EVENT_BYTES - 4}}; /* tag and a length of 3 bytes */

    cr_assert_eq(event_size(&event), MAX_EVENT_BYTES);
    cr_assert_null(fault_of(&event));
    event.data.size++;
    cr_assert_not_null(fault_of(&event));
    free(data);
}

/* framing_scan() is the server's own check. */
Test(client_encode, the_server_accepts_what_is_accepted_here)
{
    const struct tributary_header headers[] = {{tributary_text("a"), tributary_text("1")},
                                               {tributary_text("b"), {NULL, 0}}};
    const struct tributary_event event = {.topic = tributary_text("t\xc3\xb6pic"),
                                          .key = tributary_text("a\nb"),
                                          .headers = headers,
                                          .header_count = 2,
                                          .expires_unix_nano = 1,
                                          .data = {"\xff", 1}};
    struct batch *batch = batch_of("me");
    struct framing_scan scan = {0};
    struct fault fault;

    cr_assert_null(fault_of(&event));
    cr_assert(batch_add(batch, &event, event_size(&event)));
    cr_assert_eq(
        framing_scan(&scan, (struct bytes){batch->data, batch->size}, &settings_defaults.framing, &fault),
        FAULT_NONE);
    cr_assert_eq(scan.count, 1);
    framing_fini(&scan);
    batch_release(batch);
}

/* The numbers stand before the events, and are set when the message is sent. */
Test(client_encode, numbers_are_read_back_by_protobuf_c)
{
    const struct tributary_event event = {.data = {"abc", 3}};
    struct numbering numbering;
    uint8_t head[MAX_NUMBERS_SIZE];
    uint8_t id[MAX_PUBLISHER_ID];

    memset(id, 'i', sizeof(id));
    for (size_t size = 0; size <= sizeof(id); size += 16) {
        const struct tributary_numbering options = {.id = {id, size}, .life = 9, .first_number = 41};

        cr_assert_null(numbering_init(&numbering, TRIBUTARY_CONFIRM_STORED, &options));

        const size_t head_size = numbering_write(&numbering, PB_PUBLISH_STREAM_REQUEST_PUBLISHER, head);
        struct batch *batch = batch_new((struct tributary_bytes){head, head_size}, 0);

        cr_assert(head_size <= sizeof(head));
        batch->numbers_end = head_size;
        cr_assert(batch_add(batch, &event, event_size(&event)));
        cr_assert_eq(numbering_assign(&numbering, batch), batch);

        Tributary__V1__PublishStreamRequest *request = decode(batch);

        cr_assert_eq(request->publisher->id.len, size == 0 ? 16 : size);
        cr_assert_eq(request->publisher->first_number, 41);
        cr_assert_eq(request->publisher->life, 9);
        cr_assert_eq(request->n_events, 1);
        cr_assert_eq(numbering.next, 42);
        tributary__v1__publish_stream_request__free_unpacked(request, NULL);
        batch_release(batch);
    }
}

/* gRPC core may still read the bytes of an earlier attempt. */
Test(client_encode, a_message_that_is_still_read_is_copied_before_its_numbers_change)
{
    const struct tributary_event event = {.data = {"abc", 3}};
    struct numbering numbering;
    uint8_t head[MAX_NUMBERS_SIZE];

    cr_assert_null(
        numbering_init(&numbering, TRIBUTARY_CONFIRM_STORED, &(struct tributary_numbering){.life = 9}));

    const size_t head_size = numbering_write(&numbering, PB_PUBLISH_STREAM_REQUEST_PUBLISHER, head);
    struct batch *batch = batch_new((struct tributary_bytes){head, head_size}, 0);

    batch->numbers_end = head_size;
    cr_assert(batch_add(batch, &event, event_size(&event)));

    grpc_slice slice = batch_slice(batch);
    struct batch *copy = numbering_assign(&numbering, batch);

    cr_assert_neq(copy, batch);
    Tributary__V1__PublishStreamRequest *request = decode(copy);

    cr_assert_eq(request->publisher->first_number, 1);
    cr_assert_eq(request->n_events, 1);
    cr_assert_eq(copy->events, 1);
    tributary__v1__publish_stream_request__free_unpacked(request, NULL);
    batch_release(copy);
    grpc_slice_unref(slice);
}
