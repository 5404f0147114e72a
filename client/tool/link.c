/* link.c - connects to a server, and prints failures. */
#include "client/tool/link.h"

#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/place.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/plain_error.h"

#define MAX_RPC_HEADERS 16
#define DEFAULT_CONNECT_NS (10 * NS_PER_S)
#define WAIT_PAUSE_NS (200 * NS_PER_MS) /* between two attempts with --wait */

/* For link_reason(). The tool has one server. Written before there are other threads. */
static const char *server = TRIBUTARY_DEFAULT_TARGET;
static bool is_verbose;

/* The server's address as it was given. */
static const char *given_target(const struct common *common)
{
    const char *target = common->server ? common->server : getenv("TRIBUTARY_SERVER");

    return target && target[0] != '\0' ? target : TRIBUTARY_DEFAULT_TARGET;
}

const char *link_target(const struct common *common)
{
    static char text[PLACE_TEXT_CAPACITY]; /* other threads may read it once it is written */
    char fault[PLACE_FAULT_CAPACITY];
    struct place place;

    if (text[0] != '\0')
        return text;
    if (!place_parse(given_target(common), PLACE_CONNECT, &place, fault))
        return given_target(common);
    place_text(&place, text);
    return text;
}

int link_exit_code(enum tributary_code code)
{
    switch (code) {
    case TRIBUTARY_OK:
        return EXITS_OK;
    case TRIBUTARY_UNAVAILABLE:
        return EXITS_UNAVAILABLE;
    case TRIBUTARY_NOT_FOUND:
        return EXITS_NOT_FOUND;
    case TRIBUTARY_DEADLINE_EXCEEDED:
        return EXITS_DEADLINE;
    default:
        return EXITS_GRPC + (int)code;
    }
}

void link_reason(const struct tributary_status *status, char text[LINK_REASON_CAPACITY])
{
    const char *code = tributary_code_name(status->code);
    const bool has_reason = status->reason[0] != '\0';
    size_t size = 0;

    if (!plain_error(status, server, text, LINK_REASON_CAPACITY)) {
        snprintf(text, LINK_REASON_CAPACITY, "%s: %s%s%s%s", code, status->message, has_reason ? " (" : "",
                 status->reason, has_reason ? ")" : "");
        return;
    }
    size = strlen(text);
    if (is_verbose)
        snprintf(text + size, LINK_REASON_CAPACITY - size, " [gRPC: %s: %s]", code, status->message);
}

int link_failed(const char *doing, const struct tributary_status *status)
{
    char reason[LINK_REASON_CAPACITY];

    link_reason(status, reason);
    fprintf(stderr, "tributary: %s: %s\n", doing, reason);
    return link_exit_code(status->code);
}

void link_interrupted(const char *what, const struct tributary_status *status, int64_t retry_ns)
{
    char reason[LINK_REASON_CAPACITY];

    link_reason(status, reason);
    fprintf(stderr, "tributary: %s: %s; trying again in %" PRId64 " ms\n", what, reason,
            retry_ns / NS_PER_MS);
}

/* Splits "name: value" or "name=value". Writes the name in lower case to `name`, where `header`
 * points to. False: it has another form, or the name is too long. */
static bool split_header(const char *text, char *name, size_t capacity, struct tributary_header *header)
{
    const size_t size = strcspn(text, ":=");
    const char *value = text + size;

    if (size == 0 || size >= capacity || *value == '\0')
        return false;
    for (size_t i = 0; i < size; i++)
        name[i] = (char)tolower((unsigned char)text[i]);
    name[size] = '\0';
    for (value++; *value == ' '; value++)
        continue;
    header->name = (struct tributary_bytes){name, size};
    header->value = tributary_text(value);
    return true;
}

int64_t link_left_ns(const struct common *common)
{
    return common->over_ns == INT64_MAX ? 0 : MAX_OF(common->over_ns - clock_mono_ns(), 1);
}

int64_t link_limit_ns(const struct common *common, int64_t for_ns)
{
    const int64_t left_ns = link_left_ns(common);

    return left_ns > 0 && (for_ns == 0 || left_ns < for_ns) ? left_ns : for_ns;
}

static int64_t connect_ns(const struct common *common)
{
    return common->connect_timeout_ns > 0 ? common->connect_timeout_ns : DEFAULT_CONNECT_NS;
}

int link_connect(const struct verb *verb, const struct common *common, struct tributary **client_out)
{
    struct tributary_header headers[MAX_RPC_HEADERS];
    char names[MAX_RPC_HEADERS][128];
    const struct tributary_options options = {
        .target = given_target(common),
        .name = "tributary-tool",
        .connect_timeout_ns = connect_ns(common),
        .metadata = headers,
        .metadata_count = common->rpc_headers.count,
    };
    struct tributary_status status;

    server = link_target(common);
    is_verbose = common->verbose;
    if (common->rpc_headers.count > MAX_RPC_HEADERS)
        return cli_wrong(verb, "--rpc-header: at most %d", MAX_RPC_HEADERS);
    for (size_t i = 0; i < common->rpc_headers.count; i++) {
        if (!split_header(common->rpc_headers.items[i], names[i], sizeof(names[i]), &headers[i]))
            return cli_wrong(verb, "--rpc-header: '%s' is not 'NAME: VALUE'", common->rpc_headers.items[i]);
    }
    if (tributary_connect(&options, client_out, &status) != TRIBUTARY_OK)
        return cli_wrong(verb, "%s", status.message);
    return EXITS_OK;
}

/* Asks the server whether it is there, with a new client, which *client_out gets if it is. */
static enum tributary_code try_open(const struct common *common, struct tributary *client,
                                    struct tributary_status *status, struct tributary **client_out)
{
    const int64_t left_ns = link_left_ns(common);
    const int64_t wait_ns = left_ns > 0 ? MIN_OF(left_ns, connect_ns(common)) : connect_ns(common);
    bool serving = false;
    enum tributary_code code = tributary_check(client, NULL, wait_ns, &serving, status);

    if (code == TRIBUTARY_UNIMPLEMENTED)
        code = TRIBUTARY_OK;
    if (code == TRIBUTARY_OK)
        *client_out = client;
    else
        tributary_free(client);
    return code;
}

/* Some verbs have these signals blocked, and look at them later. */
static bool is_signalled(void)
{
    sigset_t pending;

    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1 ||
            sigismember(&pending, SIGHUP) == 1);
}

/* Whether to try again, after a pause. */
static bool goes_on_waiting(const struct common *common, enum tributary_code code)
{
    const int64_t left_ns = common->over_ns - clock_mono_ns();
    const struct timespec pause = {.tv_nsec = MIN_OF(WAIT_PAUSE_NS, MAX_OF(left_ns, 0))};

    if (!common->wait || (code != TRIBUTARY_UNAVAILABLE && code != TRIBUTARY_DEADLINE_EXCEEDED) ||
        is_signalled())
        return false;
    nanosleep(&pause, NULL);
    return left_ns > WAIT_PAUSE_NS && !is_signalled();
}

int link_open(const struct verb *verb, const struct common *common, struct tributary **client_out)
{
    struct tributary_status status;
    enum tributary_code code;
    bool printed = false;

    do {
        struct tributary *client = NULL;
        int result = link_connect(verb, common, &client);

        if (result != EXITS_OK)
            return result;
        code = try_open(common, client, &status, client_out);
        if (code != TRIBUTARY_OK && common->wait && !printed)
            fprintf(stderr, "tributary: waiting for %s\n", link_target(common));
        printed = true;
    } while (code != TRIBUTARY_OK && goes_on_waiting(common, code));
    if (code == TRIBUTARY_OK)
        return EXITS_OK;

    const bool is_over = clock_mono_ns() >= common->over_ns;

    if (is_over)
        fprintf(stderr, "tributary: cannot reach %s: --max-time is over\n", link_target(common));
    else
        link_failed("cannot reach the server", &status);
    if (is_over && (common->wait || code == TRIBUTARY_DEADLINE_EXCEEDED))
        return EXITS_DEADLINE;
    return code == TRIBUTARY_DEADLINE_EXCEEDED ? EXITS_UNAVAILABLE : link_exit_code(code);
}
