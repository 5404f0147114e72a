/* fanin_port.c - which calls of --fan-in are whose: endpoints answer a call, or the server itself
 * answers for them, where it is reflection. */
#include "server/fanin/fanin.h"

#include <string.h>

#include "server/fanin/fanin_internal.h"
#include "reflect/answer.h"
#include "reflect/catalog.h"

void fanin_init(struct fanin *fanin, struct loop *loop, struct hub *hub, struct catalog *catalog)
{
    fanin->loop = loop;
    fanin->hub = hub;
    fanin->catalog = catalog;
    peer_charges_init(&fanin->messages, COUNT_LIVE_FANIN_BYTES, "message", "messages that wait from");
    peer_charges_init(&fanin->answers, COUNT_LIVE_FANIN_BYTES, "answer",
                      "answers of reflection on their way to");
}

void fanin_fini(struct fanin *fanin)
{
    peer_charges_fini(&fanin->messages);
    peer_charges_fini(&fanin->answers);
}

/* There is no authentication yet, so nobody is known by more than an address. */
enum fault_reason fanin_may_call(const struct call *call, struct bytes path, struct fault *fault)
{
    (void)call;
    (void)path;
    (void)fault;
    return FAULT_NONE;
}

static bool is_reflection(struct bytes path)
{
    for (size_t i = 0; i < REFLECTION_METHODS; i++) {
        if (bytes_same(path, text_bytes(reflection_methods[i])))
            return true;
    }
    return false;
}

/* Who owns the call, once opened() has run. NULL: it was refused. */
static const struct call_port *port_of(const struct call *call)
{
    const struct call_port *const *owned = call_owned(call);

    return owned ? *owned : NULL;
}

static void opened(struct call *call, void *ctx)
{
    struct fanin *fanin = ctx;
    const struct bytes path = call_path(call);
    struct fault fault;

    if (memchr(path.data, '\0', path.size)) {
        fault_bytes(&fault, FAULT_METHOD_NOT_SERVED, "method", path, "no NUL");
        call_finish(call, &fault);
    } else if (fanin_may_call(call, path, &fault)) {
        call_finish(call, &fault);
    } else if (is_reflection(path) && !catalog_is_silent(fanin->catalog)) {
        fanin_reflection_port.opened(call, ctx);
    } else {
        fanin_call_port.opened(call, ctx);
    }
}

static void message(struct call *call, struct message *message)
{
    port_of(call)->message(call, message);
}

static void half_closed(struct call *call)
{
    port_of(call)->half_closed(call);
}

static void sent(struct call *call, bool ok)
{
    port_of(call)->sent(call, ok);
}

static void lost(struct call *call)
{
    const struct call_port *port = port_of(call);

    if (port && port->lost)
        port->lost(call);
}

static void draining(struct call *call)
{
    const struct call_port *port = port_of(call);

    if (port && port->draining)
        port->draining(call);
}

static void closed(struct call *call, bool ok)
{
    const struct call_port *port = port_of(call);

    if (port)
        port->closed(call, ok);
}

const struct call_port fanin_port = {.leads_to_calls = true,
                                     .opened = opened,
                                     .message = message,
                                     .half_closed = half_closed,
                                     .sent = sent,
                                     .lost = lost,
                                     .draining = draining,
                                     .closed = closed};
