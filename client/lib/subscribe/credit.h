/* credit.h - the arithmetic of credit: what may still be sent to us. One of events, one of bytes.
 * Client thread. */
#ifndef TRIBUTARY_CLIENT_CREDIT_H
#define TRIBUTARY_CLIENT_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

struct credit {
    uint64_t window; /* granted again as it is used; 0 with `by_hand` */
    bool bounded;    /* the stream is told about this kind at all */
    bool by_hand;
    uint64_t left; /* granted on this stream and not used */
    uint64_t owed; /* to be granted with the next message */
};

/* `amount` 0: no bound; by hand it may come later. */
static inline struct credit credit_of(uint64_t amount, bool by_hand)
{
    return (struct credit){
        .window = by_hand ? 0 : amount, .bounded = amount > 0, .by_hand = by_hand, .owed = amount};
}

static inline void credit_add(struct credit *credit, uint64_t amount)
{
    credit->bounded = credit->bounded || amount > 0;
    credit->owed += MIN_OF(amount, UINT64_MAX - credit->owed);
}

/* A new stream knows of no credit yet. */
static inline void credit_restart(struct credit *credit)
{
    credit->owed =
        credit->by_hand ? credit->owed + MIN_OF(credit->left, UINT64_MAX - credit->owed) : credit->window;
    credit->left = 0;
}

/* What was sent to us was handled. More than was left may come before the first credit has reached
 * the server. */
static inline void credit_use(struct credit *credit, uint64_t amount)
{
    credit->left -= MIN_OF(amount, credit->left);
    if (!credit->by_hand)
        credit->owed = credit->window - credit->left;
}

/* Worth a message: half the window was used, or, with `at_once`, anything. By hand: anything. */
static inline bool credit_is_due(const struct credit *credit, bool at_once)
{
    if (!credit->bounded || credit->owed == 0)
        return false;
    return credit->by_hand || at_once || credit->owed >= credit->window - credit->window / 2;
}

/* What to grant now. */
static inline uint64_t credit_take(struct credit *credit)
{
    const uint64_t amount = credit->owed;

    credit->left += MIN_OF(amount, UINT64_MAX - credit->left);
    credit->owed = 0;
    return amount;
}

#endif
