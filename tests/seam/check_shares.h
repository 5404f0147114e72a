/* check_shares.h - checks what a hub has charged to its peers. */
#ifndef TRIBUTARY_TESTS_SEAM_CHECK_SHARES_H
#define TRIBUTARY_TESTS_SEAM_CHECK_SHARES_H

struct hub;

/* Checks that no peer has more names or subscriptions than the present settings allow, that each
 * subscription is charged, that each name is charged except one whose session closes, and that
 * nothing else is charged. Between two calls of the hub. */
void check_shares(struct hub *hub);

#endif
