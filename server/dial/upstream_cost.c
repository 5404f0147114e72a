/* upstream_cost.c - see upstream_cost.h. */
#include "server/dial/upstream_cost.h"

#include "loop/loop.h"

#define PART_OF_BUDGET 2u

void upstream_costs_init(struct upstream_costs *costs, struct loop *loop)
{
    costs->loop = loop;
    peer_charges_init(&costs->charges, COUNT_LIVE_UPSTREAM_BYTES, "upstream call", "upstream calls for");
    peer_charges_set_part(&costs->charges, PART_OF_BUDGET);
    peer_charges_init(&costs->deflated, COUNT_LIVE_DEFLATED_BYTES, "message",
                      "compressed messages of upstreams that wait for");
}

void upstream_costs_fini(struct upstream_costs *costs)
{
    peer_charges_fini(&costs->charges);
    peer_charges_fini(&costs->deflated);
}

enum fault_reason upstream_cost_add(struct upstream_costs *costs, struct upstream_cost *cost,
                                    struct peer_key payer, uint64_t bytes, struct fault *fault)
{
    if (payer.kind != PEER_NONE)
        return peer_charge_add(&costs->charges, loop_settings(costs->loop), &cost->of_peer, payer, bytes,
                               fault);
    if (!budget_take(COUNT_LIVE_UPSTREAM_BYTES, bytes))
        return fault_number(fault, FAULT_MEMORY_BUDGET, "upstream call", bytes, "");
    cost->bytes = bytes;
    return FAULT_NONE;
}

void upstream_cost_reduce(struct upstream_costs *costs, struct upstream_cost *cost, uint64_t bytes)
{
    if (cost->of_peer.count && bytes < cost->of_peer.bytes)
        peer_charge_set(&costs->charges, &cost->of_peer, bytes);
    if (bytes < cost->bytes) {
        budget_give(COUNT_LIVE_UPSTREAM_BYTES, cost->bytes - bytes);
        cost->bytes = bytes;
    }
}

void upstream_cost_give_back(struct upstream_costs *costs, struct upstream_cost *cost)
{
    peer_charge_give_back(&costs->charges, &cost->of_peer);
    if (cost->bytes > 0)
        budget_give(COUNT_LIVE_UPSTREAM_BYTES, cost->bytes);
    cost->bytes = 0;
}
