/* completion_names.c - lists names quickly, or not at all.
 *
 * DESIGN. A timer ends the process: the library bounds each page of a list, and not the list. Every
 * name is written at once, so what has come until then is not lost. */
#include "client/tool/completion_names.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/cli.h"
#include "client/tool/exits.h"
#include "client/tool/link.h"

#define DEADLINE_NS (COMPLETION_NAMES_MS * NS_PER_MS)
#define MAX_NAMES 1000u
#define MAX_PATTERN 512u

struct names {
    const char *beginning;
    unsigned count;
};

static const char producers[] = "producers";
static const char topics[] = "topics";
static const char stored_topics[] = "stored-topics";
static const char subscriptions[] = "subscriptions";

const char *completion_kind_of_option(const struct option *option)
{
    if (option->kind != OPTION_TEXT && option->kind != OPTION_LIST)
        return NULL;
    if (strcmp(option->name, "producer") == 0 || strcmp(option->name, "exclude-producer") == 0)
        return producers;
    if (strcmp(option->name, "topic") == 0 || strcmp(option->name, "exclude-topic") == 0)
        return topics;
    return NULL;
}

const char *completion_kind_of_arguments(const struct verb *verb)
{
    if (strstr(verb->arguments, "SUBSCRIPTION"))
        return subscriptions;
    if (strcmp(verb->name, "producers add") == 0)
        return NULL; /* its name is new */
    if (strncmp(verb->name, "topics ", strlen("topics ")) == 0)
        return strcmp(verb->name, "topics create") == 0 ? NULL : stored_topics;
    if (strstr(verb->arguments, "PRODUCER") ||
        (verb->arguments[0] != '\0' && strncmp(verb->name, "producers ", strlen("producers ")) == 0))
        return producers;
    return NULL;
}

/* In a signal handler. */
static void end(int number)
{
    (void)number;
    _exit(EXITS_OK);
}

static void end_in_time(void)
{
    const struct itimerval timer = {.it_value = {.tv_usec = COMPLETION_NAMES_MS * 1000}};

    signal(SIGALRM, end);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void put(struct names *names, const char *name)
{
    if (strncmp(name, names->beginning, strlen(names->beginning)) != 0 || strchr(name, '\n') ||
        names->count >= MAX_NAMES)
        return;
    names->count++;
    puts(name);
    fflush(stdout);
}

static void on_producer(void *ctx, const struct tributary_producer *producer)
{
    put(ctx, producer->name);
}

/* Topics that producers registered for. A topic of several producers comes several times. */
static void on_topics(void *ctx, const struct tributary_producer *producer)
{
    for (size_t i = 0; i < producer->topic_count; i++)
        put(ctx, producer->topics[i]);
}

static void on_topic(void *ctx, const struct tributary_topic *topic)
{
    put(ctx, topic->name);
}

static void on_subscription(void *ctx, const struct tributary_subscription *subscription)
{
    put(ctx, subscription->id);
}

/* Writes a pattern that matches what begins with the text. A wildcard or a backslash in the text
 * is matched by any character. */
static void pattern_of(const char *beginning, char *pattern, size_t capacity)
{
    snprintf(pattern, capacity, "%s*", beginning);
    for (char *next = pattern; *next != '\0'; next++) {
        if (*next == '\\')
            *next = '?';
    }
}

static void list_subscriptions(struct tributary *client, struct names *names)
{
    const struct tributary_subscriptions_query query = {
        .timeout_ns = DEADLINE_NS, .each = on_subscription, .ctx = names};

    tributary_subscriptions(client, &query, NULL);
}

static void list_topics(struct tributary *client, const char *pattern, struct names *names)
{
    const struct tributary_topics_query query = {
        .pattern = pattern, .timeout_ns = DEADLINE_NS, .each = on_topic, .ctx = names};

    tributary_topics(client, &query, NULL);
}

static void list_producers(struct tributary *client, const char *pattern, bool is_topics, struct names *names)
{
    const struct tributary_producers_query query = {.pattern = is_topics ? NULL : pattern,
                                                    .timeout_ns = DEADLINE_NS,
                                                    .each = is_topics ? on_topics : on_producer,
                                                    .ctx = names};

    tributary_producers(client, &query, NULL);
}

/* Without an answer there are no names. */
int completion_names(const struct verb *verb, struct common *common, const char *kind, const char *beginning)
{
    const bool is_topics = strcmp(kind, topics) == 0, is_stored = strcmp(kind, stored_topics) == 0;
    const bool is_subscriptions = strcmp(kind, subscriptions) == 0;
    struct names names = {.beginning = beginning};
    struct tributary *client = NULL;
    char pattern[MAX_PATTERN];

    if (!is_topics && !is_stored && !is_subscriptions && strcmp(kind, producers) != 0)
        return cli_wrong(verb, "names of what: producers, topics, stored-topics or subscriptions?");
    end_in_time();
    common->connect_timeout_ns = DEADLINE_NS;
    if (link_connect(verb, common, &client) != EXITS_OK)
        return EXITS_USAGE;
    pattern_of(beginning, pattern, sizeof(pattern));
    if (is_subscriptions)
        list_subscriptions(client, &names);
    if (is_topics || is_stored)
        list_topics(client, pattern, &names);
    if (!is_subscriptions && !is_stored)
        list_producers(client, pattern, is_topics, &names);
    tributary_free(client);
    return EXITS_OK;
}
