/* option.c - the options of every verb, and how an option is found. */
#include "client/tool/option.h"

#include <string.h>

#include "base/base.h"
#include "base/clock.h"

const struct option common_options[] = {
    {'s', "server", OPTION_TEXT, "ADDRESS", offsetof(struct common, server),
     "the server: HOST[:PORT], [V6]:PORT, unix:PATH or unix-abstract:NAME (default: $TRIBUTARY_SERVER, else "
     "127.0.0.1:7227)"},
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

/* Ten years: so that a duration can be added to a moment. */
#define MAX_TIME_NS (87600 * 3600 * NS_PER_S)

/* The bounds of options that have the same ones in every verb. */
static const struct option_bounds common_bounds[] = {
    {"connect-timeout", 100 * NS_PER_MS, 24 * 3600 * NS_PER_S}, /* as the client library has it */
    {"watch", 10 * NS_PER_MS, 24 * 3600 * NS_PER_S},
};

static const struct option_bounds *find_bounds(const struct option_bounds *bounds, size_t count,
                                               const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(bounds[i].name, name) == 0)
            return &bounds[i];
    }
    return NULL;
}

enum quantity_kind option_quantity_kind(const struct option *option)
{
    switch (option->kind) {
    case OPTION_COUNT:
        return QUANTITY_COUNT;
    case OPTION_BYTES:
        return QUANTITY_BYTES;
    case OPTION_DURATION:
    case OPTION_EVERY:
        return QUANTITY_DURATION;
    default:
        return QUANTITY_NUMBER;
    }
}

struct quantity_bounds option_bounds(const struct verb *verb, const struct option *option)
{
    const struct option_bounds *found = find_bounds(verb->bounds, verb->bound_count, option->name);

    if (!found)
        found = find_bounds(common_bounds, ARRAY_LEN(common_bounds), option->name);
    if (found)
        return (struct quantity_bounds){found->min, found->max};

    const enum quantity_kind kind = option_quantity_kind(option);

    return kind == QUANTITY_DURATION ? (struct quantity_bounds){0, MAX_TIME_NS} : quantity_any(kind);
}

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
