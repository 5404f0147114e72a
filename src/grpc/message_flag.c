/* message_flag.c - see message_flag.h. */
#include "grpc/message_flag.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>

/* GRPC_WRITE_INTERNAL_COMPRESS of the core. */
#define COMPRESSED UINT32_C(0x80000000)

static uint32_t (*flags_of)(grpc_call *call);

static void find(void)
{
    /* uint32_t grpc_call_test_only_get_message_flags(grpc_call *call), of C++ */
    *(void **)&flags_of = dlsym(RTLD_DEFAULT, "_Z37grpc_call_test_only_get_message_flagsP9grpc_call");
}

bool message_flag_is_known(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, find);
    return flags_of;
}

bool message_is_flagged(grpc_call *call)
{
    return message_flag_is_known() && (flags_of(call) & COMPRESSED);
}
