/* cli.h - command lines as data: a verb is a table of options, from which its command line is read
 * and its help is written. */
#ifndef TRIBUTARY_TOOL_CLI_H
#define TRIBUTARY_TOOL_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What an option's value is, and so what stands at its offset. */
enum option_kind {
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char * */
    OPTION_LIST,     /* struct text_list: may be given several times */
    OPTION_NUMBER,   /* uint64_t */
    OPTION_COUNT,    /* uint64_t: 4096, 20k, 1.5M */
    OPTION_BYTES,    /* uint64_t: 4096, 64KiB, 4MiB */
    OPTION_DURATION, /* int64_t, nanoseconds: 10, 1.5s, 500ms, 1m30s; a bare number counts seconds */
    OPTION_EVERY,    /* the same, and the value may be left out: then it is EVERY_DEFAULT_NS */
    OPTION_CHOICE,   /* unsigned: the place in `value`, whose words are divided by '|' */
    OPTION_IGNORED,  /* nothing: a flag taken for the sake of other tools' habits */
};

#define EVERY_DEFAULT_NS INT64_C(2000000000)

struct text_list {
    const char **items; /* the texts are the command line's */
    size_t count;
};

struct option {
    char letter;      /* -x; 0: none */
    const char *name; /* --name, or -name */
    enum option_kind kind;
    const char *value; /* for the help, such as "DURATION"; the words of a choice */
    size_t offset;     /* in the verb's settings */
    const char *help;
};

struct example {
    const char *command;
    const char *purpose;
};

struct verb {
    const char *name;      /* "pub", "producers ls" */
    const char *arguments; /* "[PRODUCER...]", or empty */
    size_t max_arguments;
    const char *summary; /* one line, without a stop */
    const char *text;    /* paragraphs */
    const struct option *options;
    size_t option_count;
    const struct example *examples;
    size_t example_count;
    /* argv[0] is the first word after the verb; returns the exit code */
    int (*run)(const struct verb *verb, int argc, char **argv);
};

/* What every verb that talks to a server takes: the first member of its settings. */
struct common {
    bool help;
    const char *server;
    int64_t connect_timeout_ns; /* 0: not given */
    int64_t max_time_ns;        /* 0: none */
    /* clock_mono_ns() when that is over, counted from cli_parse(); INT64_MAX: never */
    int64_t over_ns;
    struct text_list rpc_headers;
};
extern const struct option common_options[];
extern const size_t common_option_count;

/* The verb has an option of the same name, which says something else and wins. */
bool cli_is_replaced(const struct verb *verb, const struct option *common_option);

/* Reads a command line into `settings`, whose first member is a `struct common`, and the words that
 * are no options into `arguments`. False: *exit_out says what to exit with, and everything was
 * said: help on standard output, or what is wrong on standard error. */
bool cli_parse(const struct verb *verb, int argc, char **argv, void *settings, struct text_list *arguments,
               int *exit_out);

/* Frees the lists. */
void cli_forget(const struct verb *verb, void *settings, struct text_list *arguments);

/* Says on standard error what is wrong with the command line, and where to read more. Returns
 * EXITS_USAGE. */
int cli_wrong(const struct verb *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The whole help of one verb. */
void help_verb(FILE *out, const struct verb *verb);

#endif
