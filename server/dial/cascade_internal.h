/* cascade_internal.h - a cascade as the files see it that make it. */
#ifndef TRIBUTARY_SERVER_DIAL_CASCADE_INTERNAL_H
#define TRIBUTARY_SERVER_DIAL_CASCADE_INTERNAL_H

#include "base/buf.h"
#include "base/mailbox.h"
#include "event/field_reader.h"
#include "flow/put_waiter.h"
#include "hub/relays.h"
#include "server/dial/cascade.h"
#include "server/dial/cascade_read.h"
#include "server/dial/upstream_plan.h"

/* The parts of a message, in the order in which they are taken. */
enum cascade_pass { PASS_LOSSES, PASS_RUNS, PASS_STATES, PASS_PROGRESS, PASS_COUNT };

/* What the loop does for a message that waits. */
struct cascade_order {
    enum { ORDER_NONE, ORDER_OPEN, ORDER_REPORT } kind; /* the last one, also when it is done */
    struct inner_name source;                           /* OPEN: in the message */
    struct relayed *relayed;                            /* REPORT: a reference */
    struct inner_state state;
    enum fault_reason reason; /* why it was refused */
};

struct cascade {
    /* Constant. */
    const struct upstream_plan *plan;
    struct relays *relays;
    struct session *session;

    /* The call's thread; the loop's while no call is open. */
    void (*ready)(void *ctx);
    void *ctx;
    uint64_t call;         /* its number, from 1 */
    bool resumes;          /* its request says where */
    bool got_message;      /* in this call */
    bool hurries;          /* the call is over */
    struct buf token;      /* the latest; empty: none */
    uint64_t token_number; /* of `token`: from 1 */
    int64_t refused_until_ns;
    int64_t logged_ns; /* of the latest line about events without a source */
    uint64_t unlogged;
    struct source *origin;   /* of the latest run that has one; NULL: there was none */
    struct buf origin_inner; /* as the upstream has it */

    /* The message at hand. */
    grpc_byte_buffer *message;
    grpc_slice copy;
    bool is_copied;
    struct bytes bytes;
    enum cascade_pass pass;
    struct field_reader reader;
    struct bytes item;
    uint32_t item_number; /* the field's; 0: there is no item */

    /* What it waits for. */
    struct cascade_order order;
    struct task order_task, ordered_task;
    struct relayed *blocked; /* a reference */
    struct put_waiter waiter;
    struct task unblocked_task;
};

/* ---- cascade_life.c ---- */

/* The loop makes or reports a source: the item at hand waits for that. */
enum cascade_step cascade_order_open(struct cascade *cascade, const struct inner_name *source);
enum cascade_step cascade_order_report(struct cascade *cascade, struct relayed *relayed,
                                       const struct inner_state *state);

/* ---- cascade_items.c ---- */

/* Takes the item at hand. WAITS: it is at hand again afterwards, unless it has set item_number to
 * 0. */
enum cascade_step cascade_item(struct cascade *cascade, struct fault *fault);

/* ---- cascade_resume.c ---- */

/* From now on the stream stands at this token. An empty one is none, and nothing changes. */
void cascade_set_token(struct cascade *cascade, struct bytes token);
/* Whether the next call can say where the last one stood. */
bool cascade_can_resume(const struct cascade *cascade);

#endif
