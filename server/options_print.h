/* options_print.h - what the daemon prints of its options: help, manual page, bounds; and the table
 * of errors.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_OPTIONS_PRINT_H
#define TRIBUTARY_SERVER_OPTIONS_PRINT_H

#include <stdio.h>

#include "server/options_table.h"

void options_print_help(FILE *out);
void options_print_man(FILE *out); /* tributaryd(8) */

/* Every error that the server gives: reason, code, text. */
void options_print_errors(FILE *out);

/* A quantity of an option with bounds as one may type it, such as "64K". */
void options_print_quantity(FILE *out, const struct option *option, int64_t quantity);

#endif
