/* plain_error.c - a table of what gRPC core says, and what it means. */
#include "client/tool/plain_error.h"

#include <stdio.h>
#include <string.h>

#include "base/base.h"

/* What stands after the words of a rule. */
enum subject {
    ADDRESS, /* the server's address */
    NAME,    /* the host of the address, without its port */
};

struct rule {
    const char *words; /* part of the message of gRPC core */
    const char *before;
    enum subject subject;
    const char *behind;
};

/* The first one that fits is taken. */
static const struct rule rules[] = {
    {"DNS server", "no name server can be asked for ", NAME, ""},
    {"Timeout while contacting", "no name server can be asked for ", NAME, ""},
    {"DNS resolution failed", "the name ", NAME, " is not known"},
    {"Connection refused", "nothing listens at ", ADDRESS, ""},
    {"No such file or directory", "there is no socket at ", ADDRESS, ""},
    {"Permission denied", "this user may not connect to ", ADDRESS, ""},
    {"No route to host", "the network does not lead to ", ADDRESS, ""},
    {"etwork is unreachable", "the network does not lead to ", ADDRESS, ""},
    {"onnection timed out", "there is no answer from ", ADDRESS, ""},
    {"attempt timed out", "there is no answer from ", ADDRESS, " in time"},
    {"http1.x server", "the server at ", ADDRESS, " speaks HTTP/1, and no gRPC"},
    {"Failed parsing HTTP/2", "the server at ", ADDRESS, " does not speak gRPC"},
    {"http2 header with status", "another server or a proxy at ", ADDRESS, " answers, and not tributary"},
    {"GOAWAY", "the server at ", ADDRESS, " closed the connection: it stops, or it refuses this client"},
    {"failed to connect to all addresses", "the server at ", ADDRESS,
     " closed the connection at once: it may want TLS, or take no further client"},
    {"keepalive", "there is no answer any more from ", ADDRESS, ""},
    {"ping timeout", "there is no answer any more from ", ADDRESS, ""},
    {"Socket closed", "the connection was closed by ", ADDRESS, ""},
    {"Connection reset", "the connection was closed by ", ADDRESS, ""},
    {"Broken pipe", "the connection was closed by ", ADDRESS, ""},
    {"RST_STREAM", "the call was ended by ", ADDRESS, ", or by a proxy before it"},
};

/* The host of "host:port", "[host]:port" or "dns:///host:port". */
static struct tributary_bytes host_of(const char *target)
{
    const char *slashes = strstr(target, "///");
    const char *host = slashes ? slashes + 3 : target;
    const char *colon = strrchr(host, ':');

    return (struct tributary_bytes){host, colon ? (size_t)(colon - host) : strlen(host)};
}

bool plain_error(const struct tributary_status *status, const char *target, char *text, size_t capacity)
{
    const struct tributary_bytes address = {target, strlen(target)};

    if (status->code == TRIBUTARY_OK || status->reason[0] != '\0')
        return false;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct rule *rule = &rules[i];
        const struct tributary_bytes subject = rule->subject == NAME ? host_of(target) : address;

        if (!strstr(status->message, rule->words))
            continue;
        snprintf(text, capacity, "%s%.*s%s", rule->before, (int)subject.size, (const char *)subject.data,
                 rule->behind);
        return true;
    }
    if (status->code == TRIBUTARY_DEADLINE_EXCEEDED)
        snprintf(text, capacity, "there is no answer from %s in time", target);
    else if (status->code == TRIBUTARY_UNIMPLEMENTED)
        snprintf(text, capacity, "the server at %s does not know this call: it is another or an older one",
                 target);
    else
        return false;
    return true;
}
