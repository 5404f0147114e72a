/* puts_for.h - whose puts a channel takes (chan_change_over()). For the files of this room. */
#ifndef TRIBUTARY_FLOW_PUTS_FOR_H
#define TRIBUTARY_FLOW_PUTS_FOR_H

#include "flow/chan_internal.h"

/* Whether shared routes of this generation put now. Under the channel's lock. */
static inline bool chan_puts_for(const struct chan *chan, uint32_t generation)
{
    return generation == GENERATION_WILDCARD ? !chan->refuses_wildcard : generation == chan->generation;
}

#endif
