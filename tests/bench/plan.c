/* plan.c - reads the command line of the generator. */
#include "bench/plan.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/protocol.h"

const char plan_usage[] =
    "load - publishes to a server and receives from it, and checks every event\n"
    "\n"
    "Usage: load --server ADDRESS [OPTION ...]\n"
    "\n"
    "  --protocol NAME     tributary, dialled (tributary, and the producers are endpoints that it dials),\n"
    "                      raw (the relay), nats or redis (publish and subscribe) (default tributary)\n"
    "  --server ADDRESS    HOST:PORT in numbers, or unix:PATH\n"
    "  --pid PID           the server's process, for its CPU time and memory\n"
    "  --producers N       connections that publish (default 4; 1 to 1024)\n"
    "  --consumers N       connections that receive everything (default 1; 1 to 1024, with --idle 10000)\n"
    "  --per-message N     events in a message in (default 64; with nats and redis always 1: they know no "
    "more)\n"
    "  --payload BYTES     of each event (default 128; at least 16; a message has at most 128 KiB)\n"
    "  --in-flight N       closed loop: events published and not yet received by the slowest, at most "
    "(default 32768)\n"
    "  --rate N            open loop: events per second over all producers, evenly spread (default: closed "
    "loop)\n"
    "  --warm-up-ms MS     before the measured time (default 500)\n"
    "  --seconds S         the measured time (default 5)\n"
    "  --filter WHAT       none, key, type or topic: each consumer wants its share (default none; "
    "tributary)\n"
    "  --overflow WHAT     block, drop-oldest, drop-newest, disconnect or latest-per-key (default block; "
    "tributary)\n"
    "  --endpoint WHAT     shared, per-consumer (one consumer) or raw (one event in a message, shared)\n"
    "                      (default shared; dialled)\n"
    "  --stall N           the last N consumers stop reading when the measured time begins (default 0)\n"
    "  --flood N           one more producer, the flooder, publishes all that its connection takes\n"
    "                      (tributary): N events in a message; needs --rate; latency is the others'\n"
    "  --flood-apart       the last consumer receives the flooder only, and the other consumers all but it\n"
    "  --sort-window MS    events have times, and consumers get them in the order of these, each held for "
    "so\n"
    "                      long; 0: as they come (default: no times; tributary)\n"
    "  --idle              connect everybody, publish nothing\n"
    "  --patience S        give up when nothing has moved for so long (default 20)\n"
    "\n"
    "Prints one JSON object. Exit status: 1 when an event was lost, repeated or out of order, or a "
    "connection ended; 2 for a wrong command "
    "line.\n";

/* The words that an option accepts, in the order of their numbers. */
static const char *const filters[] = {"none", "key", "type", "topic", NULL};
static const char *const overflows[] = {"",           "block",          "drop-oldest", "drop-newest",
                                        "disconnect", "latest-per-key", NULL};

static const char *const endpoints[] = {"shared", "per-consumer", "raw", NULL};

struct reader {
    struct plan plan;
    char *wrong;
    size_t capacity;
};

static void refuse(struct reader *reader, const char *option, const char *value, const char *bound)
{
    if (!reader->wrong[0])
        snprintf(reader->wrong, reader->capacity, "%s \"%s\": %s", option, value, bound);
}

static uint32_t count(struct reader *reader, const char *option, uint32_t min, uint32_t max)
{
    char *end, bound[64];
    errno = 0;
    unsigned long value = strtoul(optarg, &end, 10);

    if (errno || *end || end == optarg || optarg[0] == '-' || value < min || value > max) {
        snprintf(bound, sizeof(bound), "must be %u to %u", min, max);
        refuse(reader, option, optarg, bound);
    }
    return (uint32_t)value;
}

static double decimal(struct reader *reader, const char *option, double min, double max)
{
    char *end, bound[64];
    double value = strtod(optarg, &end);

    if (*end || end == optarg || !isfinite(value) || value < min || value > max) {
        snprintf(bound, sizeof(bound), "must be %g to %g", min, max);
        refuse(reader, option, optarg, bound);
        return min;
    }
    return value;
}

static int word(struct reader *reader, const char *option, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (words[i][0] && !strcmp(words[i], optarg))
            return i;
    refuse(reader, option, optarg, "no such word");
    return 0;
}

static const struct protocol *protocol(struct reader *reader)
{
    static const struct protocol *const protocols[] = {&protocol_tributary, &protocol_dialled, &protocol_raw,
                                                       &protocol_nats, &protocol_redis};

    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        if (!strcmp(protocols[i]->name, optarg))
            return protocols[i];
    refuse(reader, "--protocol", optarg, "no such protocol");
    return NULL;
}

enum choice {
    SERVER,
    PROTOCOL,
    PID,
    PRODUCERS,
    CONSUMERS,
    PER_MESSAGE,
    PAYLOAD,
    IN_FLIGHT,
    RATE,
    WARM_UP,
    SECONDS,
    FILTER,
    OVERFLOW,
    ENDPOINT,
    STALLED,
    FLOOD,
    FLOOD_APART,
    SORT_WINDOW,
    IDLE,
    PATIENCE
};

static const struct option options[] = {
    {"server", 1, NULL, SERVER},
    {"protocol", 1, NULL, PROTOCOL},
    {"pid", 1, NULL, PID},
    {"producers", 1, NULL, PRODUCERS},
    {"consumers", 1, NULL, CONSUMERS},
    {"per-message", 1, NULL, PER_MESSAGE},
    {"payload", 1, NULL, PAYLOAD},
    {"in-flight", 1, NULL, IN_FLIGHT},
    {"rate", 1, NULL, RATE},
    {"warm-up-ms", 1, NULL, WARM_UP},
    {"seconds", 1, NULL, SECONDS},
    {"filter", 1, NULL, FILTER},
    {"overflow", 1, NULL, OVERFLOW},
    {"endpoint", 1, NULL, ENDPOINT},
    {"stall", 1, NULL, STALLED},
    {"flood", 1, NULL, FLOOD},
    {"flood-apart", 0, NULL, FLOOD_APART},
    {"sort-window", 1, NULL, SORT_WINDOW},
    {"idle", 0, NULL, IDLE},
    {"patience", 1, NULL, PATIENCE},
    {NULL, 0, NULL, 0},
};

static void read_time(struct reader *reader, enum choice choice)
{
    struct plan *plan = &reader->plan;

    if (choice == WARM_UP)
        plan->warm_up_ms = count(reader, "--warm-up-ms", 0, 600000);
    if (choice == SECONDS)
        plan->measure_ns = (int64_t)(decimal(reader, "--seconds", 0.01, 86400) * 1e9);
    if (choice == SORT_WINDOW) {
        plan->sort_window_ms = count(reader, "--sort-window", 0, 60000);
        plan->timed = true;
    }
    if (choice == PATIENCE)
        plan->patience_s = count(reader, "--patience", 1, 600);
}

static void read_option(struct reader *reader, enum choice choice)
{
    struct plan *plan = &reader->plan;

    switch (choice) {
    case SERVER:
        plan->server = optarg;
        break;
    case PROTOCOL:
        plan->protocol = protocol(reader);
        break;
    case PID:
        plan->server_pid = (int)count(reader, "--pid", 1, 1u << 30);
        break;
    case PRODUCERS:
        plan->producers = count(reader, "--producers", 1, MAX_PLAN_PRODUCERS);
        break;
    case CONSUMERS:
        plan->consumers = count(reader, "--consumers", 1, MAX_PLAN_IDLE);
        break;
    case PER_MESSAGE:
        plan->per_message = count(reader, "--per-message", 1, PLAN_ROUND_EVENTS);
        break;
    case PAYLOAD:
        plan->payload_bytes = count(reader, "--payload", MIN_PLAN_PAYLOAD, MAX_PLAN_MESSAGE);
        break;
    case IN_FLIGHT:
        plan->in_flight = count(reader, "--in-flight", 1, 1u << 30);
        break;
    case RATE:
        plan->rate = decimal(reader, "--rate", 1, 1e9);
        break;
    case WARM_UP:
    case SECONDS:
    case SORT_WINDOW:
    case PATIENCE:
        read_time(reader, choice);
        break;
    case FILTER:
        plan->filter = (enum filter)word(reader, "--filter", filters);
        break;
    case OVERFLOW:
        plan->overflow = (enum overflow)word(reader, "--overflow", overflows);
        break;
    case ENDPOINT:
        plan->endpoint = (enum endpoint)word(reader, "--endpoint", endpoints);
        break;
    case STALLED:
        plan->stalled = count(reader, "--stall", 0, MAX_PLAN_CONSUMERS);
        break;
    case FLOOD:
        plan->flood = count(reader, "--flood", 1, PLAN_ROUND_EVENTS);
        break;
    case FLOOD_APART:
        plan->flood_apart = true;
        break;
    case IDLE:
        plan->idle = true;
        break;
    }
}

static const char *find_flood_conflict(const struct plan *plan)
{
    if (!plan->flood)
        return plan->flood_apart ? "--flood-apart needs --flood" : NULL;
    if (plan->protocol != &protocol_tributary)
        return "--flood is for the protocol tributary";
    if (!(plan->rate > 0))
        return "--flood needs --rate";
    if (plan->producers == MAX_PLAN_PRODUCERS)
        return "--flood: at most 1023 other producers";
    if ((uint64_t)plan->flood * plan->payload_bytes > MAX_PLAN_MESSAGE)
        return "--flood times --payload: must be at most 131072";
    if (plan->filter != FILTER_NONE || plan->stalled)
        return "--flood excludes --filter and --stall";
    if (plan->flood_apart && plan->consumers < 2)
        return "--flood-apart needs two consumers";
    return NULL;
}

static const char *find_endpoint_conflict(const struct plan *plan)
{
    if (plan->endpoint != ENDPOINT_SHARED && plan->protocol != &protocol_dialled)
        return "--endpoint is for the protocol dialled";
    if (plan->endpoint == ENDPOINT_PER_CONSUMER && plan->consumers > 1)
        return "--endpoint per-consumer: one consumer";
    if (plan->endpoint == ENDPOINT_RAW && (plan->per_message > 1 || plan->filter != FILTER_NONE))
        return "--endpoint raw: one event in a message, and no filter";
    return plan->protocol == &protocol_dialled && plan->idle ? "--idle excludes the protocol dialled" : NULL;
}

/* Finds values that are valid by themselves and not together. */
static const char *find_conflict(const struct plan *plan)
{
    bool tributary = plan->protocol == &protocol_tributary || plan->protocol == &protocol_dialled;

    if (!plan->server)
        return "--server is needed";
    if (plan->consumers > MAX_PLAN_CONSUMERS && !plan->idle)
        return "--consumers above 1024 needs --idle";
    if ((uint64_t)plan->per_message * plan->payload_bytes > MAX_PLAN_MESSAGE)
        return "--per-message times --payload: must be at most 131072";
    if (plan->in_flight < plan->per_message)
        return "--in-flight: must hold a message";
    if (plan->stalled >= plan->consumers)
        return "--stall: one consumer must read";
    if (plan->stalled && plan->filter != FILTER_NONE)
        return "--stall and --filter exclude each other";
    if (!tributary && (plan->filter != FILTER_NONE || plan->overflow != OVERFLOW_BLOCK))
        return "--filter and --overflow are for the protocol tributary";
    if (plan->timed && (plan->protocol != &protocol_tributary || plan->flood))
        return "--sort-window is for the protocol tributary, without --flood";
    if (plan->rate > 0 && plan->idle)
        return "--rate and --idle exclude each other";
    const char *conflict = find_endpoint_conflict(plan);
    return conflict ? conflict : find_flood_conflict(plan);
}

bool plan_read(int argc, char **argv, struct plan *plan_out, char *wrong, size_t capacity)
{
    struct reader reader = {.plan = {.protocol = &protocol_tributary,
                                     .run = getpid(),
                                     .producers = 4,
                                     .consumers = 1,
                                     .per_message = 64,
                                     .payload_bytes = 128,
                                     .in_flight = 32768,
                                     .warm_up_ms = 500,
                                     .measure_ns = 5 * NS_PER_S,
                                     .overflow = OVERFLOW_BLOCK,
                                     .patience_s = 20},
                            .wrong = wrong,
                            .capacity = capacity};

    wrong[0] = 0;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1 && !wrong[0];) {
        if (option == '?')
            refuse(&reader, "option", argv[optind - 1], "not known, or without its value");
        else
            read_option(&reader, (enum choice)option);
    }
    if (!wrong[0] && optind < argc)
        refuse(&reader, "argument", argv[optind], "not expected");
    if (!wrong[0] && !reader.plan.protocol->packs)
        reader.plan.per_message = 1;
    const char *conflict = wrong[0] ? NULL : find_conflict(&reader.plan);
    if (conflict)
        snprintf(wrong, capacity, "%s", conflict);
    if (wrong[0])
        return false;
    *plan_out = reader.plan;
    plan_out->producers += plan_out->flood ? 1 : 0;
    return true;
}
