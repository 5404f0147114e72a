/* address_set.c - see address_set.h. An answer is applied in slices. */
#include "server/dial/address_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/retry_wait.h"
#include "flow/producer_state.h"
#include "hub/endpoint_rules.h"
#include "hub/hub.h"
#include "hub/session.h"
#include "server/dial/params_copy.h"
#include "server/dial/peer_words.h"
#include "server/dial/resolver.h"
#include "server/dial/set_members.h"

#define DRAIN_NS (5 * NS_PER_S) /* of an endpoint whose address is gone */
/* After a look-up that failed, or an endpoint that could not be made, or that somebody ended. */
#define FIRST_RETRY_NS NS_PER_S
#define RANDOM_PART 10 /* a tenth of a period at most is left out at random */

struct address_set {
    struct dialled dialled;
    struct set_home home;
    struct endpoint_params *params;
    char name[MAX_SET_NAME_BYTES + 1]; /* for logs */
    char authority[PLACE_TEXT_CAPACITY];
    struct session *session; /* NULL: it is over */
    struct lookup lookup;
    struct timer timer; /* of the next look-up */
    struct set_members members;

    struct slice slice;
    unsigned entered; /* it calls the hub, which may call back: it must not go yet */
    bool closing;
    bool stepping;               /* the slice is at work, and goes on where the set closes now */
    int64_t closing_deadline_ns; /* 0: at once */

    struct place *places; /* of the answer that is being applied */
    size_t place_count, next_place, total_places;

    uint32_t failures; /* look-ups in a row */
    uint64_t random;
    char failure[PEER_WORDS_BYTES + 1]; /* empty: all is well */
    int64_t failure_wall_ns;
    enum producer_state state; /* as reported */
    bool has_lost;             /* while an answer was applied, an endpoint has ended that was to stay */
};

static const struct address_set *set_of(const struct dialled *dialled)
{
    CHECK(dialled->kind == DIALLED_SET);
    return container_of(dialled, struct address_set, dialled);
}

/* ---- the end ---- */

static void set_free(struct address_set *set)
{
    slice_stop(&set->slice);
    timer_stop(&set->timer);
    set_members_fini(&set->members);
    params_copy_free(set->params);
    free(set->places);
    dialled_fini(&set->dialled);
    free(set);
}

static void enter(struct address_set *set)
{
    set->entered++;
}

/* Whether it is still there. */
static bool leave(struct address_set *set)
{
    set->entered--;
    if (!set->closing || set->entered > 0 || !set_members_have_left(&set->members))
        return true;
    count_add(COUNT_LIVE_DNS_SETS, -1);
    set->home.gone(set->home.ctx, &set->dialled);
    set_free(set);
    return false;
}

/* ---- what is wrong ---- */

/* The same failure again is no news. */
static void note_failure(struct address_set *set, const char *text)
{
    const bool is_news = strcmp(set->failure, text) != 0;

    peer_words_copy(set->failure, text_bytes(text));
    set->failure_wall_ns = clock_wall_ns();
    if (is_news)
        log_write(LOG_WARN, "endpoint.addresses_failed", LOG_TEXT("producer", set->name),
                  LOG_TEXT("address", set->authority), LOG_TEXT("reason", set->failure),
                  LOG_NUMBER("endpoints", set->members.count));
}

static void forget_failure(struct address_set *set)
{
    if (set->failure[0] != '\0')
        log_write(LOG_INFO, "endpoint.addresses_found", LOG_TEXT("producer", set->name),
                  LOG_NUMBER("endpoints", set->members.count));
    set->failure[0] = '\0';
}

/* ---- look-ups ---- */

static void on_due(struct timer *timer)
{
    struct address_set *set = container_of(timer, struct address_set, timer);

    resolver_start(set->home.resolver, &set->lookup);
}

static void look_up_in(struct address_set *set, int64_t wait_ns)
{
    set->timer.fired = on_due;
    if (timer_start(set->home.loop, &set->timer, wait_ns) != ERR_OK)
        log_write(LOG_ERROR, "endpoint.not_retried", LOG_TEXT("producer", set->name),
                  LOG_TEXT("reason", "out of memory"));
}

static void look_up_again(struct address_set *set)
{
    const int64_t period_ns = set->params->resolve_period_ns;

    if (set->failures > 0) {
        look_up_in(set, retry_wait_ns(FIRST_RETRY_NS, period_ns, set->failures, &set->random));
        return;
    }
    set->random = set->random * UINT64_C(6364136223846793005) + 1;
    look_up_in(set, period_ns - (int64_t)((set->random >> 33) % (uint64_t)(period_ns / RANDOM_PART)));
}

static void report(struct address_set *set, enum producer_state state, const char *text)
{
    if (set->session && (state != set->state || text))
        session_report(set->session, 0, state, text ? CODE_UNAVAILABLE : CODE_OK, text);
    set->state = state;
}

static void on_unanswered(struct address_set *set, const char *reason)
{
    count_add(COUNT_DNS_FAILED, 1);
    const bool is_known = set->state == PRODUCER_UNAVAILABLE && strcmp(set->failure, reason) == 0;

    note_failure(set, reason);
    if (!is_known)
        report(set, PRODUCER_UNAVAILABLE, set->failure);
}

static void on_late(struct lookup *lookup)
{
    struct address_set *set = container_of(lookup, struct address_set, lookup);

    enter(set);
    on_unanswered(set, "the resolver has not answered within 10 s");
    leave(set);
}

/* An address may have no endpoint for now: that is said, and tried again soon. */
static void note_applied(struct address_set *set)
{
    const struct set_members *members = &set->members;
    char refusal[160], text[PEER_WORDS_BYTES + 1];

    if (members->refused > 0) {
        fault_message(&members->refusal, refusal, sizeof(refusal));
        snprintf(text, sizeof(text), "%zu of %zu addresses have no producer: %s", members->refused,
                 set->place_count, refusal);
        note_failure(set, text);
    } else if (set->total_places > set->place_count) {
        snprintf(text, sizeof(text), "%zu addresses are too many: the first %zu have a producer each",
                 set->total_places, set->place_count);
        note_failure(set, text);
    } else {
        forget_failure(set);
    }
    set->failures = members->refused > 0 ? set->failures + 1 : 0;
}

static void finish(struct address_set *set)
{
    note_applied(set);
    free(set->places);
    set->places = NULL;
    report(set, PRODUCER_ACTIVE, NULL);
    if (set->has_lost)
        look_up_in(set, FIRST_RETRY_NS);
    else
        look_up_again(set);
    set->has_lost = false;
}

static int64_t closing_drain_ns(const struct address_set *set)
{
    return set->closing_deadline_ns > 0 ? MAX_OF(set->closing_deadline_ns - clock_mono_ns(), 0) : 0;
}

static bool step(struct slice *slice)
{
    struct address_set *set = container_of(slice, struct address_set, slice);
    const bool was_closing = set->closing;
    bool more = true;

    enter(set);
    set->stepping = true;
    if (set->closing)
        more = set_members_drop_one(&set->members, closing_drain_ns(set));
    else if (set->next_place < set->place_count)
        set_members_keep(&set->members, &set->places[set->next_place++]);
    else
        more = set_members_drop_one(&set->members, DRAIN_NS);
    if (!more && !set->closing)
        finish(set);
    set->stepping = false;
    return leave(set) && (more || set->closing != was_closing);
}

static void on_answered(struct lookup *lookup, const struct address_list *answer)
{
    struct address_set *set = container_of(lookup, struct address_set, lookup);

    set->places = answer->count > 0 ? malloc(answer->count * sizeof(*set->places)) : NULL;
    if (!set->places) {
        set->failures += set->failures < UINT32_MAX;
        on_unanswered(set, answer->count > 0 ? "out of memory" : answer->fault);
        look_up_again(set);
        return;
    }
    memcpy(set->places, answer->places, answer->count * sizeof(*set->places));
    set->place_count = answer->count;
    set->total_places = answer->total;
    set->next_place = 0;
    set_members_begin(&set->members);
    loop_slice_later(set->home.loop, &set->slice);
}

/* Where one that was to stay has ended, it is made again soon: by the next look-up. */
static void on_member_left(struct set_members *members, bool was_wanted)
{
    struct address_set *set = container_of(members, struct address_set, members);

    enter(set);
    if (was_wanted && set->timer.loop)
        look_up_in(set, FIRST_RETRY_NS);
    else if (was_wanted)
        set->has_lost = true;
    leave(set);
}

/* ---- the session's port ---- */

static void welcome(void *ctx, uint64_t epoch)
{
    struct address_set *set = ctx;

    (void)epoch;
    enter(set);
    report(set, PRODUCER_CONNECTING, NULL);
    resolver_start(set->home.resolver, &set->lookup);
    leave(set);
}

/* Where the hub drains it ends all endpoints itself. */
static void end(struct address_set *set, enum fault_reason reason, int64_t deadline_ns)
{
    struct session *session = set->session;

    enter(set);
    set->closing = true;
    set->closing_deadline_ns = deadline_ns;
    set->session = NULL;
    timer_stop(&set->timer);
    resolver_cancel(&set->lookup);
    set_members_close(&set->members);
    if (session)
        hub_unregister(session, reason);
    if (hub_draining(set->home.hub))
        slice_stop(&set->slice);
    else if (!set->stepping)
        loop_slice_later(set->home.loop, &set->slice);
    leave(set);
}

static void closing(void *ctx, enum fault_reason reason, int64_t deadline_ns)
{
    (void)reason;
    end(ctx, FAULT_NONE, deadline_ns);
}

static void abort_call(void *ctx, const struct fault *fault)
{
    end(ctx, fault->reason, 0);
}

static struct session_failure failure(void *ctx)
{
    const struct address_set *set = ctx;
    const bool is_there = set->failure[0] != '\0';

    return (struct session_failure){.code = is_there ? CODE_UNAVAILABLE : CODE_OK,
                                    .message = set->failure,
                                    .wall_ns = is_there ? set->failure_wall_ns : 0};
}

static const struct session_port session_port = {
    .welcome = welcome, .closing = closing, .abort_call = abort_call, .failure = failure};

/* ---- the beginning ---- */

/* NULL: out of memory. */
static struct address_set *set_new(const struct set_home *home, const struct endpoint_params *params,
                                   const struct place *place, const struct dialled_owner *owner)
{
    struct address_set *set = calloc(1, sizeof(*set));

    if (!set)
        return NULL;
    set->home = *home;
    set->random = (uint64_t)clock_mono_ns();
    snprintf(set->name, sizeof(set->name), "%.*s", (int)params->name.size, (const char *)params->name.data);
    place_text(place, set->authority);
    slice_init(&set->slice, step);
    set->lookup = (struct lookup){.port = place->port, .late = on_late, .answered = on_answered};
    memcpy(set->lookup.host, place->text, sizeof(set->lookup.host));
    set->params = params_copy(params);
    set->members = (struct set_members){
        .home = &set->home, .params = set->params, .authority = set->authority, .left = on_member_left};
    set_members_init(&set->members);
    const enum err err = dialled_init(&set->dialled, DIALLED_SET, params, owner);
    if (!set->params || err != ERR_OK) {
        set_free(set);
        return NULL;
    }
    if (set->params->authority[0] != '\0')
        set->members.authority = set->params->authority;
    return set;
}

enum fault_reason address_set_add(const struct set_home *home, const struct endpoint_params *params,
                                  const struct place *place, const struct dialled_owner *owner,
                                  struct dialled **dialled_out, struct fault *fault)
{
    struct address_set *set = set_new(home, params, place, owner);

    if (!set)
        return fault_set(fault, FAULT_MEMORY_BUDGET, NULL, NULL);
    const struct endpoint_rules rules = {.first_retry_ns = FIRST_RETRY_NS,
                                         .max_retry_ns = params->resolve_period_ns};
    const struct session_params session = {.name = params->name,
                                           .labels = params->labels,
                                           .label_count = params->label_count,
                                           .mode = SESSION_SHARED,
                                           .reject_duplicate = !params->replace,
                                           .peer = params->address,
                                           .peer_key = params->peer_key,
                                           .endpoint = &rules,
                                           .port = &session_port,
                                           .ctx = set};
    if (hub_register(home->hub, &session, &set->session, fault) != FAULT_NONE) {
        set_free(set);
        if (fault->reason == FAULT_NAME_TAKEN)
            fault_bytes(fault, FAULT_NAME_TAKEN, "endpoint.name", params->name, NULL);
        return fault->reason;
    }
    count_add(COUNT_LIVE_DNS_SETS, 1);
    *dialled_out = &set->dialled;
    return FAULT_NONE;
}

void address_set_each(const struct dialled *dialled, void (*each)(void *ctx, const char *name), void *ctx)
{
    set_members_each(&set_of(dialled)->members, each, ctx);
}
