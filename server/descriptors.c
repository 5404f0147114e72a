/* descriptors.c - how many descriptors the daemon may open, and how many connections fit. */
#include "server/descriptors.h"

#include <sys/resource.h>

#include "base/log.h"

/* The soft limit, raised where the system allows it. */
static uint64_t raise_limit(void)
{
    struct rlimit limit = {0}, raised;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    raised = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : limit.rlim_cur;
}

struct status descriptors_prepare(const struct settings *settings)
{
    uint64_t limit = raise_limit(), kept = (uint64_t)settings->spare_descriptors + OWN_DESCRIPTORS;
    uint64_t fit = MIN_OF(limit > kept ? limit - kept : 0, (uint64_t)settings->max_connections);
    enum log_level level = LOG_INFO;

    if (fit < settings->max_connections)
        level = fit > 0 ? LOG_WARN : LOG_ERROR;
    log_write(level, "server.descriptors", LOG_NUMBER("limit", limit), LOG_NUMBER("kept", kept),
              LOG_NUMBER("connections", fit), LOG_NUMBER("max_connections", settings->max_connections));
    if (fit == 0)
        return (struct status){ERR_FULL, 0, "fit a connection below RLIMIT_NOFILE (ulimit -n)"};
    return STATUS_OK;
}
