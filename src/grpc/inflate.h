/* inflate.h - a compressed message back into its bytes, within a bound.
 *
 * gRPC names two encodings that zlib reads: gzip (RFC 1952, one member or several) and deflate
 * (RFC 1950).
 *
 * Threads: any. */
#ifndef TRIBUTARY_GRPC_INFLATE_H
#define TRIBUTARY_GRPC_INFLATE_H

#include "base/base.h"
#include "base/fault.h"
#include "grpc/slices.h"

enum inflate_result {
    INFLATE_OK,
    INFLATE_BROKEN,    /* damaged, not complete, or followed by other bytes */
    INFLATE_TOO_LARGE, /* more than `max_bytes`: the rest was not inflated */
    INFLATE_NO_MEMORY
};

/* Inflates a raw byte buffer that the core says is compressed, with gzip or deflate. It takes at
 * most about twice `max_bytes` and 50 KiB of memory meanwhile. INFLATE_OK: *slice_out has the
 * bytes, takes no more memory than they do, and is the caller's. Otherwise *slice_out is unchanged.
 * */
MUST_CHECK enum inflate_result inflate_message(const grpc_byte_buffer *message, size_t max_bytes,
                                               grpc_slice *slice_out);

/* What a message is refused with: NONE, BAD_COMPRESSION, BATCH_TOO_LARGE or MEMORY_BUDGET. */
enum fault_reason inflate_fault(enum inflate_result result);

#endif
