/* main.c - tributaryd. */
#include "base/log.h"
#include "server/server.h"

#include <unistd.h>

int main(int argc, char **argv)
{
    struct options options;
    struct server server;

    switch (options_read(argc, argv, &options, stdout, stderr)) {
    case OPTIONS_DONE:
        return 0;
    case OPTIONS_WRONG:
        return 2;
    case OPTIONS_RUN:
        break;
    }
    log_setup(options.log_level, options.log_format, STDERR_FILENO);
    struct status status = server_start(&server, &options);
    int exit_status = status.code ? 1 : server_run(&server);
    server_free(&server);
    return exit_status;
}
