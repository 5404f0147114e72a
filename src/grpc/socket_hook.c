/* socket_hook.c - see socket_hook.h. */
#include "grpc/socket_hook.h"

#include "base/base.h"

#define CLIENT_USAGE 0

/* What the core says of a socket: grpc_mutate_socket_info. */
struct socket_info {
    int fd;
    int usage;
};

/* grpc_socket_mutator_vtable. */
struct socket_hook_calls {
    bool (*old_mutate)(int fd, struct socket_hook *hook);
    int (*compare)(struct socket_hook *a, struct socket_hook *b);
    void (*destroy)(struct socket_hook *hook);
    bool (*mutate)(const struct socket_info *info, struct socket_hook *hook);
};

static bool old_mutate(int fd, struct socket_hook *hook)
{
    return hook->opened(hook, fd);
}

static bool mutate(const struct socket_info *info, struct socket_hook *hook)
{
    return info->usage != CLIENT_USAGE || hook->opened(hook, info->fd);
}

static int compare(struct socket_hook *a, struct socket_hook *b)
{
    return a == b ? 0 : a < b ? -1 : 1;
}

static void destroy(struct socket_hook *hook)
{
    hook->free(hook);
}

static const struct socket_hook_calls calls = {
    .old_mutate = old_mutate, .compare = compare, .destroy = destroy, .mutate = mutate};

void socket_hook_init(struct socket_hook *hook, bool (*opened)(struct socket_hook *hook, int fd),
                      void (*free)(struct socket_hook *hook))
{
    *hook = (struct socket_hook){.calls = &calls, .opened = opened, .free = free};
    gpr_ref_init(&hook->refs, 1);
}

void socket_hook_release(struct socket_hook *hook)
{
    if (gpr_unref(&hook->refs))
        hook->free(hook);
}

static void *arg_copy(void *hook)
{
    gpr_ref(&((struct socket_hook *)hook)->refs);
    return hook;
}

static void arg_destroy(void *hook)
{
    socket_hook_release(hook);
}

static int arg_compare(void *a, void *b)
{
    return compare(a, b);
}

grpc_arg socket_hook_arg(struct socket_hook *hook)
{
    static const grpc_arg_pointer_vtable vtable = {
        .copy = arg_copy, .destroy = arg_destroy, .cmp = arg_compare};

    return (grpc_arg){.type = GRPC_ARG_POINTER,
                      .key = (char *)(uintptr_t)GRPC_ARG_SOCKET_MUTATOR,
                      .value.pointer = {hook, &vtable}};
}
