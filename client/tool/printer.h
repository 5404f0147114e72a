/* printer.h - prints events in one of four forms. One thread at a time, where nothing else is
 * said. */
#ifndef TRIBUTARY_TOOL_PRINTER_H
#define TRIBUTARY_TOOL_PRINTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/buf.h"
#include "tributary/tributary.h"

enum printer_form {
    PRINTER_TEXT,  /* time, source, sequence, text: aligned; with `is_verbose` more fields */
    PRINTER_JSON,  /* an indented object for each event */
    PRINTER_JSONL, /* an object on one line for each event */
    PRINTER_RAW,   /* the data, and a newline */
    PRINTER_FORMS
};

struct printer {
    enum printer_form form;
    int fd;
    bool is_file; /* a write never waits for a reader */
    int halt_fd;  /* readable after printer_halt() */
    bool colours;
    bool is_verbose;       /* text has topic, key, type and headers, too */
    struct buf out;        /* what printer_flush() will write */
    unsigned source_width; /* of the widest source so far */
    time_t second;         /* the second that `clock` shows */
    char clock[40];        /* with the date where that is not today's */
    int error;             /* errno of the first write that failed; 0: none */

    /* Any thread. */
    _Atomic uint64_t written; /* bytes */
    _Atomic bool waiting;     /* it waits for a reader at this moment */
};

/* Uses colours only on a terminal, and not where NO_COLOR is set; the caller may change
 * `colours`. */
void printer_init(struct printer *printer, enum printer_form form, int fd);
void printer_fini(struct printer *printer);

/* Prints one event. It may stay in `out` until printer_flush(). */
void printer_event(struct printer *printer, const struct tributary_delivery *delivery);

/* Writes what `out` holds. Waits for the reader where its pipe is full. False: writing failed, and
 * `error` says why. */
bool printer_flush(struct printer *printer);

/* Any thread. Ends a wait for the reader, and prevents further ones: a write that would have to
 * wait fails with ECANCELED. */
void printer_halt(struct printer *printer);

/* Appends `text` and escapes everything that is not printable, so that no byte of it can begin a
 * line or control a terminal. Tabs stay. */
void escape_text(struct buf *buf, struct tributary_bytes text);

#endif
