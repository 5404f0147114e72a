/* credit.h - the arithmetic of credit: how much the server may still send. A subscriber has one
 * `struct credit` for events and one for bytes. Client thread. */
#ifndef TRIBUTARY_CLIENT_CREDIT_H
#define TRIBUTARY_CLIENT_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

struct credit {
    uint64_t window; /* what may be on its way; granted again as it is used; 0 with `by_hand` */
    bool bounded;    /* there is a bound for this kind */
    bool by_hand;    /* the user grants more; nothing is granted again by itself */
    uint64_t left;   /* granted on this stream and not used */
    uint64_t owed;   /* to be granted with the next message */
};

/* `amount` 0: no bound. With `by_hand` a later credit_add() can set one. */
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

/* A new stream begins without credit: everything that was granted and not used is owed again. */
static inline void credit_restart(struct credit *credit)
{
    credit->owed =
        credit->by_hand ? credit->owed + MIN_OF(credit->left, UINT64_MAX - credit->owed) : credit->window;
    credit->left = 0;
}

/* The program handled `amount`. This may be more than was left, because the server does not know of
 * a bound before the first credit reaches it. */
static inline void credit_use(struct credit *credit, uint64_t amount)
{
    credit->left -= MIN_OF(amount, credit->left);
    if (!credit->by_hand)
        credit->owed = credit->window - credit->left;
}

/* Whether to send credit now. True if something is owed and one of these holds: half of the window
 * is owed, `at_once`, or `by_hand`. */
static inline bool credit_is_due(const struct credit *credit, bool at_once)
{
    if (!credit->bounded || credit->owed == 0)
        return false;
    return credit->by_hand || at_once || credit->owed >= credit->window - credit->window / 2;
}

/* Grants everything that is owed, and returns how much that is. */
static inline uint64_t credit_grant(struct credit *credit)
{
    const uint64_t amount = credit->owed;

    credit->left += MIN_OF(amount, UINT64_MAX - credit->left);
    credit->owed = 0;
    return amount;
}

#endif
