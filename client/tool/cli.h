/* cli.h - reads the command line of a verb. */
#ifndef TRIBUTARY_TOOL_CLI_H
#define TRIBUTARY_TOOL_CLI_H

#include "client/tool/option.h"

/* Reads a command line into `settings`, whose first member is a struct common. Words that are no
 * options go into `arguments`. True: run the verb. False: *exit_out is the exit code, and help was
 * printed to standard output or a fault to standard error. Call cli_free() in both cases. */
bool cli_parse(const struct verb *verb, int argc, char **argv, void *settings, struct text_list *arguments,
               int *exit_out);

/* Frees the lists that cli_parse() made. */
void cli_free(const struct verb *verb, void *settings, struct text_list *arguments);

/* Prints to standard error what is wrong with the command line, and how to get help. Returns
 * EXITS_USAGE. */
int cli_wrong(const struct verb *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
