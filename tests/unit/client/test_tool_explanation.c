/* test_tool_explanation.c - which of two limits is worse (X4). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "client/tool/explanation.h"

#define MAX_LIMIT 64

Test(tool_explanation, every_limit_of_a_consumer_has_a_rank_of_its_own)
{
    static const char *const of_producers[] = {"LIMIT_UNSPECIFIED", "RESUME_GAP", "NO_CONSUMER", "DIAL_TURN",
                                               "ENDED"};
    bool is_used[MAX_LIMIT] = {true};
    unsigned count = 0;

    for (int limit = 0; limit < MAX_LIMIT; limit++) {
        const char *name = tributary_limit_name(limit);
        const unsigned rank = explanation_rank(limit);
        bool expected = strcmp(name, "UNKNOWN") != 0;

        for (size_t i = 0; i < ARRAY_LEN(of_producers); i++)
            expected &= strcmp(name, of_producers[i]) != 0;
        if (!expected) {
            cr_assert_eq(rank, 0, "%s", name);
            continue;
        }
        cr_assert_lt(rank, MAX_LIMIT, "%s", name);
        cr_assert_not(is_used[rank], "%s", name);
        is_used[rank] = true;
        count++;
    }
    cr_assert_eq(count, 21);
}

static int limit_of(const char *name)
{
    for (int limit = 0; limit < MAX_LIMIT; limit++)
        if (strcmp(tributary_limit_name(limit), name) == 0)
            return limit;
    cr_assert(false, "there is no limit %s", name);
    return 0;
}

Test(tool_explanation, what_loses_or_stands_still_comes_first)
{
    static const char *const order[] = {"LOSING",      "NO_CREDIT",  "UNAVAILABLE", "PRODUCER_BLOCKED",
                                        "SLOW_READER", "COALESCING", "SILENT",      "HEALTHY"};

    for (size_t i = 1; i < ARRAY_LEN(order); i++)
        cr_assert_lt(explanation_rank(limit_of(order[i - 1])), explanation_rank(limit_of(order[i])), "%s",
                     order[i]);
}

Test(tool_explanation, a_figure_that_is_left_out_is_zero)
{
    const struct tributary_stat stats[] = {{"window", 500, "ms"}, {"waiting", 12, "events"}};
    const struct tributary_explanation explanation = {.stats = stats, .stat_count = ARRAY_LEN(stats)};

    cr_assert_eq(explanation_stat(&explanation, "waiting"), 12);
    cr_assert_eq(explanation_stat(&explanation, "parked"), 0);
}

Test(tool_explanation, names_and_peers_are_there_where_they_are_known)
{
    const struct tributary_explanation of_consumer = {.subscription_id = "7f-1",
                                                      .name = "a\xff",
                                                      .peer = "127.0.0.1:4711",
                                                      .sentence = "Nothing limits it.",
                                                      .producer = "",
                                                      .blocking_subscription_id = ""};
    struct tributary_explanation of_producer = of_consumer;
    json_t *object = explanation_json(&of_consumer);

    cr_assert_str_eq(json_string_value(json_object_get(object, "peer")), "127.0.0.1:4711");
    cr_assert(json_object_get(object, "name"), "also where it is no UTF-8");
    cr_assert_not(json_object_get(object, "producer"));
    json_decref(object);
    of_producer.subscription_id = of_producer.name = of_producer.peer = "";
    of_producer.producer = "web";
    object = explanation_json(&of_producer);
    cr_assert_str_eq(json_string_value(json_object_get(object, "producer")), "web");
    cr_assert_not(json_object_get(object, "name"));
    cr_assert_not(json_object_get(object, "subscription"));
    json_decref(object);
}
