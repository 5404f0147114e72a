/* core_tags.c - see core_tags.h. */
#include "grpc/tags/core_tags.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/log.h"

#include <grpc/grpc.h>

/* The C++ functions, by the names that the Itanium ABI gives them. That ABI also says how the
 * status comes, which is an absl::Status by value: as the address of the caller's copy, which the
 * caller destroys. */
#define BEGIN_NAME "_Z16grpc_cq_begin_opP21grpc_completion_queuePv"
#define END_NAME                                                                                             \
    "_Z14grpc_cq_end_opP21grpc_completion_queuePvN4absl7debian36StatusEPFvS1_P18grpc_cq_completionES1_S6_b"
#define NEXT_NAME "grpc_completion_queue_next"
#define CORE_VERSION "29.0.0" /* gRPC 1.51 */

struct grpc_cq_completion;
typedef void done_fn(void *arg, struct grpc_cq_completion *completion);
typedef bool begin_fn(grpc_completion_queue *queue, void *tag);
typedef void end_fn(grpc_completion_queue *queue, void *tag, void *status, done_fn *done, void *done_arg,
                    struct grpc_cq_completion *completion, bool internal);
typedef grpc_event next_fn(grpc_completion_queue *queue, gpr_timespec until, void *reserved);

/* What the core gets in place of an operation's tag and of what it calls when the queue hands the
 * operation out. */
struct ended_op {
    void *_Atomic tag;
    done_fn *done;
    void *done_arg;
};

static struct {
    begin_fn *begin;
    end_fn *end;
    next_fn *next;
    bool changes_tags;
} core;
static pthread_once_t core_found = PTHREAD_ONCE_INIT;
static _Atomic bool in_front;
static char common_tag;

/* The operation that next() hands out on this thread: the core calls its `done` on the way. */
static _Thread_local void *handed_out;

/* The linker is told that it needs this symbol, and so takes the functions below. */
extern const char core_tags_front;
const char core_tags_front = 1;

begin_fn core_tags_begin __asm__(BEGIN_NAME);
end_fn core_tags_end __asm__(END_NAME);

static void find_core(void)
{
    *(void **)&core.begin = dlsym(RTLD_NEXT, BEGIN_NAME);
    *(void **)&core.end = dlsym(RTLD_NEXT, END_NAME);
    *(void **)&core.next = dlsym(RTLD_NEXT, NEXT_NAME);
    CHECK(core.next);
    core.changes_tags = core.begin && core.end && strcmp(grpc_version_string(), CORE_VERSION) == 0;
}

static bool changes_tags(void)
{
    pthread_once(&core_found, find_core);
    return core.changes_tags;
}

static void on_handed_out(void *arg, struct grpc_cq_completion *completion)
{
    struct ended_op *ended = arg;
    done_fn *done;
    void *done_arg;

    /* What was written before the tag is seen: the core's queue brought `arg` to this thread. */
    handed_out = atomic_load_explicit(&ended->tag, memory_order_acquire);
    done = ended->done;
    done_arg = ended->done_arg;
    free(ended);
    done(done_arg, completion);
}

bool core_tags_begin(grpc_completion_queue *queue, void *tag)
{
    if (!changes_tags())
        return core.begin(queue, tag);
    if (!LIKELY(atomic_load_explicit(&in_front, memory_order_relaxed)))
        atomic_store_explicit(&in_front, true, memory_order_relaxed);
    return core.begin(queue, &common_tag);
}

/* The core says what the parameters are. NOLINTNEXTLINE(readability-function-size) */
void core_tags_end(grpc_completion_queue *queue, void *tag, void *status, done_fn *done, void *done_arg,
                   struct grpc_cq_completion *completion, bool internal)
{
    if (!changes_tags()) {
        core.end(queue, tag, status, done, done_arg, completion, internal);
        return;
    }
    struct ended_op *ended = malloc(sizeof(*ended));
    CHECK(ended); /* gRPC core ends the process too where memory runs out */
    ended->done = done;
    ended->done_arg = done_arg;
    atomic_store_explicit(&ended->tag, tag, memory_order_release);
    core.end(queue, &common_tag, status, on_handed_out, ended, completion, internal);
}

grpc_event grpc_completion_queue_next(grpc_completion_queue *queue, gpr_timespec until, void *reserved)
{
    pthread_once(&core_found, find_core);
    grpc_event event = core.next(queue, until, reserved);
    if (event.type == GRPC_OP_COMPLETE && event.tag == &common_tag)
        event.tag = handed_out;
    return event;
}

bool core_tags_are_in_front(void)
{
    return atomic_load_explicit(&in_front, memory_order_relaxed);
}

void core_tags_report(void)
{
    static atomic_flag reported = ATOMIC_FLAG_INIT;

    if (!core_tags_are_in_front() && !atomic_flag_test_and_set(&reported))
        log_write(LOG_WARN, "core.tags", LOG_TEXT("core", grpc_version_string()));
}
