/* services.c - all services of the server: the rpc, and its table of methods. */
#include "server/rpc/services.h"

#include <stdlib.h>

#include "base/clock.h"
#include "batch/processor.h"
#include "loop/workers.h"
#include "server/rpc/details.h"
#include "server/rpc/endpoint_edits.h"
#include "server/rpc/method_table.h"
#include "server/rpc/rpc_internal.h"
#include "topic/topics.h"

/* The rows of one service must follow each other: rpc_service_next() relies on it. */
static enum err serve(struct rpc *rpc)
{
    enum err (*const services[])(struct rpc *) = {
        publish_serve,       publish_stream_serve, register_serve,      subscriber_serve,
        consume_serve,       admin_serve,          admin_ends_serve,    endpoints_serve,
        changes_serve,       explain_serve,        topics_edit_serve,   topics_list_serve,
        backup_serve,        finish_serve,         batch_run_serve,     batch_run_stream_serve,
        batch_process_serve, batch_list_serve,     batch_records_serve, health_serve};

    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        enum err err = services[i](rpc);

        if (err)
            return err;
    }
    return rpc->params.reflection ? reflection_serve(rpc) : ERR_OK;
}

struct status rpc_new(struct loop *loop, struct hub *hub, const struct rpc_params *params,
                      struct rpc **rpc_out)
{
    struct rpc *rpc = calloc(1, sizeof(*rpc));
    enum err err;

    if (!rpc)
        return (struct status){ERR_NO_MEMORY, 0, "making room for the services"};
    rpc->loop = loop;
    rpc->hub = hub;
    rpc->params = *params;
    rpc->started_wall_ns = clock_wall_ns();
    peer_charges_init(&rpc->answers, COUNT_LIVE_ANSWER_BYTES, "answer", "answers on their way to");
    peer_turns_init(&rpc->unary_turns, rpc->loop);
    peer_turns_init(&rpc->watch_turns, rpc->loop);
    stored_gate_init(&rpc->gate, params->topics ? topics_port(params->topics) : NULL);
    stored_makings_init(&rpc->makings);
    rpc->edits = endpoint_edits_new(loop, hub, params->dial, params->store);
    batch_records_init(&rpc->batch_records);
    peer_charges_init(&rpc->batch_memory, COUNT_LIVE_BATCH_BYTES, "operation", "batch operations of");
    rpc->batches = batch_processors_new(
        loop, &(struct batch_record_port){.record = batch_records_add, .ctx = &rpc->batch_records});
    err = rpc->edits && rpc->batches ? serve(rpc) : ERR_NO_MEMORY;
    if (err) {
        rpc_free(rpc);
        return (struct status){err, 0, "setting up the services"};
    }
    call_fault_details = fault_details;
    *rpc_out = rpc;
    return STATUS_OK;
}

void rpc_free(struct rpc *rpc)
{
    if (!rpc)
        return;
    batch_processors_free(rpc->batches);
    batch_records_fini(&rpc->batch_records);
    peer_charges_fini(&rpc->batch_memory);
    workers_free(rpc->file_workers);
    endpoint_edits_free(rpc->edits);
    peer_counts_fini(&rpc->topic_edits);
    reflection_free(rpc);
    health_free(rpc);
    rpc_free_methods(rpc);
    peer_charges_fini(&rpc->answers);
    peer_turns_fini(&rpc->unary_turns);
    peer_turns_fini(&rpc->watch_turns);
    stored_gate_fini(&rpc->gate);
    stored_makings_fini(&rpc->makings);
    free(rpc);
}

enum err rpc_load_endpoints(struct rpc *rpc, struct refusal *refusal)
{
    return endpoint_edits_load(rpc->edits, refusal);
}

void rpc_store_writable(struct rpc *rpc)
{
    stored_gate_writable(&rpc->gate);
}

void rpc_stop_batches(struct rpc *rpc, int64_t until_ns, void (*stopped)(void *ctx), void *ctx)
{
    batch_processors_stop(rpc->batches, until_ns, stopped, ctx);
}
