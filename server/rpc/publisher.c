/* publisher.c - the rows of tributary.v1.Publisher. */
#include "server/rpc/publisher.h"

#include "server/rpc/rpc_internal.h"

enum err publisher_serve(struct rpc *rpc)
{
    enum err err = rpc_method(rpc, "/tributary.v1.Publisher/Publish", &publish_port, rpc);

    return err ? err : rpc_method(rpc, "/tributary.v1.Publisher/PublishStream", &publish_stream_port, rpc);
}
