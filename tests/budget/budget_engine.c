/* budget_engine.c - the cases of the engine: the scan, the guard, the offer to routes, the channel.
 * The number behind the kind is the number of events of a message. The events of the guard are
 * frames. */
#include "budget.h"

#define MANY .messages = 16, .events = 64
#define ONE .messages = 64, .events = 1

static const struct budget_case cases[] = {
    {"scan-64", &scan_job, {MANY}},
    {"scan-64-envelope", &scan_job, {MANY, .text = BUDGET_ENVELOPE}},
    {"scan-64-utf8", &scan_job, {MANY, .text = BUDGET_WIDE}},
    {"scan-1", &scan_job, {ONE}},
    {"scan-1-envelope", &scan_job, {ONE, .text = BUDGET_ENVELOPE}},

    {"guard-large", &guard_large_job, {.messages = 4, .events = 4}},
    {"guard-small", &guard_small_job, {MANY}},
    {"guard-updates", &guard_updates_job, {MANY}},
    {"guard-out", &guard_out_job, {MANY}},

    {"offer-64-to-1", &route_job, {MANY, .routes = 1}},
    {"offer-64-to-8", &route_job, {MANY, .routes = 8}},
    {"offer-1-to-1", &route_job, {ONE, .routes = 1}},
    {"offer-1-to-8", &route_job, {ONE, .routes = 8}},
    {"offer-64-to-8-by-key", &route_job, {MANY, BUDGET_KEYED, .routes = 8, .filter = BUDGET_BY_KEY}},
    {"offer-64-to-8-by-topic", &route_job, {MANY, BUDGET_KEYED, .routes = 8, .filter = BUDGET_BY_TOPIC}},
    {"offer-64-to-256-by-key", &route_job, {MANY, BUDGET_KEYED, .routes = 256, .filter = BUDGET_BY_KEY}},
    {"offer-64-to-64-by-8-keys",
     &route_job,
     {MANY, BUDGET_KEYED, .routes = 64, .filter = BUDGET_BY_KEY, .alike = 8}},
    {"offer-1-to-8-by-key", &route_job, {ONE, BUDGET_KEYED, .routes = 8, .filter = BUDGET_BY_KEY}},
    {"offer-1-to-8-by-topic", &route_job, {ONE, BUDGET_KEYED, .routes = 8, .filter = BUDGET_BY_TOPIC}},

    {"chan-64-by-feed", &chan_job, {MANY, .overflow = OVERFLOW_BY_FEED}},
    {"chan-64-pausable", &chan_job, {MANY, .overflow = OVERFLOW_BY_FEED, .pausable = true}},
    {"chan-64-block", &chan_job, {MANY, .overflow = OVERFLOW_BLOCK}},
    {"chan-64-drop-oldest", &chan_job, {MANY, .overflow = OVERFLOW_DROP_OLDEST}},
    {"chan-64-drop-newest", &chan_job, {MANY, .overflow = OVERFLOW_DROP_NEWEST}},
    {"chan-64-disconnect", &chan_job, {MANY, .overflow = OVERFLOW_DISCONNECT}},
    {"chan-64-latest", &chan_job, {MANY, BUDGET_DISTINCT, .overflow = OVERFLOW_LATEST_PER_KEY}},
    {"chan-1-by-feed", &chan_job, {ONE, .overflow = OVERFLOW_BY_FEED}},
    {"chan-1-pausable", &chan_job, {ONE, .overflow = OVERFLOW_BY_FEED, .pausable = true}},
    {"chan-1-block", &chan_job, {ONE, .overflow = OVERFLOW_BLOCK}},
    {"chan-1-drop-oldest", &chan_job, {ONE, .overflow = OVERFLOW_DROP_OLDEST}},
    {"chan-1-drop-newest", &chan_job, {ONE, .overflow = OVERFLOW_DROP_NEWEST}},
    {"chan-1-disconnect", &chan_job, {ONE, .overflow = OVERFLOW_DISCONNECT}},
    {"chan-1-latest", &chan_job, {ONE, BUDGET_DISTINCT, .overflow = OVERFLOW_LATEST_PER_KEY}},
};

int main(int argc, char **argv)
{
    return budget_main(cases, ARRAY_LEN(cases), argc, argv);
}
