/* pub_lines.h - makes an event of each line that `tributary pub` reads, and passes it to the sink.
 * Main thread. */
#ifndef TRIBUTARY_TOOL_PUB_LINES_H
#define TRIBUTARY_TOOL_PUB_LINES_H

#include "client/tool/event_json.h"
#include "client/tool/lines.h"
#include "client/tool/registration.h"
#include "client/tool/sink.h"

/* How many headers the options may give each event. The others say which part of a line and which
 * file it is from. */
#define MAX_HEADERS_GIVEN (MAX_PAIRS - LINE_HEADERS - 1)
/* The longest event in JSON: each byte of its 1 MiB may be written as "\u0000". */
#define MAX_JSON_LINE_BYTES (8u << 20)

struct pub_lines {
    /* Set by the caller. */
    struct sink *sink;
    struct stop *stop;
    bool jsonl; /* each line is an event in JSON */
    bool ignores_unknown, quiet;
    struct tributary_event template; /* what the options set; its headers are in `headers` */
    struct tributary_header headers[MAX_PAIRS];

    uint64_t lines, bad; /* lines so far; those that are no event */
    uint64_t ignored;    /* unknown members */
    uint64_t long_lines; /* lines that came in parts */
    enum tributary_code failed;

    struct json_event parsed; /* private */
    const char *source;       /* private: the file of the line, where there are several */
};

/* Publishes a line; `ctx` is the struct pub_lines. A line that is no event is reported on standard
 * error, the first ones of them in words. False: publish no more, because a stop is requested or
 * the sink failed, which is reported. */
bool pub_lines_add(void *ctx, const struct line *line);

/* The bound of a line, for struct lines. */
size_t pub_lines_max_bytes(const struct pub_lines *pub);

void pub_lines_fini(struct pub_lines *pub);

#endif
