/* connection_end.c - see connection_end.h. */
#include "server/wire/connection_end.h"

/* gRPC core ends a connection with this error code for one cause: "too_many_pings". */
#define ENHANCE_YOUR_CALM 11u

enum fault_reason connection_end_fault(const struct h2socket_end *end)
{
    switch (h2socket_end_reason(end)) {
    case H2GUARD_NO_REASON:
    case H2GUARD_REASON_COUNT:
        break;
    case H2GUARD_PREFACE:
    case H2GUARD_FIRST_FRAME:
    case H2GUARD_FRAME_SIZE:
    case H2GUARD_FRAME_TOO_LARGE:
    case H2GUARD_FRAME_STREAM:
    case H2GUARD_PADDING:
    case H2GUARD_IDLE_STREAM:
    case H2GUARD_ENDED_STREAM:
    case H2GUARD_HEADER_BLOCK:
    case H2GUARD_PUSH:
    case H2GUARD_MESSAGE_FLAG:
        return FAULT_BAD_HTTP2;
    case H2GUARD_COMPRESSED:
        return FAULT_UNKNOWN_ENCODING;
    case H2GUARD_HEADER_TOO_LARGE:
    case H2GUARD_TOO_MANY_CONTINUATIONS:
        return FAULT_METADATA_TOO_LARGE;
    case H2GUARD_MESSAGE_TOO_LARGE:
        return FAULT_BATCH_TOO_LARGE;
    case H2GUARD_UNFINISHED:
    case H2GUARD_KEPT_BY_PEER:
    case H2GUARD_KEPT_BY_ALL:
        return FAULT_UNFINISHED_MESSAGES;
    case H2GUARD_FLOOD_PINGS:
        return FAULT_TOO_MANY_PINGS;
    case H2GUARD_TOO_MANY_STREAMS:
    case H2GUARD_UNANSWERED:
    case H2GUARD_FLOOD_EMPTY_DATA:
    case H2GUARD_FLOOD_SMALL_DATA:
    case H2GUARD_FLOOD_EMPTY_MESSAGES:
    case H2GUARD_FLOOD_HEADERS:
    case H2GUARD_FLOOD_PRIORITY:
    case H2GUARD_FLOOD_RESETS:
    case H2GUARD_FLOOD_SETTINGS:
    case H2GUARD_FLOOD_WINDOW_UPDATES:
    case H2GUARD_FLOOD_LATE:
    case H2GUARD_FLOOD_OTHER:
        return FAULT_FLOOD;
    case H2GUARD_OPEN_TIMEOUT:
    case H2GUARD_HEADER_TIMEOUT:
    case H2GUARD_FRAME_TIMEOUT:
    case H2GUARD_SETTINGS_TIMEOUT:
        return FAULT_UNFINISHED_FRAME;
    case H2GUARD_BY_CORE:
        return h2socket_end_code(end) == ENHANCE_YOUR_CALM ? FAULT_TOO_MANY_PINGS : FAULT_BAD_HTTP2;
    case H2GUARD_NO_MEMORY:
        return FAULT_MEMORY_BUDGET;
    }
    return FAULT_NONE;
}
