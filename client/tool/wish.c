/* wish.c - lists become selectors. */
#include "client/tool/wish.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static const char *cut(struct wish *wish, const struct text_list *list, const char *pairs[][2])
{
    if (list->count > WISH_SELECTORS_MOST)
        return "--header, --label: at most 64 of each";
    for (size_t i = 0; i < list->count; i++) {
        char *text = strdup(list->items[i]);
        char *equals = text != NULL ? strchr(text, '=') : NULL;

        if (text == NULL)
            return "out of memory";
        wish->texts[wish->text_count++] = text;
        if (equals == NULL || equals == text)
            return "--header, --label: NAME=PATTERN is needed";
        *equals = '\0';
        pairs[i][0] = text;
        pairs[i][1] = equals + 1;
    }
    return NULL;
}

static const char *add(struct wish *wish, const struct wish_lists *lists, const char *producer, const char *topic)
{
    if (wish->selector_count == WISH_SELECTORS_MOST)
        return "more than 64 pairs of producers and topics";
    wish->selectors[wish->selector_count++] = (struct tributary_selector){
        .producer = producer,
        .topic = topic,
        .keys = lists->keys.items,
        .key_count = lists->keys.count,
        .types = lists->types.items,
        .type_count = lists->types.count,
        .headers = (const char *const(*)[2])wish->headers,
        .header_count = lists->headers.count,
        .labels = (const char *const(*)[2])wish->labels,
        .label_count = lists->labels.count,
    };
    return NULL;
}

static const char *build_selectors(struct wish *wish, const struct wish_lists *lists)
{
    const size_t producers = MAX_OF(lists->producers.count, 1);
    const size_t topics = MAX_OF(lists->topics.count, 1);
    const char *fault = NULL;

    if (lists->producers.count + lists->topics.count + lists->keys.count + lists->types.count + lists->headers.count +
            lists->labels.count ==
        0)
        return NULL;
    for (size_t p = 0; p < producers; p++) {
        for (size_t t = 0; t < topics && fault == NULL; t++)
            fault = add(wish, lists, lists->producers.count > 0 ? lists->producers.items[p] : NULL,
                        lists->topics.count > 0 ? lists->topics.items[t] : NULL);
    }
    return fault;
}

static const char *exclude(struct wish *wish, const struct tributary_selector *selector)
{
    if (wish->exclude_count == WISH_SELECTORS_MOST)
        return "more than 64 things to exclude";
    wish->excludes[wish->exclude_count++] = *selector;
    return NULL;
}

static const char *build_excludes(struct wish *wish, const struct wish_lists *lists)
{
    const char *fault = NULL;

    for (size_t i = 0; i < lists->exclude_producers.count && fault == NULL; i++)
        fault = exclude(wish, &(struct tributary_selector){.producer = lists->exclude_producers.items[i]});
    for (size_t i = 0; i < lists->exclude_topics.count && fault == NULL; i++)
        fault = exclude(wish, &(struct tributary_selector){.topic = lists->exclude_topics.items[i]});
    if (lists->exclude_keys.count > 0 && fault == NULL)
        fault = exclude(wish, &(struct tributary_selector){.keys = lists->exclude_keys.items, .key_count = lists->exclude_keys.count});
    if (lists->exclude_types.count > 0 && fault == NULL)
        fault = exclude(wish, &(struct tributary_selector){.types = lists->exclude_types.items, .type_count = lists->exclude_types.count});
    return fault;
}

const char *wish_build(struct wish *wish, const struct wish_lists *lists)
{
    const char *fault = NULL;

    *wish = (struct wish){.selector_count = 0};
    fault = cut(wish, &lists->headers, wish->headers);
    if (fault == NULL)
        fault = cut(wish, &lists->labels, wish->labels);
    if (fault == NULL)
        fault = build_selectors(wish, lists);
    return fault != NULL ? fault : build_excludes(wish, lists);
}

const char *wish_build_with(struct wish *wish, const struct wish_lists *lists, struct text_list arguments, struct text_list usual)
{
    struct wish_lists chosen = *lists;

    if (lists->producers.count > 0 && arguments.count > 0)
        return "name producers as arguments or by --producer, not both";
    if (arguments.count > 0)
        chosen.producers = arguments;
    else if (lists->producers.count == 0)
        chosen.producers = usual;
    return wish_build(wish, &chosen);
}

void wish_fini(struct wish *wish)
{
    for (size_t i = 0; i < wish->text_count; i++)
        free(wish->texts[i]);
    wish->text_count = 0;
}
