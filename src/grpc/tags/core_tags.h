/* core_tags.h - makes an operation of gRPC core cost the same however many others wait.
 *
 * Debian builds gRPC core with its own checks (without NDEBUG). So a completion queue keeps a list
 * of the tags of all operations that were started and have not completed. An operation that
 * completes is looked for in it, from the oldest on. Each call that is open has one or two
 * operations that wait for its whole life, and stand at the front of the list. With 36 000 idle
 * calls the server did a twentieth of its work (docs/architecture.md, "Open calls cost nothing").
 *
 * A program that uses this room defines three functions itself, and the dynamic linker binds the
 * core to ours:
 *
 *   grpc_cq_begin_op()            puts the same tag on every operation. So the first of the list is
 *                                 the one that is looked for.
 *   grpc_cq_end_op()              the same, and notes the operation's own tag.
 *   grpc_completion_queue_next()  returns the operation's own tag.
 *
 * The first two are inside of gRPC core. Their names hold their types; where one of them is not
 * found, or the core is another version, the three change nothing. The operations work, and cost
 * what they cost without this room.
 *
 * A queue for grpc_completion_queue_pluck() or for callbacks cannot be used beside it.
 *
 * Threads: any. */
#ifndef TRIBUTARY_GRPC_TAGS_CORE_TAGS_H
#define TRIBUTARY_GRPC_TAGS_CORE_TAGS_H

#include <stdbool.h>

/* Whether the core calls the functions of this room, and they change tags. False until the first
 * operation was started. */
bool core_tags_are_in_front(void);
/* Writes a warning `core.tags` with the core's version where they are not in front, once in the
 * life of the process. Call when an operation has been started. */
void core_tags_report(void);

#endif
