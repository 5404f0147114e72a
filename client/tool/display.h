/* display.h - how much of a terminal a text takes. Any thread. */
#ifndef TRIBUTARY_TOOL_DISPLAY_H
#define TRIBUTARY_TOOL_DISPLAY_H

#include "base/buf.h"
#include "tributary/tributary.h"

/* The columns and rows of the terminal at `fd`. Both are 0 where it is no terminal. A terminal that
 * does not know its size has 80 columns and 24 rows. */
struct display_size {
    unsigned columns, rows;
};
struct display_size display_size(int fd);

/* The columns that a text takes: two for a wide character, such as most of Chinese, Japanese and
 * Korean, and none for a combining one. The text is printable UTF-8, as escape_text() writes it. */
unsigned display_width(struct tributary_bytes text);

/* Appends the text. Where it takes more than `width` columns, its middle is left out and an
 * ellipsis stands there: names often differ at their ends. */
void display_fit(struct buf *buf, struct tributary_bytes text, unsigned width);

/* The same for sentences: the end is left out. */
void display_fit_head(struct buf *buf, struct tributary_bytes text, unsigned width);

#endif
