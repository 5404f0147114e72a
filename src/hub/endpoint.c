/* endpoint.c - see endpoint.h. */
#include "hub/endpoint.h"

#include "base/base.h"
#include "base/clock.h"

/* Of sessions that have dialled in. */
#define RETRY_FIRST_NS NS_PER_S
#define MAX_RETRY_NS (30 * NS_PER_S)

/* Shorter waits leave nothing to the random part. */
#define MIN_RETRY_NS NS_PER_MS

void endpoint_init(struct endpoint *endpoint, const struct endpoint_rules *rules)
{
    CHECK(!rules || (rules->first_retry_ns >= MIN_RETRY_NS && rules->max_retry_ns >= MIN_RETRY_NS));
    *endpoint = (struct endpoint){.is_endpoint = !!rules, .rules = {RETRY_FIRST_NS, MAX_RETRY_NS}};
    if (rules)
        endpoint->rules = *rules;
    endpoint->state = endpoint_first_state(endpoint);
}

static void count_active(struct endpoint *endpoint, bool *active, bool is_active)
{
    if (*active && !is_active)
        endpoint->active_count--;
    if (!*active && is_active)
        endpoint->active_count++;
    *active = is_active;
}

void endpoint_moved(struct endpoint *endpoint, bool *active, enum producer_state state)
{
    if (!endpoint->is_endpoint)
        return;
    count_active(endpoint, active, state == PRODUCER_ACTIVE);
    if (state != PRODUCER_ACTIVE)
        endpoint->state = state;
}

void endpoint_left(struct endpoint *endpoint, bool *active)
{
    count_active(endpoint, active, false);
}
