/* options_table.h - every option of the daemon: its name, its field in struct options, its bounds
 * and its help text.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_OPTIONS_TABLE_H
#define TRIBUTARY_SERVER_OPTIONS_TABLE_H

#include <stdbool.h>

#include "base/base.h"
#include "base/quantity.h"

#define DEFAULT_LISTEN "127.0.0.1:7227"

struct options;

/* What an option's value is, or what the option prints. */
enum option_kind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_LISTEN,
    OPTION_FAN_IN,
    OPTION_UPSTREAM_TLS,
    OPTION_ENDPOINTS_DIR,
    OPTION_CREATE_TOPICS,
    OPTION_NUMBER,
    OPTION_BYTES,
    OPTION_DURATION,
    OPTION_DURATION_OR_NEVER, /* "never" is 0 */
    OPTION_LEVEL,
    OPTION_FORMAT,
    OPTION_ON_OFF,
    OPTION_UNIX_MODE,
    OPTION_UNIX_GROUP,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_ERRORS,
    OPTION_MAN
};

struct option {
    const char *name, *value, *help; /* help NULL: the option is not listed */
    enum option_kind kind;
    size_t offset, size; /* of its field in struct options */
    /* Of an option with bounds: its field has 4 or 8 bytes. Of a text: its length; 0: any. */
    int64_t min, max;
};

/* The options, at most 64, and then an entry whose name is NULL. Those that are not listed stand
 * last. */
extern const struct option option_table[];

/* The field of an option. */
void *option_field(struct options *options, const struct option *option);

/* Whether the option has a quantity with bounds: a number, bytes or a duration. */
bool option_has_bounds(const struct option *option);

/* The grammar and the bounds of such a quantity. */
enum quantity_kind option_quantity_kind(const struct option *option);
struct quantity_bounds option_bounds(const struct option *option);

/* Reads and writes the field of an option with bounds. */
int64_t option_quantity(const struct options *options, const struct option *option);
void option_set_quantity(struct options *options, const struct option *option, int64_t quantity);

/* Gives every field the value that it has where no option is given. */
void options_set_defaults(struct options *options);

#endif
