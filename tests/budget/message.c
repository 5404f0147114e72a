/* message.c - messages as producers send them: each event has 128 bytes of data, and what the shape
 * says. */
#include "budget.h"

#include <stdio.h>
#include <string.h>

#include "lib/events.h"

#define DATA_BYTES 128
#define KINDS 8u

static void put_data(struct buf *message, struct event_view *event, const struct pair *headers,
                     size_t header_count)
{
    uint8_t data[DATA_BYTES];

    memset(data, '.', sizeof(data));
    event->data = (struct bytes){data, sizeof(data)};
    put_event(message, event, headers, header_count);
}

static void put_keyed(struct buf *message, uint32_t topic, uint32_t key)
{
    char topic_text[32], key_text[32];

    snprintf(topic_text, sizeof(topic_text), "orders.%u.created", topic);
    snprintf(key_text, sizeof(key_text), "customer-%u", key);
    put_data(message, &(struct event_view){.topic = text_of(topic_text), .key = text_of(key_text)}, NULL, 0);
}

static void put_envelope(struct buf *message, bool wide)
{
    static const char *const ascii[] = {"0190b5d1-7c1e-7f2a",
                                        "orders.berlin.created",
                                        "customer-47110815",
                                        "com.example.order.created",
                                        "application/json",
                                        "traceparent",
                                        "region",
                                        "00-4bf92f3577b34da6a3ce929d0e0e4736",
                                        "north-west"};
    static const char *const utf8[] = {"№-0190b5d1-7c1e",
                                       "bestellungen.größe.東京",
                                       "Zürich-東京-47110815",
                                       "com.example.größe.😀",
                                       "text/plain; größe=é",
                                       "façade",
                                       "mieter",
                                       "東京-ß-😀-4bf92f3577b34da6a3",
                                       "nord-östlich"};
    const char *const *texts = wide ? utf8 : ascii;
    const struct pair headers[] = {{text_of(texts[5]), text_of(texts[7])},
                                   {text_of(texts[6]), text_of(texts[8])}};

    put_data(message,
             &(struct event_view){.id = text_of(texts[0]),
                                  .topic = text_of(texts[1]),
                                  .key = text_of(texts[2]),
                                  .type = text_of(texts[3]),
                                  .content_type = text_of(texts[4]),
                                  .time_unix_nano = UINT64_C(1800000000123456789),
                                  .expires_unix_nano = UINT64_C(1900000000123456789)},
             headers, ARRAY_LEN(headers));
}

void budget_message(const struct budget_shape *shape, uint32_t number, struct buf *message)
{
    uint32_t kinds = MAX_OF(KINDS, shape->routes / MAX_OF(shape->alike, 1u));

    CHECK(message->size == 0);
    for (uint32_t i = number * shape->events; i < (number + 1) * shape->events; i++)
        switch (shape->text) {
        case BUDGET_DATA:
            put_data(message, &(struct event_view){0}, NULL, 0);
            break;
        case BUDGET_KEYED:
            put_keyed(message, i % kinds, i % kinds);
            break;
        case BUDGET_DISTINCT:
            put_keyed(message, i % kinds, i);
            break;
        case BUDGET_ENVELOPE:
        case BUDGET_WIDE:
            put_envelope(message, shape->text == BUDGET_WIDE);
            break;
        case BUDGET_BARE:
            put_event(message, &(struct event_view){.key = text_of("key")}, NULL, 0);
            break;
        }
    CHECK(!message->broken);
}

struct chunk *budget_chunk(const struct budget_shape *shape, uint32_t number)
{
    OWNED(buf_fini) struct buf message = {0};
    struct framing_scan scan = {0};
    struct chunk *chunk = NULL;
    struct fault fault;

    budget_message(shape, number, &message);
    CHECK(framing_scan(&scan, (struct bytes){message.data, message.size}, &settings_defaults.framing,
                       &fault) == FAULT_NONE);
    CHECK(chunk_of((struct bytes){message.data, message.size}, &scan, &chunk) == ERR_OK);
    framing_fini(&scan);
    return chunk;
}
