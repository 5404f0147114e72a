/* wire.c - the core as a whole. */
#include "server/wire/wire.h"

#include <stdlib.h>

#include "base/log.h"
#include "server/wire/core.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>

static void write_core_line(gpr_log_func_args *args)
{
    enum log_level level = args->severity == GPR_LOG_SEVERITY_ERROR ? LOG_WARN : LOG_DEBUG;

    log_write(level, "core", LOG_TEXT("message", args->message), LOG_TEXT("file", args->file),
              LOG_NUMBER("line", args->line));
}

void wire_init(void)
{
    gpr_set_log_function(write_core_line);
    gpr_set_log_verbosity(log_wants(LOG_DEBUG) ? GPR_LOG_SEVERITY_INFO : GPR_LOG_SEVERITY_ERROR);
    disable_lock_graph();
    grpc_init();
}

void wire_fini(void)
{
    grpc_shutdown_blocking();
}

const char *wire_version(void)
{
    return grpc_version_string();
}
