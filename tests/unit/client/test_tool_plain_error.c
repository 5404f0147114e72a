/* test_tool_plain_error.c - why a server cannot be reached, in plain words (K5). The messages are
 * those of gRPC core 1.51. */
#include <criterion/criterion.h>
#include <string.h>

#include "client/tool/plain_error.h"

#define CONNECT "failed to connect to all addresses; last error: "

static void expect(enum tributary_code code, const char *message, const char *target, const char *expected)
{
    struct tributary_status status = {.code = code};
    char text[256] = "untouched";

    strncpy(status.message, message, sizeof(status.message) - 1);
    cr_assert(plain_error(&status, target, text, sizeof(text)), "%s", message);
    cr_assert_str_eq(text, expected);
}

Test(tool_plain_error, a_server_that_cannot_be_reached)
{
    const char *here = "127.0.0.1:7227";

    expect(TRIBUTARY_UNAVAILABLE,
           CONNECT "UNKNOWN: ipv4:127.0.0.1:7227: Failed to connect to remote host: Connection refused", here,
           "nothing listens at 127.0.0.1:7227");
    expect(TRIBUTARY_UNAVAILABLE, CONNECT "UNKNOWN: unix:/run/x: No such file or directory", "unix:/run/x",
           "there is no socket at unix:/run/x");
    expect(TRIBUTARY_UNAVAILABLE,
           "DNS resolution failed for nosuch.example:1: C-ares status is not ARES_SUCCESS qtype=AAAA "
           "name=nosuch.example is_balancer=0: Domain name not found",
           "nosuch.example:1", "the name nosuch.example is not known");
    expect(TRIBUTARY_UNAVAILABLE,
           "DNS resolution failed for a.b: C-ares status is not ARES_SUCCESS qtype=A name=a.b is_balancer=0: "
           "Could not contact DNS servers",
           "dns:///a.b:1", "no name server can be asked for a.b");
    expect(TRIBUTARY_UNAVAILABLE,
           CONNECT "INTERNAL: ipv4:127.0.0.1:7227: Trying to connect an http1.x server", here,
           "the server at 127.0.0.1:7227 speaks HTTP/1, and no gRPC");
    expect(TRIBUTARY_UNAVAILABLE, CONNECT "UNAVAILABLE: ipv4:127.0.0.1:7227: Failed parsing HTTP/2", here,
           "the server at 127.0.0.1:7227 does not speak gRPC");
    expect(TRIBUTARY_UNAVAILABLE, CONNECT "UNAVAILABLE: ipv4:127.0.0.1:7227: Socket closed", here,
           "the server at 127.0.0.1:7227 closed the connection at once: it may want TLS, or take no further "
           "client");
    expect(TRIBUTARY_UNAVAILABLE,
           CONNECT "UNKNOWN: x: connection attempt timed out before receiving SETTINGS frame", here,
           "there is no answer from 127.0.0.1:7227 in time");
    expect(TRIBUTARY_DEADLINE_EXCEEDED, "Deadline Exceeded", here,
           "there is no answer from 127.0.0.1:7227 in time");
}

Test(tool_plain_error, a_connection_that_was_lost_and_a_call_that_is_not_known)
{
    expect(TRIBUTARY_UNAVAILABLE, "Socket closed", "h:1", "the connection was closed by h:1");
    expect(TRIBUTARY_UNAVAILABLE, "keepalive watchdog timeout", "h:1",
           "there is no answer any more from h:1");
    expect(TRIBUTARY_INTERNAL, "Received RST_STREAM with error code 2", "h:1",
           "the call was ended by h:1, or by a proxy before it");
    expect(TRIBUTARY_UNIMPLEMENTED, "Received http2 header with status: 404", "h:1",
           "another server or a proxy at h:1 answers, and not tributary");
    expect(TRIBUTARY_UNIMPLEMENTED, "Method not found!", "h:1",
           "the server at h:1 does not know this call: it is another or an older one");
}

Test(tool_plain_error, an_answer_of_the_server_itself_stays_as_it_is)
{
    const struct tributary_status answers[] = {
        {TRIBUTARY_DEADLINE_EXCEEDED, "DEADLINE", "Deadline Exceeded"},
        {TRIBUTARY_UNAVAILABLE, "DRAINING", "the server drains: Connection refused"},
        {TRIBUTARY_NOT_FOUND, "", "no such producer"},
        {TRIBUTARY_OK, "", "Socket closed"},
    };

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        char text[256] = "untouched";

        cr_assert_not(plain_error(&answers[i], "h:1", text, sizeof(text)));
        cr_assert_str_eq(text, "untouched");
    }
}
