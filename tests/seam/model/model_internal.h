/* model_internal.h - what the files of the model call of each other. */
#ifndef TRIBUTARY_TESTS_SEAM_MODEL_MODEL_INTERNAL_H
#define TRIBUTARY_TESTS_SEAM_MODEL_MODEL_INTERNAL_H

#include "seam/model/model.h"

void model_expect(struct model *model, enum kind kind, int s, int c, int reason, int64_t deadline_ns);
bool model_is_live(const struct model_pair *pair);
void model_pair_over(struct model *model, int s, int c);
void model_pair_begin(struct model *model, int s, int c);
/* Ends an activation at once, or because its time is over. */
void model_pair_end_now(struct model *model, int s, int c, int reason, bool notify);
/* The same without what its session does then. True: the session leaves when it is notified. */
bool model_pair_end_quietly(struct model *model, int s, int c, int reason, bool notify);
void model_pair_stop(struct model *model, int s, int c, int reason, int64_t deadline_ns);
void model_routes_off(struct model *model, int source);
void model_may_stop_any(struct model *model, int s, int reason, int64_t deadline_ns);
void model_session_over(struct model *model, int s, int reason, bool notify, bool notify_stops);
void model_session_close(struct model *model, int s, int reason, int64_t deadline_ns);
void model_go_live(struct model *model, int s);
bool model_move_to_drain(struct model *model, int c, int reason, int64_t deadline_ns);
void model_drain_consumer(struct model *model, int c, int reason, bool first);
void model_end_pairs_now(struct model *model, int c, int reason);
void model_abort_sessions(struct model *model);
void model_update_consumer(struct model *model, int c);
void model_update_session(struct model *model, int s);
int model_live_pairs(const struct model *model, int c);

#endif
