/* fake_session.c - see fake_session.h. */
#include "seam/fake_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/shared_bytes.h"
#include "seam/transcript.h"

static void note(struct fake_session *session, const char *what)
{
    if (session->transcript.size > 0)
        buf_text(&session->transcript, ", ");
    buf_text(&session->transcript, what);
}

/* Adds `now`, or in how many milliseconds. */
static void note_deadline(struct fake_session *session, int64_t deadline_ns)
{
    if (deadline_ns == 0)
        buf_text(&session->transcript, " now");
    else if (deadline_ns == INT64_MAX)
        buf_text(&session->transcript, " some day");
    else
        buf_format(&session->transcript, " in %" PRId64, (deadline_ns - clock_mono_ns()) / NS_PER_MS);
}

static void welcome(void *ctx, uint64_t epoch)
{
    struct fake_session *session = ctx;

    transcript("  session %u welcome e%u", session->number, transcript_epoch(epoch));
    CHECK(session->welcomes++ == 0);
    session->epoch = epoch;
    note(session, "welcome");
}

static void start(void *ctx, const struct activation_params *params)
{
    struct fake_session *session = ctx;

    transcript("  session %u start %" PRIu64 " %s %s s%u", session->number, params->activation,
               transcript_bytes(shared_bytes_view(params->request)), transcript_deadline(params->deadline_ns),
               transcript_subscription(params->subscription_id));
    CHECK(session->welcomes == 1 && params->activation > session->latest);
    session->starts++;
    session->latest = params->activation;
    session->start_deadline_ns = params->deadline_ns;
    snprintf(session->subscription, sizeof(session->subscription), "%s", params->subscription_id);
    note(session, "start");
    buf_format(&session->transcript, " %" PRIu64 " \"", params->activation);
    struct bytes request = shared_bytes_view(params->request);
    buf_bytes(&session->transcript, request.data, request.size);
    buf_text(&session->transcript, "\"");
    if (session->ends_at_start)
        session_end(session->session, params->activation, CODE_OK, NULL, SESSION_END_BY_CODE);
}

static void stop(void *ctx, uint64_t activation, enum fault_reason reason, int64_t deadline_ns)
{
    struct fake_session *session = ctx;

    transcript("  session %u stop %" PRIu64 " %s %s", session->number, activation, fault_reason_name(reason),
               transcript_deadline(deadline_ns));
    CHECK(session->session && session->aborts == 0);
    session->stops++;
    note(session, "stop");
    buf_format(&session->transcript, " %" PRIu64 " %s", activation, fault_reason_name(reason));
    note_deadline(session, deadline_ns);
    if (session->ends_at_stop)
        session_end(session->session, activation, CODE_OK, NULL, SESSION_END_BY_CODE);
    if (session->leaves_at_stop)
        fake_session_leave(session, FAULT_NONE);
}

static void set_paused(void *ctx, uint64_t activation, bool pause)
{
    struct fake_session *session = ctx;

    transcript("  session %u %s %" PRIu64, session->number, pause ? "pause" : "resume", activation);
    *(pause ? &session->pauses : &session->resumes) += 1;
    note(session, pause ? "pause" : "resume");
    buf_format(&session->transcript, " %" PRIu64, activation);
}

static void closing(void *ctx, enum fault_reason reason, int64_t deadline_ns)
{
    struct fake_session *session = ctx;

    transcript("  session %u closing %s %s", session->number, fault_reason_name(reason),
               transcript_deadline(deadline_ns));
    CHECK(session->session && session->closings++ == 0 && session->welcomes == 1);
    note(session, "closing ");
    buf_text(&session->transcript, fault_reason_name(reason));
    note_deadline(session, deadline_ns);
    if (session->leaves_at_closing)
        fake_session_leave(session, FAULT_NONE);
}

static void abort_call(void *ctx, const struct fault *fault)
{
    struct fake_session *session = ctx;

    transcript("  session %u abort %s", session->number, transcript_fault(fault));
    CHECK(session->session && session->aborts++ == 0);
    session->fault = *fault;
    note(session, "abort ");
    buf_text(&session->transcript, fault_reason_name(fault->reason));
    if (session->leaves_at_abort)
        fake_session_leave(session, FAULT_NONE);
}

static struct session_failure failure(void *ctx)
{
    return ((struct fake_session *)ctx)->failure;
}

static const struct session_port port = {welcome, start, stop, set_paused, closing, abort_call, failure};

static void over(struct put_waiter *waiter)
{
    struct fake_session *session = container_of(waiter, struct fake_session, waiter);

    transcript("  session %u is unblocked", session->number);
    session->over++;
    if (session->offered_to == 0)
        session_unblocked(session->offered, 0);
    else
        loop_post(session->fixture->loop, &session->unblocked);
    session->unblocks = session->offered_to > 0;
}

static void unblocked(struct task *task)
{
    struct fake_session *session = container_of(task, struct fake_session, unblocked);

    session->unblocks = false;
    session_unblocked(session->offered, session->offered_to);
}

struct session_params fake_session_params(const char *name, enum session_mode mode)
{
    return (struct session_params){.name = text_of(name), .mode = mode, .peer = "session:1"};
}

enum fault_reason fake_session_try(struct fake_session *session, struct hub_fixture *fixture,
                                   struct session_params params)
{
    struct fake_session before = *session;
    enum fault_reason reason;

    buf_clear(&before.transcript);
    *session = (struct fake_session){.fixture = fixture,
                                     .transcript = before.transcript,
                                     .waiter = {.over = over},
                                     .unblocked = {.run = unblocked},
                                     .ends_at_start = before.ends_at_start,
                                     .ends_at_stop = before.ends_at_stop,
                                     .leaves_at_stop = before.leaves_at_stop,
                                     .leaves_at_closing = before.leaves_at_closing,
                                     .leaves_at_abort = before.leaves_at_abort};
    session->waits = params.mode == SESSION_BY_REQUEST;
    params.port = &port;
    params.ctx = session;
    if (transcript_on)
        session->number = ++fixture->sessions;
    transcript("session %u registers %s mode %d start_first %d", session->number,
               transcript_bytes(params.name), (int)params.mode, params.start_first);
    reason = hub_register(fixture->hub, &params, &session->session, &session->fault);
    if (reason != FAULT_NONE)
        transcript("  %s", transcript_fault(&session->fault));
    return reason;
}

void fake_session_join(struct fake_session *session, struct hub_fixture *fixture,
                       struct session_params params)
{
    CHECK(fake_session_try(session, fixture, params) == FAULT_NONE);
}

const char *fake_session_transcript(struct fake_session *session)
{
    buf_byte(&session->transcript, 0);
    session->transcript.size = 0; /* the next note begins anew; until then the text stays */
    return (const char *)session->transcript.data;
}

static enum err put(struct fake_session *session, uint64_t activation, struct chunk *chunk)
{
    OWNED(chunk_release) struct chunk *owned = chunk;
    enum err err;

    if (session->unblocks)
        loop_turn(session->fixture->loop);
    transcript("session %u offers %u to %" PRIu64, session->number, chunk->count, activation);
    session->offered = session->session;
    session->offered_to = activation;
    err = session_offer(session->session, activation, owned,
                        session->waits || activation == 0 ? &session->waiter : NULL, &session->offer);
    hub_fixture_offered(err, &session->offer);
    return err;
}

enum err fake_session_put(struct fake_session *session, uint64_t activation, uint32_t count)
{
    return put(session, activation, sample_chunk(count, "t", 16));
}

enum err fake_session_put_topics(struct fake_session *session, uint64_t activation, const char *topics)
{
    return put(session, activation, chunk_of_letters(topics, 8));
}

void fake_session_end(struct fake_session *session, uint64_t activation, enum fault_code code,
                      const char *message)
{
    transcript("session %u ends %" PRIu64 " %s", session->number, activation, fault_code_name(code));
    session_end(session->session, activation, code, message, SESSION_END_BY_CODE);
}

void fake_session_end_by(struct fake_session *session, uint64_t activation, enum fault_code code,
                         enum session_end_rule rule)
{
    session_end(session->session, activation, code, "by rule", rule);
}

void fake_session_report(struct fake_session *session, uint64_t activation, enum producer_state state,
                         uint32_t code, const char *message)
{
    session_report(session->session, activation, state, code, message);
}

void fake_session_leave(struct fake_session *session, enum fault_reason reason)
{
    struct session *registered = session->session;

    session->session = NULL;
    if (registered)
        transcript("session %u unregisters %s", session->number, fault_reason_name(reason));
    if (registered)
        hub_unregister(registered, reason);
}

void fake_session_fini(struct fake_session *session)
{
    fake_session_leave(session, FAULT_NONE);
    buf_fini(&session->transcript);
}
