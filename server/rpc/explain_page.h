/* explain_page.h - Admin.Explain of every subscription, a page at a time. For the files of this
 * room.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_RPC_EXPLAIN_PAGE_H
#define TRIBUTARY_SERVER_RPC_EXPLAIN_PAGE_H

#include "server/rpc/unary.h"

/* Answers the call later (unary->waits), or sets unary->fault. */
void explain_page(struct unary_call *unary, uint32_t page_size, const char *page_token, int64_t window_ns);

#endif
