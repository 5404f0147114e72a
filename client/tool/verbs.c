/* verbs.c - the table of all verbs. */
#include "client/tool/verbs.h"

#include "base/base.h"
#include "client/tool/verb_list.h"

static const struct verb *const verbs[] = {&verb_pub,
                                           &verb_sub,
                                           &verb_serve,
                                           &verb_status,
                                           &verb_drain,
                                           &verb_producers_ls,
                                           &verb_producers_get,
                                           &verb_producers_add,
                                           &verb_producers_update,
                                           &verb_producers_rm,
                                           &verb_producers_drain,
                                           &verb_producers_watch,
                                           &verb_subs_ls,
                                           &verb_subs_kick,
                                           &verb_why,
                                           &verb_top,
                                           &verb_topics_create,
                                           &verb_topics_ls,
                                           &verb_topics_info,
                                           &verb_topics_update,
                                           &verb_topics_rm,
                                           &verb_backup,
                                           &verb_batch_work,
                                           &verb_batch_run,
                                           &verb_batch_watch,
                                           &verb_batch_ls,
                                           &verb_bench_pub,
                                           &verb_bench_sub,
                                           &verb_bench_latency,
                                           &verb_bench_batch,
                                           &verb_completion,
                                           &verb_version};

void verbs_install(void)
{
    verb_list_set(verbs, ARRAY_LEN(verbs));
}
