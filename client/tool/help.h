/* help.h - help texts and the manual page, written from the tables of the verbs (help.c, man.c). */
#ifndef TRIBUTARY_TOOL_HELP_H
#define TRIBUTARY_TOOL_HELP_H

#include <stdio.h>

#include "client/tool/option.h"

/* The overview: all verbs, the exit codes, the environment. */
void help_all(FILE *out);

/* The verbs of two words whose first one is `group`. */
void help_group(FILE *out, const char *group);

/* The whole help of one verb. */
void help_verb(FILE *out, const struct verb *verb);

/* The whole manual page, tributary(1), in roff. */
void help_man(FILE *out);

#endif
