/* budget_engine.c - the cases of the engine: scan, route and push, put and take. The number behind
 * the kind is events per message. */
#include "budget.h"

#define MANY .messages = 16, .events = 64
#define ONE .messages = 64, .events = 1

static const struct budget_case cases[] = {
    {"scan-64", &scan_work, {MANY}},
    {"scan-64-envelope", &scan_work, {MANY, .text = BUDGET_ENVELOPE}},
    {"scan-64-utf8", &scan_work, {MANY, .text = BUDGET_WIDE}},
    {"scan-1", &scan_work, {ONE}},
    {"scan-1-envelope", &scan_work, {ONE, .text = BUDGET_ENVELOPE}},

    {"offer-64-to-1", &route_work, {MANY, .routes = 1}},
    {"offer-64-to-8", &route_work, {MANY, .routes = 8}},
    {"offer-1-to-1", &route_work, {ONE, .routes = 1}},
    {"offer-1-to-8", &route_work, {ONE, .routes = 8}},
    {"offer-64-to-8-by-key", &route_work, {MANY, BUDGET_KEYED, .routes = 8, .filter = BUDGET_BY_KEY}},
    {"offer-64-to-8-by-topic", &route_work, {MANY, BUDGET_KEYED, .routes = 8, .filter = BUDGET_BY_TOPIC}},
    {"offer-64-to-256-by-key", &route_work, {MANY, BUDGET_KEYED, .routes = 256, .filter = BUDGET_BY_KEY}},
    {"offer-1-to-8-by-key", &route_work, {ONE, BUDGET_KEYED, .routes = 8, .filter = BUDGET_BY_KEY}},
    {"offer-1-to-8-by-topic", &route_work, {ONE, BUDGET_KEYED, .routes = 8, .filter = BUDGET_BY_TOPIC}},

    {"chan-64-by-feed", &chan_work, {MANY, .overflow = OVERFLOW_BY_FEED}},
    {"chan-64-paced", &chan_work, {MANY, .overflow = OVERFLOW_BY_FEED, .pausable = true}},
    {"chan-64-block", &chan_work, {MANY, .overflow = OVERFLOW_BLOCK}},
    {"chan-64-drop-oldest", &chan_work, {MANY, .overflow = OVERFLOW_DROP_OLDEST}},
    {"chan-64-drop-newest", &chan_work, {MANY, .overflow = OVERFLOW_DROP_NEWEST}},
    {"chan-64-disconnect", &chan_work, {MANY, .overflow = OVERFLOW_DISCONNECT}},
    {"chan-64-latest", &chan_work, {MANY, BUDGET_DISTINCT, .overflow = OVERFLOW_LATEST_PER_KEY}},
    {"chan-1-by-feed", &chan_work, {ONE, .overflow = OVERFLOW_BY_FEED}},
    {"chan-1-paced", &chan_work, {ONE, .overflow = OVERFLOW_BY_FEED, .pausable = true}},
    {"chan-1-block", &chan_work, {ONE, .overflow = OVERFLOW_BLOCK}},
    {"chan-1-drop-oldest", &chan_work, {ONE, .overflow = OVERFLOW_DROP_OLDEST}},
    {"chan-1-drop-newest", &chan_work, {ONE, .overflow = OVERFLOW_DROP_NEWEST}},
    {"chan-1-disconnect", &chan_work, {ONE, .overflow = OVERFLOW_DISCONNECT}},
    {"chan-1-latest", &chan_work, {ONE, BUDGET_DISTINCT, .overflow = OVERFLOW_LATEST_PER_KEY}},
};

int main(int argc, char **argv)
{
    return budget_main(cases, ARRAY_LEN(cases), argc, argv);
}
