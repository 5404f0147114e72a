/* producers_add.c - `tributary producers add` and `tributary producers update`. */
#include <stdio.h>

#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/endpoint_params.h"
#include "client/tool/endpoint_show.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"
#include "client/tool/verbs.h"

struct settings {
    struct common common;
    struct endpoint_params params;
    bool replace;
};

static void on_added(void *ctx, const struct tributary_producer *producer)
{
    const struct verb *verb = ctx;

    printf("%s is %s: ", producer->name, verb == &verb_producers_add ? "added" : "changed");
    endpoint_show_line(producer);
    if (!producer->kept && endpoint_not_kept_text(producer))
        fprintf(stderr, "It does not survive a restart of the server: %s.\n",
                endpoint_not_kept_text(producer));
}

static int add(const struct verb *verb, const struct settings *settings, const struct endpoint_texts *texts,
               struct tributary *client)
{
    const struct tributary_addition addition = {
        .endpoint = &texts->endpoint,
        .replace = settings->replace,
        .timeout_ns = link_left_ns(&settings->common),
        .each = on_added,
        .ctx = (void *)(uintptr_t)verb,
    };
    const bool adds = verb == &verb_producers_add;
    struct tributary_status status;
    enum tributary_code code = adds ? tributary_producer_add(client, &addition, &status)
                                    : tributary_producer_update(client, &addition, &status);

    if (code != TRIBUTARY_OK) {
        const int result = link_failed(texts->endpoint.name, &status);

        if (code == TRIBUTARY_ALREADY_EXISTS && adds)
            fprintf(stderr, "With --replace, the new producer takes the name.\n");
        if (code == TRIBUTARY_NOT_FOUND && !adds)
            fprintf(stderr, "'tributary producers add' adds it.\n");
        return result;
    }
    return EXITS_OK;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct settings settings = {.params = ENDPOINT_PARAMS_INIT};
    struct endpoint_texts texts = {.name_count = 0};
    struct text_list arguments = {0};
    struct tributary *client = NULL;
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        if (arguments.count < 2)
            result =
                cli_wrong(verb, "the producer's %s is missing", arguments.count == 0 ? "name" : "address");
        else
            result = endpoint_params_read(verb, &settings.params, &arguments, &texts);
        if (result == EXITS_OK)
            result = link_open(verb, &settings.common, &client);
        if (result == EXITS_OK)
            result = add(verb, &settings, &texts, client);
        tributary_free(client);
    }
    endpoint_texts_fini(&texts);
    cli_free(verb, &settings, &arguments);
    return result;
}

#define OFFSET(member) offsetof(struct settings, member)
/* The last one is for `add` only. */
static const struct option options[] = {
    {0, "request", OPTION_SERIES, "TEXT", OFFSET(params.requests),
     "a request message of the method: these bytes. Without one it is the consumer's own request. This and "
     "the next two may be repeated, and are sent in their order"},
    {0, "request-file", OPTION_SERIES, "FILE", OFFSET(params.requests),
     "a request message: the bytes of FILE, or of standard input for '-'"},
    {0, "request-hex", OPTION_SERIES, "HEX", OFFSET(params.requests),
     "a request message in hex, such as 0a03666f6f"},
    {0, "half-close", OPTION_CHOICE, HALF_CLOSE_WORDS, OFFSET(params.half_close),
     "when the server closes its side of an upstream call (default: after-requests)"},
    {0, "metadata", OPTION_LIST, "NAME=VALUE", OFFSET(params.metadata),
     "sent with each upstream call, and shown to nobody; may be repeated"},
    {0, "label", OPTION_LIST, "NAME=VALUE", OFFSET(params.labels),
     "a label of the producer, which selectors may ask for; may be repeated"},
    {0, "activation", OPTION_CHOICE, ACTIVATION_WORDS, OFFSET(params.activation),
     "one upstream call for each consumer, one for all from now on, or one for those whose requests are "
     "equal (default: per-consumer; with --decode cascade shared)"},
    {0, "restart", OPTION_CHOICE, RESTART_WORDS, OFFSET(params.restart),
     "whether an upstream call that has ended begins again (default: on-failure)"},
    {0, "backoff", OPTION_DURATION, "DURATION", OFFSET(params.backoff_ns),
     "the wait before the first restart; it doubles with each failure (default: 1s)"},
    {0, "max-backoff", OPTION_DURATION, "DURATION", OFFSET(params.max_backoff_ns),
     "the longest wait (default: 30s)"},
    {0, "connect-timeout", OPTION_DURATION, "DURATION", OFFSET(params.connect_timeout_ns),
     "how long the upstream may take to accept a call (default: 10s)"},
    {0, "first-message-timeout", OPTION_DURATION, "DURATION", OFFSET(params.first_message_timeout_ns),
     "how long the first message of a call may take (default: no bound)"},
    {0, "idle-timeout", OPTION_DURATION, "DURATION", OFFSET(params.idle_timeout_ns),
     "how long the next message may take after each (default: no bound)"},
    {0, "decode", OPTION_CHOICE, DECODE_WORDS, OFFSET(params.decode),
     "what the messages are: EventBatch; any bytes, which become the data of one event each; or EventBatch "
     "of "
     "another tributary, whose sources are kept (default: auto, which is event-batch for a method "
     "Upstream/Produce, and cascade for Subscriber/Subscribe)"},
    {0, "key-field", OPTION_TEXT, "PATH", OFFSET(params.key_field),
     "where each message has the key of its event: a field number, or numbers with dots, such as 1.3.2; with "
     "--decode raw"},
    {0, "time-field", OPTION_TEXT, "PATH", OFFSET(params.time_field),
     "where it has the time: a Timestamp, or a fixed64 or varint of nanoseconds since 1970"},
    {0, "history-events", OPTION_NUMBER, "COUNT", OFFSET(params.history_events),
     "keep so many events for 'sub --last', from the first one on; with --activation shared or by-request "
     "(default: as all producers have it)"},
    {0, "history-bytes", OPTION_BYTES, "BYTES", OFFSET(params.history_bytes),
     "and so many bytes of them at most (default: 1MiB)"},
    {0, "serve", OPTION_LIST, "METHOD", OFFSET(params.serve),
     "answer callers of the server's --fan-in who call this method, /PACKAGE.SERVICE/METHOD, or any method "
     "of /PACKAGE.SERVICE/*; behind it may stand ,requests=many, ,answer=first-ok or ,answer=refuse, and "
     ",end=partial-ok or ,end=fail-fast, and ,rejoin=yes (docs/fan-in.md). Without METHOD the endpoint then "
     "publishes "
     "nothing. May be repeated"},
    {0, "serve-request-metadata", OPTION_LIST, "NAME", OFFSET(params.serve_requests),
     "metadata of such a caller that goes on to the upstream: a name, or its beginning and *; may be "
     "repeated"},
    {0, "serve-answer-metadata", OPTION_LIST, "NAME", OFFSET(params.serve_answers),
     "metadata of the upstream that comes back to such a caller, as trailers; may be repeated"},
    {0, "descriptors", OPTION_TEXT, "FILE", OFFSET(params.descriptors),
     "what describes the services of --serve to reflection clients of the server's --fan-in: a file of "
     "'protoc --include_imports --descriptor_set_out' (default: the upstream's own reflection)"},
    {0, "authority", OPTION_TEXT, "NAME", OFFSET(params.authority),
     "for ':authority' (default: from the address)"},
    {0, "tls", OPTION_TEXT, "SETTING", OFFSET(params.tls),
     "a TLS setting of the server, see --upstream-tls of tributaryd; 'system' trusts the roots of the system "
     "(default: plaintext)"},
    {0, "each-address", OPTION_FLAG, "", OFFSET(params.each_address),
     "ADDRESS has a host name: each address that the name has now is a producer NAME@ADDRESS:PORT"},
    {0, "resolve-period", OPTION_DURATION, "DURATION", OFFSET(params.resolve_period_ns),
     "how often the name is looked up, with --each-address (default: 30s)"},
    {0, "replace", OPTION_FLAG, "", OFFSET(replace), "take the name over from a producer that has it"},
};
#define ADD_OPTIONS ARRAY_LEN(options)
#define UPDATE_OPTIONS (ADD_OPTIONS - 1)

#define MIN_NS (10 * NS_PER_MS)
#define HOUR_NS (3600 * NS_PER_S)
static const struct option_bounds bounds[] = {
    {"backoff", MIN_NS, HOUR_NS},
    {"max-backoff", MIN_NS, HOUR_NS},
    {"connect-timeout", MIN_NS, HOUR_NS},
    {"first-message-timeout", MIN_NS, 24 * HOUR_NS},
    {"idle-timeout", MIN_NS, 24 * HOUR_NS},
    {"resolve-period", NS_PER_S, HOUR_NS},
    {"history-events", 1, 1024},
    {"history-bytes", 1024, 16 << 20},
};

static const struct example add_examples[] = {
    {"tributary producers add db unix:/run/db-events", "a program that serves tributary.v1.Upstream/Produce"},
    {"tributary producers add health web-1:9090 grpc.health.v1.Health/Watch --request ''",
     "each change of a service's health; its request is an empty message"},
    {"protoc --encode observer.GetFlowsRequest --descriptor_set_in observer.pb < flows.txt | tributary "
     "producers add flows hubble:4245 observer.Observer/GetFlows --request-file - --label from=cilium",
     "any other request is made by protoc, from its text form and the descriptors of the service"},
    {"tributary producers add prices [2001:db8::7]:443 feed.Prices/Follow --activation shared --metadata "
     "authorization=\"Bearer $TOKEN\" --idle-timeout 1m",
     "one upstream call for all consumers, which is made anew after a minute without a message"},
    {"tributary producers add web web.example:9090 feed.Log/Follow --each-address --resolve-period 10s",
     "a producer web@ADDRESS:9090 for each address of web.example, as they come and go"},
};

static const struct example update_examples[] = {
    {"tributary producers update health web-2:9090 grpc.health.v1.Health/Watch --request ''",
     "another address; the same method and the same request"},
};

const struct verb verb_producers_add = {
    .name = "producers add",
    .arguments = "NAME ADDRESS [METHOD]",
    .max_arguments = 3,
    .summary = "add a producer that the server dials",
    .text =
        "The server calls METHOD at ADDRESS and takes the messages of the answer as events of the producer "
        "NAME. Any method of any gRPC\n"
        "service will do that answers with a stream; the default is " ENDPOINT_DEFAULT_METHOD
        ", for programs\n"
        "that are made for it. ADDRESS is HOST:PORT, dns:HOST:PORT, ipv4:A.B.C.D:PORT, ipv6:[V6]:PORT or "
        "unix:PATH. Messages that are no\n"
        "EventBatch become the data of events, unchanged, with the content type application/grpc; "
        "method=METHOD.\n"
        "Requests are bytes as they are on the wire: protoc --encode makes them. The verb waits for the "
        "server, "
        "and not for the upstream:\n"
        "'producers ls' shows whether it answers. Endpoints survive a restart of a server with --state-dir. "
        "Without it they are gone then, and\n"
        "a note on standard error says so.",
    .options = options,
    .option_count = ADD_OPTIONS,
    .bounds = bounds,
    .bound_count = ARRAY_LEN(bounds),
    .examples = add_examples,
    .example_count = ARRAY_LEN(add_examples),
    .run = run,
};

const struct verb verb_producers_update = {
    .name = "producers update",
    .arguments = "NAME ADDRESS [METHOD]",
    .max_arguments = 3,
    .summary = "give other settings to a producer that the server dials",
    .text =
        "Replaces the endpoint NAME by one with these settings, and its upstream calls by new ones. Nothing "
        "is kept of the settings before:\n"
        "what is not given has its default again. Everything else is as with 'producers add'.",
    .options = options,
    .option_count = UPDATE_OPTIONS,
    .bounds = bounds,
    .bound_count = ARRAY_LEN(bounds),
    .examples = update_examples,
    .example_count = ARRAY_LEN(update_examples),
    .run = run,
};
