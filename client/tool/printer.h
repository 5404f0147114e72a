/* printer.h - events on standard output, in one of four ways. One thread at a time, but for what
 * says otherwise. */
#ifndef TRIBUTARY_TOOL_PRINTER_H
#define TRIBUTARY_TOOL_PRINTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "base/buf.h"
#include "tributary/tributary.h"

enum printer_form {
    PRINTER_TEXT,  /* time, source, sequence, text: aligned */
    PRINTER_JSON,  /* an indented object each */
    PRINTER_JSONL, /* an object on one line each */
    PRINTER_RAW,   /* the data and a newline */
    PRINTER_FORMS
};

struct printer {
    enum printer_form form;
    int fd;
    bool is_file; /* a write does not wait for a reader */
    int halt_fd;  /* readable once it is halted */
    bool colours;
    struct buf out;        /* waits for printer_flush() */
    unsigned source_width; /* of the widest source so far */
    time_t second;         /* whose text is `clock` */
    char clock[16];
    int error; /* errno of the first write that failed; 0: none */

    /* Any thread. */
    _Atomic uint64_t written; /* bytes */
    _Atomic bool waiting;     /* for a reader, right now */
};

/* Colours only on a terminal, and not with NO_COLOR. */
void printer_init(struct printer *printer, enum printer_form form, int fd);
void printer_fini(struct printer *printer);

void printer_event(struct printer *printer, const struct tributary_delivery *delivery);

/* Writes what waits. False: it cannot be written any more; see `error`. */
bool printer_flush(struct printer *printer);

/* Any thread: no longer waits for a reader. What he has no room for fails with ECANCELED. */
void printer_halt(struct printer *printer);

/* Appends `text` with everything that is not printable escaped, so that no byte of it can begin a
 * line or steer a terminal. Tabs stay. */
void escape_text(struct buf *buf, struct tributary_bytes text);

#endif
