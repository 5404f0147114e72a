/* link.c - connects to a server, and prints failures. */
#include "client/tool/link.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"

#define MAX_RPC_HEADERS 16
#define DEFAULT_CONNECT_NS (10 * NS_PER_S)

const char *link_target(const struct common *common)
{
    const char *target = common->server ? common->server : getenv("TRIBUTARY_SERVER");

    return target && target[0] != '\0' ? target : TRIBUTARY_DEFAULT_TARGET;
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

int link_failed(const char *doing, const struct tributary_status *status)
{
    fprintf(stderr, "tributary: %s: %s: %s%s%s%s\n", doing, tributary_code_name(status->code),
            status->message, status->reason[0] != '\0' ? " (" : "", status->reason,
            status->reason[0] != '\0' ? ")" : "");
    return link_exit_code(status->code);
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

static int64_t connect_ns(const struct common *common)
{
    return common->connect_timeout_ns > 0 ? common->connect_timeout_ns : DEFAULT_CONNECT_NS;
}

int link_connect(const struct verb *verb, const struct common *common, struct tributary **client_out)
{
    struct tributary_header headers[MAX_RPC_HEADERS];
    char names[MAX_RPC_HEADERS][128];
    const struct tributary_options options = {
        .target = link_target(common),
        .name = "tributary-tool",
        .connect_timeout_ns = connect_ns(common),
        .metadata = headers,
        .metadata_count = common->rpc_headers.count,
    };
    struct tributary_status status;

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

int link_open(const struct verb *verb, const struct common *common, struct tributary **client_out)
{
    struct tributary *client = NULL;
    struct tributary_status status;
    bool serving = false;
    int result = link_connect(verb, common, &client);

    if (result != EXITS_OK)
        return result;

    const int64_t left_ns = link_left_ns(common);
    const int64_t wait_ns = left_ns > 0 ? MIN_OF(left_ns, connect_ns(common)) : connect_ns(common);
    const enum tributary_code code = tributary_check(client, NULL, wait_ns, &serving, &status);

    if (code != TRIBUTARY_OK && code != TRIBUTARY_UNIMPLEMENTED) {
        const bool is_over = clock_mono_ns() >= common->over_ns;

        fprintf(stderr, "tributary: cannot reach %s: %s\n", link_target(common),
                is_over ? "--max-time is over" : status.message);
        tributary_free(client);
        if (code == TRIBUTARY_DEADLINE_EXCEEDED)
            return is_over ? EXITS_DEADLINE : EXITS_UNAVAILABLE;
        return link_exit_code(code);
    }
    *client_out = client;
    return EXITS_OK;
}
