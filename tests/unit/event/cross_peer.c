/* cross_peer.c - the half of cross_decoders.py that scans.
 *
 *   cross_peer write COUNT  makes random and mutated messages until COUNT were accepted; each
 *                           decodes with protobuf-c and is written to standard output
 *   cross_peer read         reads messages from standard input, all of which must be accepted
 *
 * A frame is four bytes of size, little-endian, and its content. Written for each message: the
 * EventBatch that a consumer would get, the number of events, and for each event what event_view()
 * and event_header() read. Read for each message: a PublishRequest and its number of events. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/encode.h"
#include "lib/event_views.h"
#include "lib/events.h"
#include "tributary/v1/event.pb-c.h"

static const char *const header_names[] = {"a", "b", "c", "d"};

static void emit(const void *bytes, size_t size)
{
    uint32_t little = htole32((uint32_t)size);

    CHECK(fwrite(&little, sizeof(little), 1, stdout) == 1);
    CHECK(size == 0 || fwrite(bytes, size, 1, stdout) == 1);
}

static void emit_number(uint64_t number)
{
    uint64_t little = htole64(number);

    emit(&little, sizeof(little));
}

static void emit_view(struct bytes event)
{
    struct event_headers headers;
    struct event_view view;

    view_whole(event, &view, &headers);
    const struct bytes texts[] = {view.id, view.topic, view.key, view.type, view.content_type, view.data};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        emit(texts[i].data, texts[i].size);
    emit_number(view.time_unix_nano);
    emit_number(view.expires_unix_nano);
    emit_number(view.deliver_after_unix_nano);
    for (size_t i = 0; i < ARRAY_LEN(header_names); i++) {
        struct bytes value = {NULL, 0};
        emit_number(view_header(&view, text_of(header_names[i]), &value));
        emit(value.data, value.size);
    }
}

/* A consumer's EventBatch with one run. */
static void put_batch(const struct chunk *chunk, struct buf *batch)
{
    OWNED(source_release) struct source *source = source_new(text_of("cross"), 7);
    struct run_head head = {
        .source = source, .first_sequence = 1, .events_bytes = chunk_bytes(chunk, 0, chunk->count)};
    uint8_t *at = buf_extend(batch, run_head_size(&head));

    CHECK(at);
    run_head_write(&head, at);
    buf_bytes(batch, chunk->data, chunk_bytes(chunk, 0, chunk->count));
}

static void emit_accepted(struct bytes message, const struct framing_scan *scan)
{
    OWNED(chunk_release) struct chunk *chunk = NULL;
    struct buf batch = {0};

    CHECK(chunk_of(message, scan, &chunk) == ERR_OK);
    put_batch(chunk, &batch);
    Tributary__V1__EventBatch *decoded = tributary__v1__event_batch__unpack(NULL, batch.size, batch.data);
    CHECK(decoded && decoded->n_runs == 1 && decoded->runs[0]->n_events == chunk->count);
    tributary__v1__event_batch__free_unpacked(decoded, NULL);
    emit(batch.data, batch.size);
    emit_number(chunk->count);
    for (uint32_t i = 0; i < chunk->count; i++)
        emit_view(chunk_range(chunk, i, i + 1));
    buf_fini(&batch);
}

static int write_messages(unsigned long wanted)
{
    struct dice dice = dice_new("cross_decoders");
    struct framing_scan scan = {0};
    struct fault fault;
    struct buf buf = {0};
    unsigned long refused = 0;

    for (unsigned long have = 0; have < wanted;) {
        bool mutated = dice_roll(&dice, 4) > 0;
        buf_clear(&buf);
        random_message(&dice, &buf);
        if (mutated)
            mutate(&dice, &buf);
        struct bytes message = {buf.data, buf.size};
        enum fault_reason reason = framing_scan(&scan, message, &settings_defaults.framing, &fault);
        CHECK(mutated || reason == FAULT_NONE); /* random_message() makes well-formed messages */
        refused += reason != FAULT_NONE;
        if (reason != FAULT_NONE || scan.count == 0)
            continue;
        emit_accepted(message, &scan);
        have++;
    }
    fprintf(stderr, "cross_peer: %lu accepted, %lu refused\n", wanted, refused);
    framing_fini(&scan);
    buf_fini(&buf);
    return 0;
}

/* False at the end of input. */
static bool read_frame(struct buf *buf)
{
    uint32_t little;
    uint8_t *at;

    if (fread(&little, sizeof(little), 1, stdin) != 1)
        return false;
    buf_clear(buf);
    at = buf_extend(buf, le32toh(little));
    CHECK(le32toh(little) == 0 || fread(at, le32toh(little), 1, stdin) == 1);
    return true;
}

static int read_messages(void)
{
    struct framing_scan scan = {0};
    struct fault fault;
    struct buf message = {0};
    struct buf count = {0};
    uint64_t expected;
    unsigned long number = 0;

    for (; read_frame(&message); number++) {
        CHECK(read_frame(&count) && count.size == sizeof(expected));
        memcpy(&expected, count.data, sizeof(expected));
        if (framing_scan(&scan, (struct bytes){message.data, message.size}, &settings_defaults.framing,
                         &fault) != FAULT_NONE) {
            char text[512];
            fault_message(&fault, text, sizeof(text));
            fprintf(stderr, "cross_peer: message %lu was refused: %s\n", number, text);
            return 1;
        }
        if (scan.count != le64toh(expected)) {
            fprintf(stderr, "cross_peer: message %lu holds %u events instead of %llu\n", number, scan.count,
                    (unsigned long long)le64toh(expected));
            return 1;
        }
    }
    printf("%lu\n", number);
    framing_fini(&scan);
    buf_fini(&message);
    buf_fini(&count);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "write") == 0)
        return write_messages(strtoul(argv[2], NULL, 10));
    if (argc == 2 && strcmp(argv[1], "read") == 0)
        return read_messages();
    fprintf(stderr, "usage: cross_peer write COUNT | cross_peer read\n");
    return 2;
}
