/* fanin_end.c - how a call of --fan-in ends, and what its sender calls. */
#include "flow/chan_stats.h"
#include "server/fanin/fanin_internal.h"

/* What was lost, and which upstreams have failed so far, stands in the trailers. */
void fanin_refuse(struct fanin_call *fanin_call, const struct fault *fault)
{
    struct outcome_trailers trailers;

    if (!call_alive(fanin_call->call))
        return;
    if (fanin_call->state == FANIN_LIVE) {
        raw_sender_report(fanin_call->sender);
        (void)outcome_update(&fanin_call->outcome);
        outcome_trailers(&fanin_call->outcome, &trailers, NULL);
        call_finish_as(fanin_call->call, &(struct call_status){.fault = fault,
                                                               .trailers = trailers.list,
                                                               .trailer_count = trailers.count});
        outcome_trailers_fini(&trailers);
    } else {
        call_finish(fanin_call->call, fault);
    }
    fanin_leave(fanin_call, fault->reason);
}

static bool is_ok(const struct outcome *outcome)
{
    return !outcome->bad || (outcome->rule == SERVE_END_PARTIAL_OK && outcome->good_count > 0);
}

/* Ends the call as its upstreams have ended. */
static void conclude(struct fanin_call *fanin_call, bool is_good)
{
    const struct part *bad = is_good ? NULL : fanin_call->outcome.bad;
    struct call_status status = {.code = CODE_OK};
    struct outcome_trailers trailers;

    outcome_trailers(&fanin_call->outcome, &trailers, bad);
    if (bad) {
        status.code = bad->code;
        status.text = text_bytes(bad->message);
        if (bad->end)
            status.details = bad->end->details;
    }
    status.trailers = trailers.list;
    status.trailer_count = trailers.count;
    call_finish_as(fanin_call->call, &status);
    outcome_trailers_fini(&trailers);
    fanin_leave(fanin_call, FAULT_NONE);
}

/* ---- the sender's port ---- */

static void on_lost_events(void *ctx, const struct lost_note *note)
{
    struct fanin_call *fanin_call = ctx;

    outcome_note_loss(&fanin_call->outcome, note);
}

static void on_state(void *ctx, const struct feed_change *change)
{
    struct fanin_call *fanin_call = ctx;

    outcome_note_state(&fanin_call->outcome, change);
}

/* With BLOCK nothing may be missing. */
static bool is_over(void *ctx)
{
    struct fanin_call *fanin_call = ctx;
    struct outcome *outcome = &fanin_call->outcome;
    struct fault fault;

    if (outcome->is_incomplete ||
        (outcome->lost > 0 && fanin_call->request.limits.overflow == OVERFLOW_BLOCK)) {
        fault_number(&fault, FAULT_ANSWERS_LOST, "lost", outcome->lost, "none with tributary-policy block");
        fanin_refuse(fanin_call, &fault);
        return true;
    }
    /* Where the server drains, or an operator ends the call, their ends are no failures. */
    const bool ends_now =
        outcome_update(outcome) && (!fanin_call->closing_known || fanin_call->closing == CLOSING_ALL_ENDED);
    /* The end of the one that has answered comes behind its answer; its trailers are in it. */
    const bool is_answered = called_of(fanin_call)->first_ok && outcome->good_count > 0 &&
                             raw_sender_messages(fanin_call->sender) > 0;
    if (ends_now || is_answered)
        conclude(fanin_call, is_answered);
    return ends_now || is_answered;
}

static bool ended(void *ctx, enum chan_state how)
{
    struct fanin_call *fanin_call = ctx;
    const struct outcome *outcome = &fanin_call->outcome;
    struct fault fault;

    /* The rest was cut off after all have ended: abort_call() says why. */
    const bool is_aborted = how == CHAN_CLOSED && fanin_call->closing_known &&
                            fanin_call->closing == CLOSING_ALL_ENDED &&
                            called_ends_early(called_of(fanin_call));

    if (how != CHAN_BROKEN && (!fanin_call->closing_known || is_aborted))
        return false;
    if (how == CHAN_BROKEN) {
        chan_too_slow(fanin_call->result.chan, &fault);
        fanin_refuse(fanin_call, &fault);
    } else if (fanin_call->closing == CLOSING_ALL_ENDED && is_ok(outcome) &&
               called_of(fanin_call)->first_ok && raw_sender_messages(fanin_call->sender) == 0) {
        fault_number(&fault, FAULT_ANSWERS_LOST, "lost", 1,
                     "none; an endpoint was removed while it answered");
        fanin_refuse(fanin_call, &fault);
    } else if (fanin_call->closing == CLOSING_ALL_ENDED) {
        conclude(fanin_call, is_ok(outcome));
    } else {
        fault_set(&fault, fanin_call->closing == CLOSING_SERVER_DRAINING ? FAULT_DRAINING : FAULT_KICKED, "",
                  "");
        fanin_refuse(fanin_call, &fault);
    }
    return true;
}

static void on_not_reading(void *ctx, const struct fault *fault)
{
    fanin_refuse(ctx, fault);
}

const struct raw_sender_port fanin_sender_port = {.lost = on_lost_events,
                                                  .state = on_state,
                                                  .is_over = is_over,
                                                  .not_reading = on_not_reading,
                                                  .ended = ended};
