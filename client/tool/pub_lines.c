/* pub_lines.c - see pub_lines.h. */
#include "client/tool/pub_lines.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

#define FAULTS_SHOWN 10
#define FILE_HEADER "file"

static void bad_line(struct pub_lines *pub, const char *fault)
{
    pub->bad++;
    if (pub->bad <= FAULTS_SHOWN)
        fprintf(stderr, "tributary: %s%sline %" PRIu64 ": %s%s\n", pub->source ? pub->source : "",
                pub->source ? ": " : "", pub->lines, fault,
                pub->bad == FAULTS_SHOWN ? " (further ones are only counted)" : "");
}

/* A refusal was reported when it came; anything else is reported here. */
static void fail(struct pub_lines *pub, enum tributary_code code)
{
    pub->failed = code;
    if (atomic_load(&pub->sink->refused_code) == 0 && atomic_load(&pub->sink->ended_code) == 0)
        fprintf(stderr, "tributary: line %" PRIu64 ": publishing failed: %s\n", pub->lines,
                tributary_code_name(code));
}

/* Publishes one event. False: publish no more, because the publisher failed or a stop is
 * requested. */
static bool publish(struct pub_lines *pub, struct tributary_bytes producer,
                    const struct tributary_event *event)
{
    enum tributary_code code = sink_publish(pub->sink, producer, event);

    while (code == TRIBUTARY_DEADLINE_EXCEEDED) {
        stop_wait(pub->stop, -1, 0);
        if (stop_requested(pub->stop))
            return false;
        code = sink_publish(pub->sink, producer, event);
    }
    if (code == TRIBUTARY_INVALID_ARGUMENT && tributary_event_fault(event)[0] != '\0')
        bad_line(pub, tributary_event_fault(event));
    else if (code != TRIBUTARY_OK)
        fail(pub, code);
    return pub->failed == TRIBUTARY_OK;
}

static struct tributary_bytes first_given(struct tributary_bytes given, struct tributary_bytes default_value)
{
    return given.size > 0 ? given : default_value;
}

static bool on_json_line(struct pub_lines *pub, const char *line, size_t size)
{
    struct tributary_event *event = &pub->parsed.event;
    const struct tributary_event *template = &pub->template;

    uint64_t *ignored = pub->ignores_unknown ? &pub->ignored : NULL;

    if (!json_event_read(&pub->parsed, line, size, ignored)) {
        bad_line(pub, pub->parsed.fault);
        return true;
    }
    event->topic = first_given(event->topic, template->topic);
    event->key = first_given(event->key, template->key);
    event->type = first_given(event->type, template->type);
    event->content_type = first_given(event->content_type, template->content_type);
    if (event->header_count == 0) {
        event->headers = template->headers;
        event->header_count = template->header_count;
    }
    return publish(pub, pub->parsed.producer, event);
}

static void long_line(struct pub_lines *pub)
{
    pub->long_lines++;
    if (!pub->quiet && pub->long_lines <= FAULTS_SHOWN)
        fprintf(stderr,
                "tributary: line %" PRIu64 " has more than %u bytes: it comes as several events, with the "
                "headers " LINE_PART_HEADER " and " LINE_LAST_HEADER "%s\n",
                pub->lines, MAX_LINE_BYTES,
                pub->long_lines == FAULTS_SHOWN ? " (further ones are only counted)" : "");
}

/* Publishes a line, or a part of one, as the data of an event. */
static bool on_text_line(struct pub_lines *pub, const struct line *line)
{
    struct tributary_event *event = &pub->template;
    const size_t header_count = event->header_count;
    char number[24];
    bool more;

    if (line->part == 1)
        long_line(pub);
    event->header_count += line_headers(line, pub->headers + header_count, number);
    if (line->source)
        pub->headers[event->header_count++] =
            (struct tributary_header){tributary_text(FILE_HEADER), tributary_text(line->source)};
    event->data = (struct tributary_bytes){line->text, line->size};
    event->time_unix_nano = (uint64_t)clock_wall_ns();
    more = publish(pub, (struct tributary_bytes){NULL, 0}, event);
    event->header_count = header_count;
    return more;
}

static bool is_blank(const struct line *line)
{
    for (size_t i = 0; i < line->size; i++) {
        if (line->text[i] != ' ' && line->text[i] != '\t' && line->text[i] != '\r')
            return false;
    }
    return true;
}

bool pub_lines_add(void *ctx, const struct line *line)
{
    struct pub_lines *pub = ctx;
    char fault[64];

    pub->lines += line->part <= 1;
    pub->source = line->source;
    if (!pub->jsonl)
        return on_text_line(pub, line);
    if (line->part == 0)
        return is_blank(line) || on_json_line(pub, line->text, line->size);
    if (line->part == 1) { /* a part of an event in JSON is no event */
        snprintf(fault, sizeof(fault), "more than %u bytes", MAX_JSON_LINE_BYTES);
        bad_line(pub, fault);
    }
    return true;
}

size_t pub_lines_max_bytes(const struct pub_lines *pub)
{
    return pub->jsonl ? MAX_JSON_LINE_BYTES : MAX_LINE_BYTES;
}

void pub_lines_fini(struct pub_lines *pub)
{
    json_event_fini(&pub->parsed);
}
