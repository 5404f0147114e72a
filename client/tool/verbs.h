/* verbs.h - the verbs of the tool. The comment names the file that defines each. */
#ifndef TRIBUTARY_TOOL_VERBS_H
#define TRIBUTARY_TOOL_VERBS_H

#include "client/tool/option.h"

extern const struct verb verb_pub;              /* pub.c */
extern const struct verb verb_sub;              /* sub.c */
extern const struct verb verb_serve;            /* serve.c */
extern const struct verb verb_status;           /* status.c */
extern const struct verb verb_drain;            /* drain.c */
extern const struct verb verb_producers_ls;     /* producers.c */
extern const struct verb verb_producers_get;    /* producers.c */
extern const struct verb verb_producers_add;    /* producers_add.c */
extern const struct verb verb_producers_update; /* producers_add.c */
extern const struct verb verb_producers_rm;     /* producers_rm.c */
extern const struct verb verb_producers_drain;  /* producers_rm.c */
extern const struct verb verb_producers_watch;  /* producers_watch.c */
extern const struct verb verb_subs_ls;          /* subs.c */
extern const struct verb verb_subs_kick;        /* subs.c */
extern const struct verb verb_why;              /* why.c */
extern const struct verb verb_top;              /* top.c */
extern const struct verb verb_topics_create;    /* topics_edit.c */
extern const struct verb verb_topics_ls;        /* topics.c */
extern const struct verb verb_topics_info;      /* topics.c */
extern const struct verb verb_topics_update;    /* topics_edit.c */
extern const struct verb verb_topics_rm;        /* topics_edit.c */
extern const struct verb verb_backup;           /* backup.c */
extern const struct verb verb_batch_work;       /* batch_work.c */
extern const struct verb verb_batch_run;        /* batch_run.c */
extern const struct verb verb_batch_watch;      /* batch_watch.c */
extern const struct verb verb_batch_ls;         /* batch_ls.c */
extern const struct verb verb_bench_pub;        /* bench_pub.c */
extern const struct verb verb_bench_sub;        /* bench_sub.c */
extern const struct verb verb_bench_latency;    /* bench_latency.c */
extern const struct verb verb_bench_batch;      /* bench_batch.c */
extern const struct verb verb_completion;       /* completion.c */
extern const struct verb verb_version;          /* version.c */

/* Makes these the verbs of verb_list.h. Once, before anything is read from there. */
void verbs_install(void);

#endif
