/* selection.c - makes selectors from lists. A static function here returns NULL, or static text
 * that says what is wrong. */
#include "client/tool/selection.h"

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* Splits each NAME=PATTERN of a list. */
static const char *split_pairs(struct selection *selection, const struct text_list *list,
                               const char *pairs[][2])
{
    if (list->count > MAX_SELECTION_SELECTORS)
        return "--header, --label: at most 64 of each";
    for (size_t i = 0; i < list->count; i++) {
        char *text = strdup(list->items[i]);
        char *equals = text ? strchr(text, '=') : NULL;

        if (!text)
            return "out of memory";
        selection->texts[selection->text_count++] = text;
        if (!equals || equals == text)
            return "--header, --label: NAME=PATTERN is needed";
        *equals = '\0';
        pairs[i][0] = text;
        pairs[i][1] = equals + 1;
    }
    return NULL;
}

/* Adds one selector. */
static const char *add(struct selection *selection, const struct selection_lists *lists, const char *producer,
                       const char *topic)
{
    if (selection->selector_count == MAX_SELECTION_SELECTORS)
        return "more than 64 pairs of producers and topics";
    selection->selectors[selection->selector_count++] = (struct tributary_selector){
        .producer = lists->exact ? NULL : producer,
        .producer_name = lists->exact ? producer : NULL,
        .topic = topic,
        .keys = lists->keys.items,
        .key_count = lists->keys.count,
        .types = lists->types.items,
        .type_count = lists->types.count,
        .headers = (const char *const(*)[2])selection->headers,
        .header_count = lists->headers.count,
        .labels = (const char *const(*)[2])selection->labels,
        .label_count = lists->labels.count,
    };
    return NULL;
}

static const char *build_selectors(struct selection *selection, const struct selection_lists *lists)
{
    const size_t producers = MAX_OF(lists->producers.count, 1);
    const size_t topics = MAX_OF(lists->topics.count, 1);
    const char *fault = NULL;

    if (lists->producers.count + lists->topics.count + lists->keys.count + lists->types.count +
            lists->headers.count + lists->labels.count ==
        0)
        return NULL;
    for (size_t p = 0; p < producers; p++) {
        for (size_t t = 0; t < topics && !fault; t++)
            fault = add(selection, lists, lists->producers.count > 0 ? lists->producers.items[p] : NULL,
                        lists->topics.count > 0 ? lists->topics.items[t] : NULL);
    }
    return fault;
}

static const char *exclude(struct selection *selection, const struct tributary_selector *selector)
{
    if (selection->exclude_count == MAX_SELECTION_SELECTORS)
        return "more than 64 things to exclude";
    selection->excludes[selection->exclude_count++] = *selector;
    return NULL;
}

static const char *build_excludes(struct selection *selection, const struct selection_lists *lists)
{
    const char *fault = NULL;

    for (size_t i = 0; i < lists->exclude_producers.count && !fault; i++)
        fault =
            exclude(selection, &(struct tributary_selector){
                                   .producer = lists->exact ? NULL : lists->exclude_producers.items[i],
                                   .producer_name = lists->exact ? lists->exclude_producers.items[i] : NULL});
    for (size_t i = 0; i < lists->exclude_topics.count && !fault; i++)
        fault = exclude(selection, &(struct tributary_selector){.topic = lists->exclude_topics.items[i]});
    if (lists->exclude_keys.count > 0 && !fault)
        fault = exclude(selection, &(struct tributary_selector){.keys = lists->exclude_keys.items,
                                                                .key_count = lists->exclude_keys.count});
    if (lists->exclude_types.count > 0 && !fault)
        fault = exclude(selection, &(struct tributary_selector){.types = lists->exclude_types.items,
                                                                .type_count = lists->exclude_types.count});
    return fault;
}

const char *selection_build(struct selection *selection, const struct selection_lists *lists)
{
    const char *fault = NULL;

    *selection = (struct selection){.selector_count = 0};
    fault = split_pairs(selection, &lists->headers, selection->headers);
    if (!fault)
        fault = split_pairs(selection, &lists->labels, selection->labels);
    if (!fault)
        fault = build_selectors(selection, lists);
    return fault ? fault : build_excludes(selection, lists);
}

const char *selection_build_with(struct selection *selection, const struct selection_lists *lists,
                                 struct text_list arguments, struct text_list defaults)
{
    struct selection_lists chosen = *lists;

    if (lists->producers.count > 0 && arguments.count > 0)
        return "name producers as arguments or by --producer, not both";
    if (arguments.count > 0)
        chosen.producers = arguments;
    else if (lists->producers.count == 0)
        chosen.producers = defaults;
    return selection_build(selection, &chosen);
}

void selection_fini(struct selection *selection)
{
    for (size_t i = 0; i < selection->text_count; i++)
        free(selection->texts[i]);
    selection->text_count = 0;
}
