/* transcript.c - see transcript.h. */
#include "seam/transcript.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "seam/transcript_hooks.h"

#define MAX_LINE 4096u
#define TEXTS 4u
#define MAX_TEXT 1024u

/* Values in the order in which they first appeared: the number of a value is its index plus 1. */
struct numbers {
    uint64_t *values;
    unsigned count, capacity;
};

bool transcript_on;
bool transcript_with_log;

static struct buf text;
static struct numbers epochs, subscriptions;
static int64_t begun_ns, line_ns;
static char texts[TEXTS][MAX_TEXT];
static unsigned last_text;

static int64_t now_ns(void)
{
    return transcript_clock_ns ? transcript_clock_ns() : 0;
}

void transcript_begin(bool with_log)
{
    buf_clear(&text);
    epochs.count = subscriptions.count = 0;
    begun_ns = line_ns = now_ns();
    transcript_with_log = with_log;
    transcript_on = true;
}

void transcript_end(void)
{
    transcript_on = false;
}

void transcript_line(const char *format, ...)
{
    SCRATCH char line[MAX_LINE];
    int64_t at_ns = now_ns();
    va_list arguments;
    int size;

    if (at_ns != line_ns)
        buf_format(&text, "  at %" PRId64 ".%09" PRId64 "\n", (at_ns - begun_ns) / NS_PER_S,
                   (at_ns - begun_ns) % NS_PER_S);
    line_ns = at_ns;
    va_start(arguments, format);
    size = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    CHECK(size >= 0 && (size_t)size < sizeof(line));
    buf_bytes(&text, line, (size_t)size);
    buf_byte(&text, '\n');
}

struct bytes transcript_text(void)
{
    CHECK(!text.broken);
    return (struct bytes){text.data, text.size};
}

uint64_t transcript_digest(void)
{
    struct bytes bytes = transcript_text();
    uint64_t digest = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < bytes.size; i++)
        digest = (digest ^ bytes.data[i]) * UINT64_C(0x100000001b3);
    return digest;
}

void transcript_write(const char *path)
{
    struct bytes bytes = transcript_text();
    FILE *file = fopen(path, "w");

    CHECK(file && fwrite(bytes.data, 1, bytes.size, file) == bytes.size && fclose(file) == 0);
}

/* ---- arguments of a line ---- */

static unsigned number_of(struct numbers *numbers, uint64_t value)
{
    if (value == 0)
        return 0;
    for (unsigned i = numbers->count; i > 0; i--)
        if (numbers->values[i - 1] == value)
            return i;
    if (numbers->count == numbers->capacity) {
        numbers->capacity = MAX_OF(numbers->capacity * 2, 64u);
        numbers->values = reallocarray(numbers->values, numbers->capacity, sizeof(*numbers->values));
        CHECK(numbers->values);
    }
    numbers->values[numbers->count++] = value;
    return numbers->count;
}

unsigned transcript_epoch(uint64_t epoch)
{
    return number_of(&epochs, epoch);
}

unsigned transcript_subscription(const char *id)
{
    return number_of(&subscriptions, id[0] == '\0' ? 0 : strtoull(id + 1, NULL, 16)); /* s%016x */
}

static char *next_text(void)
{
    last_text = (last_text + 1) % TEXTS;
    return texts[last_text];
}

const char *transcript_deadline(int64_t deadline_ns)
{
    char *into = next_text();

    if (deadline_ns == 0)
        return "now";
    if (deadline_ns == INT64_MAX)
        return "some day";
    if (!transcript_clock_ns)
        return "in a while";
    snprintf(into, MAX_TEXT, "in %" PRId64, deadline_ns - transcript_clock_ns());
    return into;
}

const char *transcript_fault(const struct fault *fault)
{
    char *into = next_text();

    snprintf(into, MAX_TEXT, "%s field \"%s\" value %s bound \"%s\" retry %" PRId64,
             fault_reason_name(fault->reason), fault->field, fault->value[0] ? fault->value : "-",
             fault->bound, fault->retry_ns);
    return into;
}

const char *transcript_bytes(struct bytes bytes)
{
    char *into = next_text();

    quote_bytes(bytes, 128, into, MAX_TEXT);
    return into;
}

/* ---- test cases ---- */

void transcript_case_begin(void)
{
    const char *folder = getenv("TRIBUTARY_TRANSCRIPT");

    if (folder && folder[0] != '\0' && transcript_case && !transcript_on)
        transcript_begin(true);
}

void transcript_case_write(void)
{
    char path[4096];
    int size;

    if (!transcript_on || !transcript_case)
        return;
    size = snprintf(path, sizeof(path), "%s/%s.txt", getenv("TRIBUTARY_TRANSCRIPT"), transcript_case());
    CHECK(size > 0 && (size_t)size < sizeof(path));
    transcript_write(path);
}
