/* producer_change.h - what the change log hears of producers (change_log.h).
 *
 * Transitions report themselves. IDLE, ACTIVE and BLOCKED of producers that publish change on other
 * threads, which report nothing: the sampler looks at all producers every 50 ms while somebody
 * reads.
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_PRODUCER_CHANGE_H
#define TRIBUTARY_HUB_PRODUCER_CHANGE_H

struct hub;
struct producer;
struct producer_sampler;
struct producer_view;

/* It has its name now. */
void producer_added(struct producer *producer);
/* It may have another state, or an upstream call of it has failed. Where neither is so, nothing
 * happens. Before producer_added() and after producer_ending() nothing happens either. */
void producer_changed(struct producer *producer);
/* The same, and `view` has just been made of it. */
void producer_shown(struct producer *producer, const struct producer_view *view);
/* Its last transition has begun: producer_removed() follows. */
void producer_ending(struct producer *producer);
/* `reason` is static text. */
void producer_removed(struct producer *producer, const char *reason);

/* The sampler of a hub. NULL: out of memory. */
struct producer_sampler *producer_sampler_new(struct hub *hub);
void producer_sampler_free(struct producer_sampler *sampler); /* NULL is allowed */
/* Somebody reads changes, or nobody does any more. Each may be called twice. */
void producer_sampler_start(struct producer_sampler *sampler);
void producer_sampler_stop(struct producer_sampler *sampler);

#endif
