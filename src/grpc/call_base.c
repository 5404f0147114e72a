/* call_base.c - starts and counts the operations of a call. */
#include "grpc/call_base.h"

#include <grpc/byte_buffer.h>

static void on_read(struct op *op, bool ok)
{
    struct call_base *base = container_of(op, struct call_base, read);
    grpc_byte_buffer *message = base->received;

    base->reading = false;
    base->received = NULL;
    base->port->read(base, message, ok);
    call_base_unpin(base);
}

static void on_sent(struct op *op, bool ok)
{
    struct call_base *base = container_of(op, struct call_base, sent);

    base->sending = false;
    base->port->sent(base, ok);
    call_base_unpin(base);
}

void call_base_init(struct call_base *base, struct cq_thread *thread, const struct call_base_port *port,
                    grpc_call *core)
{
    *base = (struct call_base){
        .thread = thread, .port = port, .core = core, .read.done = on_read, .sent.done = on_sent};
}

grpc_call *call_base_fini(struct call_base *base)
{
    grpc_call *core = base->core;

    CHECK(base->pins == 0);
    base->core = NULL;
    return core;
}

void call_base_pin(struct call_base *base)
{
    base->pins++;
}

void call_base_unpin(struct call_base *base)
{
    if (--base->pins == 0)
        base->port->unpinned(base);
}

void call_base_start(struct call_base *base, const grpc_op *ops, size_t count, struct op *op)
{
    /* If the core refused the batch, no tag would arrive. */
    CHECK(grpc_call_start_batch(base->core, ops, count, op, NULL) == GRPC_CALL_OK);
    base->pins++;
}

void call_base_read(struct call_base *base, const grpc_op *also)
{
    grpc_op ops[2] = {{.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &base->received}};
    size_t count = 1;

    CHECK(!base->reading);
    base->reading = true;
    if (also)
        ops[count++] = *also;
    call_base_start(base, ops, count, &base->read);
}

void call_base_send(struct call_base *base, grpc_slice *slices, size_t slice_count, const grpc_op *also,
                    uint32_t flags)
{
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(slices, slice_count);
    grpc_op ops[2];
    size_t count = 0;

    CHECK(!base->sending);
    base->sending = true;
    if (also)
        ops[count++] = *also;
    ops[count++] =
        (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .flags = flags, .data.send_message.send_message = message};
    call_base_start(base, ops, count, &base->sent);
    grpc_byte_buffer_destroy(message);
}
