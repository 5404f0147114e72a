/* verbs.h - the verbs of the tool: each is a table in the file of its name. */
#ifndef TRIBUTARY_TOOL_VERBS_H
#define TRIBUTARY_TOOL_VERBS_H

#include "client/tool/cli.h"

extern const struct verb verb_pub;             /* pub.c */
extern const struct verb verb_sub;             /* sub.c */
extern const struct verb verb_serve;           /* serve.c */
extern const struct verb verb_status;          /* status.c */
extern const struct verb verb_producers_ls;    /* producers.c */
extern const struct verb verb_producers_get;   /* producers.c */
extern const struct verb verb_producers_rm;    /* producers_rm.c */
extern const struct verb verb_producers_drain; /* producers_rm.c */
extern const struct verb verb_subs_ls;         /* subs.c */
extern const struct verb verb_subs_kick;       /* subs.c */
extern const struct verb verb_bench_pub;       /* bench_pub.c */
extern const struct verb verb_bench_sub;       /* bench_sub.c */
extern const struct verb verb_bench_latency;   /* bench_latency.c */
extern const struct verb verb_completion;      /* completion.c */
extern const struct verb verb_version;         /* version.c */

/* All of them, for help and manual pages. */
const struct verb *const *verbs_all(size_t *count_out);

/* The verb that the words begin with, and how many words its name has. NULL: there is none. */
const struct verb *verb_find(int argc, char **argv, int *words_out);

/* The overview. */
void help_all(FILE *out);

/* The whole manual page, tributary(1), in roff. */
void help_man(FILE *out);

/* Exit codes below EXITS_GRPC, and what they mean. */
struct exit_meaning {
    int code;
    const char *meaning;
};
const struct exit_meaning *exits_all(size_t *count_out);

/* Everything: reads the words, runs the verb. Returns the exit code. */
int tool_run(int argc, char **argv);

#endif
