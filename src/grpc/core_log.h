/* core_log.h - gRPC core's own log lines, at most so many in a second.
 *
 * What a peer sends can make the core write a line, so there is a limit. A failed assertion of the
 * core is always written: the core then aborts the process. */
#ifndef TRIBUTARY_GRPC_CORE_LOG_H
#define TRIBUTARY_GRPC_CORE_LOG_H

#include <stdbool.h>

struct core_line {
    const char *message; /* one line or several, without escapes */
    const char *file;
    int line;
    bool is_error; /* false: it only informs */
};

/* Called on any thread, also on those of the core, possibly with locks of the core held. They must
 * not block and not call the core. Both must be set. */
struct core_log_port {
    void (*write)(const struct core_line *line);
    void (*left_out)(const struct core_line *line); /* beyond the limit */
    unsigned max_per_second;                        /* 0: no limit */
};

/* Makes the port the place for the core's lines, for the whole process. Before the core is started,
 * once. `port` must stay. */
void core_log_init(const struct core_log_port *port);

#endif
