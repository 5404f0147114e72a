/* subscription_log.h - the log lines of a subscription, and its changes (change_log.h).
 *
 * Threads: the loop only. */
#ifndef TRIBUTARY_HUB_SUBSCRIPTION_LOG_H
#define TRIBUTARY_HUB_SUBSCRIPTION_LOG_H

struct subscription;

void subscription_log_added(struct subscription *subscription);          /* its producers are bound */
void subscription_log_draining(const struct subscription *subscription); /* a gentle end began */
void subscription_log_ended(const struct subscription *subscription);    /* with its totals */

#endif
