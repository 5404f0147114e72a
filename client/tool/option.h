/* option.h - options and verbs as data: a verb is a table of options. The command line is read by
 * that table (cli.c), and help, manual page and completion are written from it. */
#ifndef TRIBUTARY_TOOL_OPTION_H
#define TRIBUTARY_TOOL_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/quantity.h"

/* The kind of an option's value, and the type of the member at its offset. */
enum option_kind {
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char * */
    OPTION_LIST,     /* struct text_list; the option may be repeated */
    OPTION_SERIES,   /* struct text_series, which several options share; each may be repeated */
    OPTION_NUMBER,   /* uint64_t */
    OPTION_COUNT,    /* uint64_t: 4096, 20k, 1.5M */
    OPTION_BYTES,    /* uint64_t: 4096, 64KiB, 4MiB */
    OPTION_DURATION, /* int64_t, nanoseconds: 10, 1.5s, 500ms, 1m30s; see base/quantity.h */
    OPTION_EVERY,    /* the same, but the value may be left out; it is DEFAULT_EVERY then */
    OPTION_CHOICE,   /* unsigned: the index of the word in `value`, where '|' separates words */
    OPTION_IGNORED,  /* no member: a flag that other tools have, accepted without effect */
};

#define DEFAULT_EVERY "2s"

struct text_list {
    const char **items; /* the array is owned; the texts belong to the command line */
    size_t count;
};

/* The values of several options, in the order in which they were given. */
struct text_series {
    struct series_item {
        const char *option; /* its name */
        const char *text;
    } * items; /* the array is owned; the texts belong to the command line */
    size_t count;
};

struct option {
    char letter;      /* -x; 0: none */
    const char *name; /* --name, or -name */
    enum option_kind kind;
    const char *value; /* for the help, such as "DURATION"; of a choice: its words */
    size_t offset;     /* of the member in the verb's settings */
    const char *help;
};

/* Whether a value must follow the option. */
static inline bool option_needs_value(const struct option *option)
{
    return option->kind != OPTION_FLAG && option->kind != OPTION_IGNORED && option->kind != OPTION_EVERY;
}

/* The bounds of an option's number, count, bytes or duration. Both are allowed. */
struct option_bounds {
    const char *name; /* of the option */
    uint64_t min, max;
};

struct example {
    const char *command;
    const char *purpose;
};

struct verb {
    const char *name;      /* "pub", "producers ls" */
    const char *arguments; /* "[PRODUCER...]", or empty */
    size_t max_arguments;
    const char *summary; /* one line, without a full stop */
    const char *text;    /* paragraphs */
    const struct option *options;
    size_t option_count;
    const struct option_bounds *bounds; /* of options that do not take every value; NULL: none */
    size_t bound_count;
    const struct example *examples;
    size_t example_count;
    /* Runs the verb. argv[0] is the first word after the verb's name. Returns the exit code. */
    int (*run)(const struct verb *verb, int argc, char **argv);
};

/* The values of the common options: the first member of the settings of every verb. */
struct common {
    bool help;
    const char *server;
    int64_t connect_timeout_ns; /* 0: not given */
    bool wait;                  /* for a server that is not up yet */
    bool verbose;
    int64_t max_time_ns; /* 0: none */
    /* When --max-time is over, on the clock of clock_mono_ns() and counted from cli_parse();
     * INT64_MAX: never. */
    int64_t over_ns;
    struct text_list rpc_headers;
};
extern const struct option common_options[];
extern const size_t common_option_count;

/* True where the verb has an option of its own with the name of this common one. The verb's own
 * option wins. */
bool option_is_replaced(const struct verb *verb, const struct option *common_option);

/* The bounds of an option of this verb; those of its kind where it has no others. The kind is one
 * of number, count, bytes, duration and every. */
struct quantity_bounds option_bounds(const struct verb *verb, const struct option *option);
enum quantity_kind option_quantity_kind(const struct option *option);

/* The option with this name, of `size` bytes, or, where `name` is NULL, with this letter. The
 * verb's own options come before the common ones. NULL: there is none. */
const struct option *option_find(const struct verb *verb, const char *name, size_t size, char letter);

#endif
