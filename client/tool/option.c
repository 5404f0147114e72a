/* option.c - the options of every verb, and how an option is found. */
#include "client/tool/option.h"

#include <string.h>

const struct option common_options[] = {
    {'s', "server", OPTION_TEXT, "HOST:PORT|unix:PATH", offsetof(struct common, server),
     "the server (default: $TRIBUTARY_SERVER, else 127.0.0.1:7227)"},
    {0, "connect-timeout", OPTION_DURATION, "DURATION", offsetof(struct common, connect_timeout_ns),
     "how long one attempt to connect may take (default: 10s)"},
    {0, "wait", OPTION_FLAG, "", offsetof(struct common, wait), "wait for a server that is not up yet"},
    {'v', "verbose", OPTION_FLAG, "", offsetof(struct common, verbose), "errors with the words of gRPC, too"},
    {0, "max-time", OPTION_DURATION, "DURATION", offsetof(struct common, max_time_ns),
     "give up after this long, with exit code 6"},
    {0, "rpc-header", OPTION_LIST, "'NAME: VALUE'", offsetof(struct common, rpc_headers),
     "metadata for every call; may be repeated"},
    {0, "plaintext", OPTION_IGNORED, "", 0, "taken and ignored: connections are in plain text"},
    {'h', "help", OPTION_FLAG, "", offsetof(struct common, help), "this text"},
};
const size_t common_option_count = sizeof(common_options) / sizeof(common_options[0]);

static const struct option *find_in(const struct option *options, size_t count, const char *name, size_t size,
                                    char letter)
{
    for (size_t i = 0; i < count; i++) {
        if (name && strlen(options[i].name) == size && strncmp(options[i].name, name, size) == 0)
            return &options[i];
        if (!name && options[i].letter == letter)
            return &options[i];
    }
    return NULL;
}

const struct option *option_find(const struct verb *verb, const char *name, size_t size, char letter)
{
    const struct option *option = find_in(verb->options, verb->option_count, name, size, letter);

    return option ? option : find_in(common_options, common_option_count, name, size, letter);
}

bool option_is_replaced(const struct verb *verb, const struct option *common_option)
{
    return !!find_in(verb->options, verb->option_count, common_option->name, strlen(common_option->name), 0);
}
