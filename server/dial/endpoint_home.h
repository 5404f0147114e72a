/* endpoint_home.h - where an endpoint lives. */
#ifndef TRIBUTARY_SERVER_DIAL_ENDPOINT_HOME_H
#define TRIBUTARY_SERVER_DIAL_ENDPOINT_HOME_H

struct catalog;
struct dial_turns;
struct dialled;
struct h2guard_limits;
struct hub;
struct loop;
struct upstream_costs;
struct upstream_thread;
struct upstream_tls;

struct endpoint_home {
    struct loop *loop;
    struct hub *hub;
    struct upstream_thread *thread;     /* of its calls */
    struct upstream_tls *tls;           /* NULL: plaintext */
    const struct h2guard_limits *guard; /* of its connections; NULL: none */
    struct dial_turns *turns;           /* of all endpoints */
    struct upstream_costs *costs;       /* the same */
    struct catalog *catalog;            /* of what they serve */
    /* An endpoint is gone. */
    void (*gone)(void *ctx, struct dialled *dialled);
    void *ctx;
};

#endif
