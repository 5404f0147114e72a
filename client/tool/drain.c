/* drain.c - `tributary drain`. */
#include <stdio.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/value.h"
#include "client/tool/verbs.h"

struct settings {
    struct common common;
    int64_t deadline_ns; /* 0: not given */
};

static int drain(const struct settings *settings, struct tributary *client)
{
    struct tributary_draining draining = {0};
    struct tributary_status status;
    char left[32];

    if (tributary_drain(client, settings->deadline_ns, link_left_ns(&settings->common), &draining, &status) !=
        TRIBUTARY_OK)
        return link_failed("draining the server", &status);
    duration_text(MAX_OF((int64_t)draining.deadline_unix_nano - clock_wall_ns(), 0), left, sizeof(left));
    printf("%s drains: %u producer%s, %u subscription%s; it ends within %s\n", link_target(&settings->common),
           draining.producers, draining.producers == 1 ? "" : "s", draining.subscriptions,
           draining.subscriptions == 1 ? "" : "s", left);
    return EXITS_OK;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.deadline_ns = 0};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        result = link_open(verb, &settings.common, &client);
        if (result == EXITS_OK)
            result = drain(&settings, client);
        tributary_free(client);
    }
    cli_free(verb, &settings, &arguments);
    return result;
}

static const struct option options[] = {
    {0, "deadline", OPTION_DURATION, "DURATION", offsetof(struct settings, deadline_ns),
     "how long it may take until the process has ended (default: --drain-timeout of the server)"},
};

static const struct option_bounds bounds[] = {{"deadline", NS_PER_MS, 3600 * NS_PER_S}};

static const struct example examples[] = {
    {"tributary drain", "end the server gently, as SIGTERM does"},
    {"tributary drain --deadline 1m -s unix:/run/tributary.sock", "another one, within a minute"},
};

const struct verb verb_drain = {
    .name = "drain",
    .arguments = "",
    .summary = "end the server gently",
    .text = "Consumers get what waits for them, producers are told to end, and the process ends. It answers "
            "when that has begun. From another\n"
            "machine the server takes this only with its option --remote-drain.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .bounds = bounds,
    .bound_count = ARRAY_LEN(bounds),
    .examples = examples,
    .example_count = ARRAY_LEN(examples),
    .run = run,
};
