/* actor.c - see actor.h. */
#include "seam/actor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void hear(struct actor *actor, const char *what)
{
    if (actor->heard.size > 0)
        buf_text(&actor->heard, ", ");
    buf_text(&actor->heard, what);
}

/* `now`, or in how many milliseconds. */
static void hear_when(struct actor *actor, int64_t deadline_ns)
{
    if (deadline_ns == 0)
        buf_text(&actor->heard, " now");
    else if (deadline_ns == INT64_MAX)
        buf_text(&actor->heard, " some day");
    else
        buf_format(&actor->heard, " in %" PRId64, (deadline_ns - clock_mono_ns()) / NS_PER_MS);
}

static void welcome(void *ctx, uint64_t epoch)
{
    struct actor *actor = ctx;

    CHECK(actor->welcomes++ == 0);
    actor->epoch = epoch;
    hear(actor, "welcome");
}

static void start(void *ctx, const struct activation_params *params)
{
    struct actor *actor = ctx;

    CHECK(actor->welcomes == 1 && params->activation > actor->latest);
    actor->starts++;
    actor->latest = params->activation;
    actor->start_deadline_ns = params->deadline_ns;
    snprintf(actor->subscription, sizeof(actor->subscription), "%s", params->subscription_id);
    hear(actor, "start");
    buf_format(&actor->heard, " %" PRIu64 " \"", params->activation);
    buf_bytes(&actor->heard, params->request.data, params->request.size);
    buf_text(&actor->heard, "\"");
    if (actor->ends_at_start)
        session_end(actor->session, params->activation, CODE_OK, NULL);
}

static void stop(void *ctx, uint64_t activation, enum fault_reason reason, int64_t deadline_ns)
{
    struct actor *actor = ctx;

    CHECK(actor->session && actor->cuts == 0);
    actor->stops++;
    hear(actor, "stop");
    buf_format(&actor->heard, " %" PRIu64 " %s", activation, fault_reason_name(reason));
    hear_when(actor, deadline_ns);
    if (actor->ends_at_stop)
        session_end(actor->session, activation, CODE_OK, NULL);
    if (actor->leaves_at_stop)
        actor_leave(actor, FAULT_NONE);
}

static void set_paused(void *ctx, uint64_t activation, bool pause)
{
    struct actor *actor = ctx;

    *(pause ? &actor->pauses : &actor->resumes) += 1;
    hear(actor, pause ? "pause" : "resume");
    buf_format(&actor->heard, " %" PRIu64, activation);
}

static void closing(void *ctx, enum fault_reason reason, int64_t deadline_ns)
{
    struct actor *actor = ctx;

    CHECK(actor->session && actor->closings++ == 0 && actor->welcomes == 1);
    hear(actor, "closing ");
    buf_text(&actor->heard, fault_reason_name(reason));
    hear_when(actor, deadline_ns);
    if (actor->leaves_at_closing)
        actor_leave(actor, FAULT_NONE);
}

static void abort_call(void *ctx, const struct fault *fault)
{
    struct actor *actor = ctx;

    CHECK(actor->session && actor->cuts++ == 0);
    actor->fault = *fault;
    hear(actor, "cut ");
    buf_text(&actor->heard, fault_reason_name(fault->reason));
    if (actor->leaves_at_cut)
        actor_leave(actor, FAULT_NONE);
}

static const struct session_port port = {welcome, start, stop, set_paused, closing, abort_call};

static void over(struct put_waiter *waiter)
{
    struct actor *actor = container_of(waiter, struct actor, waiter);

    session_unblocked(actor->session);
    actor->over++;
}

struct session_params actor_wish(const char *name, enum session_mode mode)
{
    return (struct session_params){.name = text_of(name), .mode = mode, .peer = "session:1"};
}

enum fault_reason actor_try(struct actor *actor, struct bench *bench, struct session_params params)
{
    struct actor bidden = *actor;

    buf_clear(&bidden.heard);
    *actor = (struct actor){.bench = bench,
                            .heard = bidden.heard,
                            .waiter = {.over = over},
                            .ends_at_start = bidden.ends_at_start,
                            .ends_at_stop = bidden.ends_at_stop,
                            .leaves_at_stop = bidden.leaves_at_stop,
                            .leaves_at_closing = bidden.leaves_at_closing,
                            .leaves_at_cut = bidden.leaves_at_cut};
    params.port = &port;
    params.ctx = actor;
    return hub_register(bench->hub, &params, &actor->session, &actor->fault);
}

void actor_join(struct actor *actor, struct bench *bench, struct session_params params)
{
    CHECK(actor_try(actor, bench, params) == FAULT_NONE);
}

const char *actor_heard(struct actor *actor)
{
    buf_byte(&actor->heard, 0);
    actor->heard.size = 0; /* the next word begins anew; until then the text stands */
    return (const char *)actor->heard.data;
}

static enum err put(struct actor *actor, uint64_t activation, struct chunk *chunk)
{
    OWNED(chunk_release) struct chunk *owned = chunk;

    return session_offer(actor->session, activation, owned, activation == 0 ? &actor->waiter : NULL,
                         &actor->offer);
}

enum err actor_put(struct actor *actor, uint64_t activation, uint32_t count)
{
    return put(actor, activation, sample_chunk(count, "t", 16));
}

enum err actor_put_topics(struct actor *actor, uint64_t activation, const char *topics)
{
    return put(actor, activation, chunk_of_letters(topics, 8));
}

void actor_end(struct actor *actor, uint64_t activation, enum fault_code code, const char *message)
{
    session_end(actor->session, activation, code, message);
}

void actor_leave(struct actor *actor, enum fault_reason reason)
{
    struct session *session = actor->session;

    actor->session = NULL;
    if (session)
        hub_unregister(session, reason);
}

void actor_fini(struct actor *actor)
{
    actor_leave(actor, FAULT_NONE);
    buf_fini(&actor->heard);
}
