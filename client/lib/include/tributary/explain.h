/* explain.h - ask the server what limits a consumer or a producer. Part of <tributary/tributary.h>.
 *
 * The rules and the errors of admin.h apply to this function, too. */
#ifndef TRIBUTARY_EXPLAIN_H
#define TRIBUTARY_EXPLAIN_H

#include "admin.h"
#include "export.h"

/* One of the figures behind an explanation. */
struct tributary_stat {
    const char *name; /* such as "waiting" */
    int64_t value;
    const char *unit; /* "events", "bytes", "ms", "us", "percent"; empty for a count of something else */
};

struct tributary_explanation {
    const char *subscription_id;
    int limit;            /* Explanation.Limit of admin.proto; tributary_limit_name() returns its name */
    const char *sentence; /* for people */
    const struct tributary_stat *stats;
    size_t stat_count;
    const int *also; /* limits that hold too, the more important first */
    size_t also_count;
    const char *producer;                 /* that the sentence names, or the one of the query; empty: none */
    const char *blocking_subscription_id; /* the consumer that is in the way; empty: none */
    const char *name;                     /* of the subscription, which may have none */
    const char *peer;                     /* the consumer's address */
};

struct tributary_explain_query {
    const char *subscription_id;
    int64_t window_ns;  /* how long the server looks; 0: 500 ms; 10 ms to 5 s */
    int64_t timeout_ns; /* the window counts, too; with `all` it is that of all pages together */
    void (*each)(void *ctx, const struct tributary_explanation *explanation);
    void *ctx;
    const char *producer; /* in place of subscription_id; NULL: none */
    bool all;             /* in place of subscription_id: every subscription */
};

/* Calls `each` once with what limits a subscription or a producer now. After an error `each` was
 * not called.
 *
 * With `all` it is called for each subscription, in the order of their ids: once for each that is
 * there all the time. A page of 100 takes one window. After an error `each` was called for those of
 * the pages before. Without a timeout each page has 10 s.
 *   TRIBUTARY_NOT_FOUND         no such subscription or producer, or it ended within the window
 *   TRIBUTARY_INVALID_ARGUMENT  a bad id or name, a window beyond its bounds, none of id, name and
 *                               `all`, or more than one */
TRIBUTARY_API enum tributary_code tributary_explain(struct tributary *client,
                                                    const struct tributary_explain_query *query,
                                                    struct tributary_status *status);

/* The name of an Explanation.Limit of admin.proto, such as "NO_CREDIT"; "UNKNOWN" for a number that
 * this library does not know. */
TRIBUTARY_API const char *tributary_limit_name(int limit);

#endif
