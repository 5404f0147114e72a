/* reader_item.c - copies what callbacks are given.
 *
 * DESIGN. One allocation holds the item, then its array of headers or its status, then its texts.
 * One function names the texts of every kind; it is called once to add up their sizes, and once to
 * copy them. */
#include "client/lib/subscribe/reader_item.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* What is done with each text. */
struct copier {
    size_t size;   /* bytes of all texts so far */
    uint8_t *next; /* where the next text goes; NULL: texts are only counted */
};

static void text(struct copier *copier, struct tributary_bytes *bytes)
{
    copier->size += bytes->size;
    if (!copier->next || bytes->size == 0)
        return;
    memcpy(copier->next, bytes->data, bytes->size);
    bytes->data = copier->next;
    copier->next += bytes->size;
}

static void texts_of_event(struct copier *copier, struct tributary_delivery *delivery,
                           struct tributary_header *headers)
{
    struct tributary_event *event = &delivery->event;

    text(copier, &event->id);
    text(copier, &event->topic);
    text(copier, &event->key);
    text(copier, &event->type);
    text(copier, &event->content_type);
    text(copier, &event->data);
    text(copier, &delivery->source);
    text(copier, &delivery->origin);
    for (size_t i = 0; i < event->header_count; i++) {
        struct tributary_header header = event->headers[i];

        text(copier, &header.name);
        text(copier, &header.value);
        if (headers)
            headers[i] = header;
    }
}

/* Visits all texts. `headers` is where the headers of an event are copied to; NULL: nowhere. */
static void texts(struct copier *copier, struct tributary_item *item, struct tributary_header *headers)
{
    switch (item->kind) {
    case TRIBUTARY_ITEM_STARTED:
        text(copier, &item->started.subscription_id);
        break;
    case TRIBUTARY_ITEM_REFUSED:
        text(copier, &item->refused.message);
        text(copier, &item->refused.reason);
        break;
    case TRIBUTARY_ITEM_LOST:
        text(copier, &item->lost.source);
        break;
    case TRIBUTARY_ITEM_EVENT:
        texts_of_event(copier, &item->event, headers);
        break;
    case TRIBUTARY_ITEM_FELL_BEHIND:
    case TRIBUTARY_ITEM_CAUGHT_UP:
        text(copier, &item->topic.source);
        break;
    case TRIBUTARY_ITEM_STATUS:
        text(copier, &item->status.source);
        text(copier, &item->status.message);
        break;
    case TRIBUTARY_ITEM_PROGRESS:
        text(copier, &item->progress.resume_token);
        break;
    case TRIBUTARY_ITEM_SETTINGS:
    case TRIBUTARY_ITEM_CLOSING:
    case TRIBUTARY_ITEM_INTERRUPTED:
    case TRIBUTARY_ITEM_ENDED:
        break;
    }
}

/* The bytes of what is no text: headers, or a status. */
static size_t fixed_size(const struct tributary_item *item)
{
    switch (item->kind) {
    case TRIBUTARY_ITEM_EVENT:
        return item->event.event.header_count * sizeof(struct tributary_header);
    case TRIBUTARY_ITEM_INTERRUPTED:
    case TRIBUTARY_ITEM_ENDED:
        return sizeof(struct tributary_status);
    case TRIBUTARY_ITEM_STARTED:
    case TRIBUTARY_ITEM_SETTINGS:
    case TRIBUTARY_ITEM_REFUSED:
    case TRIBUTARY_ITEM_LOST:
    case TRIBUTARY_ITEM_FELL_BEHIND:
    case TRIBUTARY_ITEM_CAUGHT_UP:
    case TRIBUTARY_ITEM_STATUS:
    case TRIBUTARY_ITEM_PROGRESS:
    case TRIBUTARY_ITEM_CLOSING:
        return 0;
    }
    return 0;
}

struct reader_item *reader_item_copy(const struct tributary_item *original)
{
    struct tributary_item item = *original;
    const size_t fixed = fixed_size(&item);
    struct copier copier = {.size = sizeof(struct reader_item) + fixed};

    _Static_assert(sizeof(struct reader_item) % alignof(struct tributary_header) == 0, "headers may follow");
    texts(&copier, &item, NULL);

    struct reader_item *copy = malloc(copier.size);

    if (!copy)
        return NULL;

    uint8_t *behind = (uint8_t *)(copy + 1);

    copy->size = copier.size;
    copier.next = behind + fixed;
    if (item.kind == TRIBUTARY_ITEM_EVENT) {
        struct tributary_header *headers = (struct tributary_header *)(void *)behind;

        texts(&copier, &item, headers);
        item.event.event.headers = fixed > 0 ? headers : NULL;
    } else {
        texts(&copier, &item, NULL);
    }
    if (item.kind == TRIBUTARY_ITEM_INTERRUPTED || item.kind == TRIBUTARY_ITEM_ENDED) {
        struct tributary_status *status = (struct tributary_status *)(void *)behind;

        *status = item.kind == TRIBUTARY_ITEM_ENDED ? *item.ended : *item.interrupted.status;
        if (item.kind == TRIBUTARY_ITEM_ENDED)
            item.ended = status;
        else
            item.interrupted.status = status;
    }
    copy->item = item;
    return copy;
}
