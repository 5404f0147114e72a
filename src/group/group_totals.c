/* group_totals.c - see group_totals.h. */
#include "group/group_totals.h"

bool group_totals_hold(const struct group_totals *totals)
{
    uint64_t sum = totals->in_flight + totals->waiting;

    for (unsigned i = 0; i < OUTCOMES; i++)
        sum += totals->settled[i];
    return totals->assigned == sum;
}

bool member_totals_hold(const struct member_totals *totals)
{
    return totals->accepted == totals->delivered + totals->dropped + totals->queued + totals->returned;
}

void group_totals_add(struct group_totals *sum, const struct group_totals *totals)
{
    sum->assigned += totals->assigned;
    for (unsigned i = 0; i < OUTCOMES; i++)
        sum->settled[i] += totals->settled[i];
    sum->in_flight += totals->in_flight;
    sum->waiting += totals->waiting;
}
