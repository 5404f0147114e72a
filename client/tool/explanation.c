/* explanation.c - see explanation.h. */
#include "client/tool/explanation.h"

#include <string.h>

#include "client/tool/table.h"

json_t *explanation_json(const struct tributary_explanation *explanation)
{
    json_t *object = json_object();
    json_t *stats = json_array();
    json_t *also = json_array();

    if (explanation->subscription_id[0] != '\0')
        table_put_text(object, "subscription", explanation->subscription_id);
    if (explanation->name[0] != '\0')
        table_put_text(object, "name", explanation->name);
    if (explanation->peer[0] != '\0')
        table_put_text(object, "peer", explanation->peer);
    table_put_text(object, "limit", tributary_limit_name(explanation->limit));
    table_put_text(object, "sentence", explanation->sentence);
    for (size_t i = 0; i < explanation->also_count; i++)
        json_array_append_new(also, json_string(tributary_limit_name(explanation->also[i])));
    json_object_set_new(object, "also", also);
    for (size_t i = 0; i < explanation->stat_count; i++) {
        json_t *stat = json_object();

        table_put_text(stat, "name", explanation->stats[i].name);
        json_object_set_new(stat, "value", json_integer(explanation->stats[i].value));
        table_put_text(stat, "unit", explanation->stats[i].unit);
        json_array_append_new(stats, stat);
    }
    json_object_set_new(object, "stats", stats);
    if (explanation->producer[0] != '\0')
        table_put_text(object, "producer", explanation->producer);
    if (explanation->blocking_subscription_id[0] != '\0')
        table_put_text(object, "blocking_subscription", explanation->blocking_subscription_id);
    return object;
}

/* What loses events or stands still comes first, then what waits for others, then what is as it
 * was asked for. */
unsigned explanation_rank(int limit)
{
    static const char *const worst_first[] = {
        "UNKNOWN",        "SERVER_BEHIND", "LOSING",      "SLOW_NETWORK", "NO_CREDIT",        "QUOTA",
        "BLOCKING",       "UNAVAILABLE",   "BACKOFF",     "NO_PRODUCER",  "PRODUCER_BLOCKED", "PAUSED",
        "CREDIT_TRICKLE", "SLOW_READER",   "CONNECTING",  "FILTERED",     "COALESCING",       "DRAINING",
        "STARTING",       "SILENT",        "SORT_WINDOW", "HEALTHY"};
    const char *name = tributary_limit_name(limit);

    for (unsigned i = 0; i < ARRAY_LEN(worst_first); i++)
        if (strcmp(worst_first[i], name) == 0)
            return i;
    return 0;
}

int64_t explanation_stat(const struct tributary_explanation *explanation, const char *name)
{
    for (size_t i = 0; i < explanation->stat_count; i++)
        if (strcmp(explanation->stats[i].name, name) == 0)
            return explanation->stats[i].value;
    return 0;
}
