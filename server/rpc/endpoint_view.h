/* endpoint_view.h - what Producer says of an endpoint. For the files of this room.
 *
 * Threads: the loop. */
#ifndef TRIBUTARY_SERVER_RPC_ENDPOINT_VIEW_H
#define TRIBUTARY_SERVER_RPC_ENDPOINT_VIEW_H

#include <stdint.h>

struct buf;
struct producer_view;
struct session_failure;

/* Upstream calls that are open or being opened. */
uint32_t endpoint_open_calls(const struct producer_view *view);
/* Appends the fields of a Producer that only endpoints have. Without memory the buffer is broken.
 * */
void endpoint_write(const struct producer_view *view, struct buf *bytes);
/* The same of its last failure alone. */
void endpoint_write_failure(const struct session_failure *failure, struct buf *bytes);

#endif
