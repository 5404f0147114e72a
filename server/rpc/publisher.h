/* publisher.h - the two ways to publish. For the files of this room; both ports' ctx is the rpc. */
#ifndef TRIBUTARY_SERVER_RPC_PUBLISHER_H
#define TRIBUTARY_SERVER_RPC_PUBLISHER_H

#include "server/wire/call.h"

extern const struct call_port publish_port;
extern const struct call_port publish_stream_port;

#endif
