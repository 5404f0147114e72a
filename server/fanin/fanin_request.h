/* fanin_request.h - what the metadata of a call asks of the fan-in itself, checked against every
 * bound, with every default filled in.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_FANIN_FANIN_REQUEST_H
#define TRIBUTARY_SERVER_FANIN_FANIN_REQUEST_H

#include "base/fault.h"
#include "base/settings.h"
#include "event/filter.h"
#include "event/serve_entry.h"
#include "flow/chan_limits.h"

struct call;

struct fanin_request {
    struct filter *filter; /* of the endpoints; owned */
    struct chan_limits limits;
    enum serve_end end; /* SERVE_END_UNSAID: as the endpoints say */
};

/* Reads the keys that begin with "tributary-", during opened() of the call.
 *   FAULT_NONE  fanin_request_fini() must follow
 *   otherwise   *fault names the key, the value and the bound */
MUST_CHECK enum fault_reason fanin_request_read(const struct call *call, const struct settings *settings,
                                                struct fanin_request *request_out, struct fault *fault);
void fanin_request_fini(struct fanin_request *request);

#endif
