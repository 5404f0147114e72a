/* batch_read.h - reads the messages of the service Batch that come often, without unpacking them.
 * For the files of this room.
 *
 * A known field must have its wire type, and groups are refused; unknown fields are passed over. Of
 * a field that occurs twice the last one counts. The bytes point into the message.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_BATCH_READ_H
#define TRIBUTARY_SERVER_RPC_BATCH_READ_H

#include "base/base.h"
#include "base/fault.h"
#include "event/field.h"

#define MAX_PROCESSOR_NAME_BYTES 256u
#define MAX_OPERATION_ID_BYTES 64u
#define MAX_OPERATION_BYTES ((uint64_t)1 << 20)

/* RunRequest, within its bounds. */
struct run_request {
    struct bytes processor, key, operation_id, data;
};

MUST_CHECK enum fault_reason run_request_read(struct bytes message, struct run_request *request_out,
                                              struct fault *fault);

/* One RunStreamRequest, or one of its `more`. */
struct stream_request {
    uint64_t request;
    struct bytes run;
    bool has_run, cancel, packed, has_more;
    int64_t timeout_ns; /* 0: none */
};

/* `inner`: it is one of `more`, and may have none itself. The bytes of `run` are not checked. */
MUST_CHECK enum fault_reason stream_request_read(struct bytes message, bool inner,
                                                 struct stream_request *request_out, struct fault *fault);

/* What a worker says. */
enum process_kind {
    PROCESS_NOTHING,
    PROCESS_HELLO,
    PROCESS_LOADED,
    PROCESS_RESULT,
    PROCESS_SAVED,
    PROCESS_FAILED,
    PROCESS_ABORTED,
    PROCESS_DRAINING
};

struct process_request {
    enum process_kind kind;
    struct bytes hello; /* HELLO: not read */
    uint64_t batch, id, generation;
    struct bytes data; /* RESULT */
    bool has_error;    /* RESULT */
    uint32_t code;     /* of the error, or FAILED */
    struct bytes text, reason;
    bool has_more;
};

/* Within its bounds; a code is 1 to 16. */
MUST_CHECK enum fault_reason process_request_read(struct bytes message, bool inner,
                                                  struct process_request *request_out, struct fault *fault);

/* Walks over the fields `number` of a message that was read: those of `more`. *at begins at NULL.
 * False: there is none any more. */
bool more_next(struct bytes message, uint32_t number, const uint8_t **at, struct bytes *more_out);

#endif
