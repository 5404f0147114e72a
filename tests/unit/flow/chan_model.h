/* chan_model.h - the channel once more, slow and plain: single events in arrays, every rule as it
 * is written. The test compares the two after each step. */
#ifndef TRIBUTARY_TESTS_FLOW_CHAN_MODEL_H
#define TRIBUTARY_TESTS_FLOW_CHAN_MODEL_H

#include "event/encode.h"
#include "flow/chan.h"
#include "flow/totals.h"

#define MODEL_FEEDS 8
#define MAX_MODEL 4096

struct model_event {
    uint32_t feed, size, put; /* put: the number of the put that it came with */
    uint32_t key;             /* 0: none */
    uint32_t marks;           /* how many marks were set before it came */
    uint64_t sequence;
    bool too_old; /* older than max_age */
};

struct model_queue {
    struct model_event events[MAX_MODEL];
    uint32_t count;
};

struct model_feed {
    struct totals accepted, delivered, dropped;
    struct lost_note unreported[LOSS_COUNT];
    uint64_t routed, reported;
    uint32_t state, reported_state;
    bool closed, gone, pausable;
    struct totals max_parked; /* pausable: how much it may have parked */
};

struct model {
    struct chan_limits limits;
    enum chan_state state;
    bool fallback_active;
    uint32_t marks, mark, marked;
    bool at_mark;
    uint64_t share_bytes; /* bytes */
    struct model_queue waiting, parked, in_flight;
    struct totals accepted, delivered;
    struct totals dropped[LOSS_COUNT];
    struct model_feed feeds[MODEL_FEEDS];
};

struct totals model_queue_totals(const struct model_queue *queue,
                                 uint32_t feed); /* MODEL_FEEDS: of all feeds */
bool model_is_parked(const struct model *model, uint32_t put);
bool model_is_blocked(const struct model *model); /* a shared feed has something parked */

enum err model_put(struct model *model, const struct model_event *events, uint32_t count);
bool model_dequeue(struct model *model, uint32_t max_events, uint64_t max_bytes);
void model_complete(struct model *model, enum loss reason); /* 0: delivered */
void model_activate_fallback(struct model *model);          /* the block timeout is over */
void model_drain(struct model *model);
void model_mark(struct model *model, uint32_t mark);
uint32_t model_marked(struct model *model);
void model_update_mark(struct model *model); /* after every step */
uint32_t model_next(struct model *model);    /* the size of the first waiting event */
void model_close(struct model *model, enum loss reason);
void model_gap(struct model *model, uint32_t feed, uint64_t first, uint64_t last);
uint64_t model_position(const struct model *model, uint32_t feed);
/* There are events or losses that the last state must wait for. */
bool model_has_more(const struct model *model, uint32_t feed);

/* ---- for the files of the model ---- */
struct totals *model_plus(struct totals *totals, uint64_t events, uint64_t bytes);
void model_append(struct model_queue *queue, const struct model_event *event);
struct model_event model_pull(struct model_queue *queue, uint32_t at);
void model_accept(struct model *model, const struct model_event *event);
void model_admit(struct model *model, struct model_event event);
void model_drop(struct model *model, struct model_event event, enum loss reason);
void model_update(struct model *model);
void model_expire(struct model *model);

#endif
