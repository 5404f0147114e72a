/* event_time.c - see event_time.h. */
#include "event/event_time.h"

#include "event/field_path.h"
#include "event/peek.h"

/* The time inside the data; 0: there is none. */
static uint64_t time_in_data(struct bytes data, const struct field_path *path)
{
    struct field field = {.number = 0};
    uint64_t unix_ns = 0;

    if (field_path_find(path, data, &field) != FIELD_FOUND || !field_as_time(&field, &unix_ns))
        return 0;
    return unix_ns;
}

static int64_t whole_time(uint64_t unix_ns)
{
    return unix_ns <= INT64_MAX ? (int64_t)unix_ns : 0;
}

int64_t message_time(struct bytes message, const struct field_path *path)
{
    return whole_time(time_in_data(message, path));
}

int64_t event_time(struct bytes event, const struct field_path *path)
{
    const struct bytes content = event_content(event);
    const uint8_t *at = content.data, *end = content.data + content.size;
    struct field field = {.bytes = {NULL, 0}};
    struct bytes data = {NULL, 0};
    uint64_t own = 0, inside = 0;

    while (at < end) {
        const uint8_t *const before = at;

        COUNT_WORK(1);
        at = field_pass(before, end, &field);
        if (field.number == PB_EVENT_TIME_UNIX_NANO)
            own = word_read(at - sizeof(own));
        else if (field.number == PB_EVENT_DATA)
            data = field.bytes;
    }
    if (path->count > 0)
        inside = time_in_data(data, path);
    if (inside > 0)
        own = inside;
    return whole_time(own);
}
