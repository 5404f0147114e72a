/* listener_fixture.h - a listener with one address, and a pipe that receives the descriptors of its
 * connections in place of the core. */
#ifndef TRIBUTARY_TESTS_WIRE_LISTENER_FIXTURE_H
#define TRIBUTARY_TESTS_WIRE_LISTENER_FIXTURE_H

#include <criterion/criterion.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/counters.h"
#include "server/wire/listener.h"

#define DEADLINE_MS 5000
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

struct listener_fixture {
    struct loop *loop; /* for the settings; it does not run */
    struct listener *listener;
    int pipe[2];
};

/* Limits that no test reaches by accident. */
struct settings ample_settings(void);
/* A loop with ample_settings(), for a test that makes its listeners itself. */
struct loop *ample_loop(void);

/* `settings` NULL: ample_settings(). */
void listener_fixture_open(struct listener_fixture *fixture, const struct settings *settings,
                           const char *address);
void listener_fixture_close(struct listener_fixture *fixture);
/* The port's function: writes the descriptor into the pipe of the fixture `ctx`. */
void listener_fixture_connected(void *ctx, int fd);
/* The next descriptor that was handed over; -1: none came in time. */
int listener_fixture_next(struct listener_fixture *fixture, int within_ms);

int dial_tcp(const struct listener_fixture *fixture); /* connects to the listener's first address */
int dial_unix(const char *path);
void send_text(int fd, const char *text);
bool is_readable(int fd, int within_ms);
bool is_closed_by_peer(int fd); /* waits up to DEADLINE_MS */

/* Makes a folder for socket files. The text is static. */
char *temporary_folder(void);

/* The processor time that this process has used. */
int64_t process_cpu_ns(void);

#endif
