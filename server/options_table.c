/* options_table.c - the table of options. */
#include "server/options_table.h"

#include "base/clock.h"
#include "server/options.h"

#define FIELD(name) offsetof(struct options, name), sizeof(((struct options *)0)->name)
#define NO_FIELD 0, 0
#define KIB INT64_C(1024)
#define MIB (KIB * KIB)
#define MAX_TOPIC_EVENTS INT64_C(1000000000000)
#define HOUR_NS (3600 * NS_PER_S)

const struct option option_table[] = {
    {"listen", "ADDRESS",
     "serve at this address, see below; may be repeated, up to 16 times; port 0: any free one "
     "(default " DEFAULT_LISTEN ")",
     OPTION_LISTEN, NO_FIELD, 0, 0},
    {"fan-in", "ADDRESS",
     "answer calls of any method there, by the endpoints that serve it (docs/fan-in.md); may be repeated, up "
     "to 16 times (default: nowhere)",
     OPTION_FAN_IN, NO_FIELD, 0, 0},
    {"insecure-listen", NULL,
     "allow --listen on an address that other machines reach: no encryption, no authentication; whoever "
     "reaches the port can read, publish "
     "and stop the service",
     OPTION_FLAG, FIELD(insecure_listen), 0, 0},
    {"dial-allow", "PATTERN",
     "addresses that callers on other machines may let the server dial (AddProducer): `*` any run of "
     "characters, `?` one; unix sockets only behind unix: or unix-abstract: (default: none; callers on this "
     "machine may name any)",
     OPTION_TEXT, FIELD(dial_allow), 1, 256},
    {"upstream-tls", "NAME:KEY=VALUE,...",
     "a TLS setting that endpoints may name; ca=FILE: the roots to trust (default: the system's), "
     "cert=FILE,key=FILE: our own certificate with its chain, and its key, which other users must not be "
     "able to open, server-name=HOST: the name in the upstream's certificate (default: that of the "
     "address); all files in PEM; a comma of a file name is written twice; may be repeated, up to 32 times; "
     "the setting 'system' is always there; "
     "SIGHUP reads the files again",
     OPTION_UPSTREAM_TLS, NO_FIELD, 0, 0},
    {"endpoints-dir", "PATH",
     "a folder whose files define producers that the server dials (docs/endpoints.md), in YAML or JSON: one "
     "file for each, or lists of targets as Prometheus' file_sd has them; changes are noticed; may be "
     "repeated, up to 8 times",
     OPTION_ENDPOINTS_DIR, NO_FIELD, 0, 0},
    {"remote-drain", NULL,
     "let callers on other machines drain the server (default: callers on this machine only)", OPTION_FLAG,
     FIELD(remote_drain), 0, 0},
    {"unix-mode", "MODE",
     "the mode of socket files, in octal, from 0600 to 0777: whoever may write can connect (default 0600)",
     OPTION_UNIX_MODE, FIELD(unix_access), 0, 0},
    {"unix-group", "GROUP", "the group of socket files: a name or a number (default: that of the process)",
     OPTION_UNIX_GROUP, FIELD(unix_access), 0, 0},
    {"ready-file", "PATH", "write the bound addresses there, one per line, once the server serves",
     OPTION_TEXT, FIELD(ready_file), 0, 0},
    {"state-dir", "PATH",
     "a folder for what must survive a restart: stored topics (docs/topics.md), and endpoints that were "
     "added at run time; made with mode 0700 if it is missing (default: nothing survives)",
     OPTION_TEXT, FIELD(state_dir), 1, 480},
    {"create-topics", "PATTERN",
     "make a stored topic when something is published to a topic that matches and is not there: `*` any run "
     "of characters, `?` one; needs --state-dir; may be repeated, up to 16 times (default: topics are made "
     "by CreateTopic only)",
     OPTION_CREATE_TOPICS, NO_FIELD, 1, 256},
    {"topic-max-age", "DURATION", "how long a topic that is made so keeps an event", OPTION_DURATION_OR_NEVER,
     FIELD(topic_settings.max_age_ns), NS_PER_S, 876000 * HOUR_NS},
    {"topic-max-bytes", "BYTES", "how much such a topic keeps", OPTION_BYTES, FIELD(topic_settings.max_bytes),
     64 * KIB, MIB *MIB},
    {"topic-max-events", "N", "how many events such a topic keeps", OPTION_NUMBER,
     FIELD(topic_settings.max_events), 1, MAX_TOPIC_EVENTS},
    {"remote-backup", NULL,
     "let callers on other machines copy what --state-dir keeps (default: callers on this machine only)",
     OPTION_FLAG, FIELD(remote_backup), 0, 0},
    {"log-level", "LEVEL", "debug, info, warn, error or off (default info)", OPTION_LEVEL, FIELD(log_level),
     0, 0},
    {"log-format", "FORMAT", "text or json (default text)", OPTION_FORMAT, FIELD(log_format), 0, 0},
    {"wire-threads", "N", "threads that move data; one is fastest on few cores", OPTION_NUMBER,
     FIELD(wire_threads), 1, 64},
    {"memory-limit", "BYTES",
     "budget of all events that wait; above 80 % of it, history and the fullest channels lose events; beyond "
     "it, publishing is refused",
     OPTION_BYTES, FIELD(settings.memory_limit_bytes), MIB, MIB *MIB},
    {"channel-share", "PERCENT",
     "how much of it one consumer may ask for as its buffer; one that asks for more gets this", OPTION_NUMBER,
     FIELD(settings.channel_share_percent), 1, 100},
    {"max-connections", "N", "connections at a time", OPTION_NUMBER, FIELD(settings.max_connections), 1,
     1000000},
    {"max-subscriptions", "N", "subscriptions at a time", OPTION_NUMBER, FIELD(settings.max_subscriptions), 1,
     10000000},
    {"max-total-filter-cost", "BYTES",
     "how many bytes of one event all filters together may have to look at, where an index does not decide; "
     "about 1 ns each",
     OPTION_BYTES, FIELD(settings.max_total_filter_cost), KIB, KIB *MIB},
    {"max-producers", "N", "producers known at a time", OPTION_NUMBER, FIELD(settings.max_producers), 1,
     10000000},
    {"peer-share", "PERCENT",
     "how much of these four limits one peer may use: an IPv4 address, or the first 64 bits of an IPv6 "
     "address; 100: all",
     OPTION_NUMBER, FIELD(settings.peer_share_percent), 1, 100},
    {"local-peer-share", "PERCENT", "the same for a peer on this machine: a unix user, or a loopback address",
     OPTION_NUMBER, FIELD(settings.local_peer_share_percent), 1, 100},
    {"max-event-bytes", "BYTES", "one event", OPTION_BYTES, FIELD(settings.framing.max_event_bytes), 64,
     64 * MIB},
    {"max-batch-bytes", "BYTES", "one message with events", OPTION_BYTES,
     FIELD(settings.framing.max_batch_bytes), 64, 64 * MIB},
    {"max-header-bytes", "BYTES", "the metadata of one call; a call above it is refused", OPTION_BYTES,
     FIELD(settings.max_header_bytes), KIB, MIB},
    {"max-calls-per-connection", "N", "calls of one connection at a time", OPTION_NUMBER,
     FIELD(settings.max_calls_per_connection), 1, 100000},
    {"max-unfinished-bytes", "BYTES",
     "received bytes of a connection's messages that are not complete; beyond it, the connection ends",
     OPTION_BYTES, FIELD(settings.max_unfinished_bytes), 64 * KIB, 16 * KIB *MIB},
    {"max-kept-bytes", "BYTES",
     "the same of all connections together, and 12 KiB for each open call; beyond it, the connection that "
     "keeps the most ends",
     OPTION_BYTES, FIELD(settings.max_kept_bytes), 16 * MIB, MIB *MIB},
    {"max-connection-age", "DURATION", "a connection takes no new calls after so long",
     OPTION_DURATION_OR_NEVER, FIELD(settings.max_connection_age_ns), NS_PER_S, 168 * HOUR_NS},
    {"connection-age-grace", "DURATION", "how long its calls may go on then", OPTION_DURATION,
     FIELD(settings.connection_age_grace_ns), NS_PER_MS, 24 * HOUR_NS},
    {"min-ping-interval", "DURATION",
     "pings that follow each other faster count against a peer; the ninth ends its connection",
     OPTION_DURATION, FIELD(settings.min_ping_interval_ns), 100 * NS_PER_MS, HOUR_NS},
    {"guard-turn", "DURATION",
     "the estimated work of a wire thread that a connection may cause in one turn; the rest waits",
     OPTION_DURATION, FIELD(settings.guard_turn_ns), 50 * NS_PER_US, 100 * NS_PER_MS},
    {"guard-second", "DURATION", "the same, in one second", OPTION_DURATION, FIELD(settings.guard_second_ns),
     100 * NS_PER_MS, 60 * NS_PER_S},
    {"transient-forget", "DURATION", "forget a publishing producer so long after its last call",
     OPTION_DURATION, FIELD(settings.transient_forget_ns), NS_PER_MS, 24 * HOUR_NS},
    {"history", NULL,
     "keep the last events of every shared producer from the start (default: from the first subscription on "
     "that asks for them)",
     OPTION_FLAG, FIELD(settings.history), 0, 0},
    {"drain-timeout", "DURATION",
     "how long a drain (SIGTERM, SIGINT, SIGHUP) may take, until the process has ended; a second signal ends "
     "it "
     "at once",
     OPTION_DURATION, FIELD(settings.drain_timeout_ns), NS_PER_MS, HOUR_NS},
    {"write-timeout", "DURATION", "end a consumer that does not read for so long", OPTION_DURATION,
     FIELD(settings.write_timeout_ns), NS_PER_MS, HOUR_NS},
    {"max-block-timeout", "DURATION",
     "how long a consumer may have shared producers blocked; one that asks for more gets this",
     OPTION_DURATION, FIELD(settings.max_block_timeout_ns), NS_PER_MS, HOUR_NS},
    {"full-token-interval", "DURATION",
     "how long a stream that moves may be without a resume token of every source", OPTION_DURATION,
     FIELD(settings.full_token_interval_ns), NS_PER_S, 24 * HOUR_NS},
    {"reflection", "on|off", "server reflection (default: on where every address is local)", OPTION_ON_OFF,
     FIELD(reflection), 0, 0},
    {"guard", "on|off",
     "a guard in front of gRPC core, which bounds what a connection may cost (default on); off is for "
     "measurements: any peer can then stop the service",
     OPTION_ON_OFF, FIELD(guard), 0, 0},
    {"errors", NULL, "print every error this server gives, with its code, and exit", OPTION_ERRORS, NO_FIELD,
     0, 0},
    {"version", NULL, "print the version and exit", OPTION_VERSION, NO_FIELD, 0, 0},
    {"help", NULL, "print this and exit", OPTION_HELP, NO_FIELD, 0, 0},
    {"man", NULL, NULL, OPTION_MAN, NO_FIELD, 0, 0}, /* for the build only: without help, it is not listed */
    {NULL, NULL, NULL, OPTION_MAN, NO_FIELD, 0, 0},
};

_Static_assert(ARRAY_LEN(option_table) <= 65, "options_table.h says how many options there may be");

void *option_field(struct options *options, const struct option *option)
{
    return (char *)options + option->offset;
}

bool option_has_bounds(const struct option *option)
{
    return option->kind >= OPTION_NUMBER && option->kind <= OPTION_DURATION_OR_NEVER;
}

enum quantity_kind option_quantity_kind(const struct option *option)
{
    switch (option->kind) {
    case OPTION_BYTES:
        return QUANTITY_BYTES;
    case OPTION_DURATION:
        return QUANTITY_DURATION;
    case OPTION_DURATION_OR_NEVER:
        return QUANTITY_DURATION_OR_NEVER;
    default:
        return QUANTITY_NUMBER;
    }
}

struct quantity_bounds option_bounds(const struct option *option)
{
    return (struct quantity_bounds){(uint64_t)option->min, (uint64_t)option->max};
}

int64_t option_quantity(const struct options *options, const struct option *option)
{
    const void *of = (const char *)options + option->offset;

    return option->size == sizeof(uint32_t) ? *(const uint32_t *)of : *(const int64_t *)of;
}

void option_set_quantity(struct options *options, const struct option *option, int64_t quantity)
{
    if (option->size == sizeof(uint32_t))
        *(uint32_t *)option_field(options, option) = (uint32_t)quantity;
    else
        *(int64_t *)option_field(options, option) = quantity;
}

void options_set_defaults(struct options *options)
{
    *options = (struct options){.log_level = LOG_INFO,
                                .log_format = LOG_AS_TEXT,
                                .wire_threads = 1,
                                .settings = settings_defaults,
                                .topic_settings = {.max_bytes = 1024 * MIB, .max_events = MAX_TOPIC_EVENTS},
                                .unix_access = {.mode = DEFAULT_UNIX_MODE},
                                .guard = ON};
}
