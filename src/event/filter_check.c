/* filter_check.c - checks selectors, text by text, and adds up what a filter of them will cost. */
#include "event/filter_check.h"

#include <inttypes.h>
#include <stdio.h>

#include "event/text.h"

/* A check of all selectors and excludes of a filter. */
struct check {
    uint64_t cost; /* so far */
    struct fault *fault;
};

/* Where a text stands in its selector. */
struct place {
    const char *field;
    const char *part; /* of the entry of a list, such as ".name"; NULL: the field is no list */
    uint32_t index;
};

static enum fault_reason refuse(const struct check *check, enum fault_reason reason,
                                const struct place *place, struct bytes text, const char *bound)
{
    char path[64];

    if (place->part)
        snprintf(path, sizeof(path), "%s[%u]%s", place->field, place->index, place->part);
    else
        snprintf(path, sizeof(path), "%s", place->field);
    if (text.size == 0)
        return fault_set(check->fault, reason, path, bound);
    return fault_bytes(check->fault, reason, path, text, bound);
}

/* Checks a text that is a name (`max_text` 0), or a pattern for texts of up to `max_text` bytes. */
static enum fault_reason check_text(struct check *check, struct bytes text, struct place place,
                                    uint32_t max_text)
{
    char bound[96];

    if (text.size == 0)
        return place.part ? refuse(check, FAULT_EMPTY, &place, text, "at least 1 byte") : FAULT_NONE;
    if (text.size > MAX_PATTERN_BYTES) {
        snprintf(bound, sizeof(bound), "at most %u bytes", MAX_PATTERN_BYTES);
        return refuse(check, FAULT_TOO_LONG, &place, text, bound);
    }
    if (!utf8_valid(text))
        return refuse(check, FAULT_BAD_UTF8, &place, text, "");
    struct glob glob = glob_of(text);
    check->cost += pattern_cost(&glob, max_text);
    if (check->cost <= MAX_FILTER_COST)
        return FAULT_NONE;
    snprintf(bound, sizeof(bound), "a cost of at most %u; up to here it is %" PRIu64, MAX_FILTER_COST,
             check->cost);
    return refuse(check, FAULT_FILTER_COST, &place, text, bound);
}

static enum fault_reason check_count(size_t count, const char *path, struct fault *fault)
{
    char bound[48];

    if (count <= MAX_SELECTORS)
        return FAULT_NONE;
    snprintf(bound, sizeof(bound), "at most %u", MAX_SELECTORS);
    return fault_number(fault, FAULT_TOO_MANY, path, count, bound);
}

static enum fault_reason check_patterns(struct check *check, const struct bytes *patterns, uint32_t count,
                                        const char *list)
{
    enum fault_reason reason = check_count(count, list, check->fault);

    for (uint32_t i = 0; reason == FAULT_NONE && i < count; i++)
        reason = check_text(check, patterns[i], (struct place){list, "", i}, MAX_NAME_TEXT);
    return reason;
}

static enum fault_reason check_pairs(struct check *check, const struct pair *pairs, uint32_t count,
                                     const char *list, uint32_t max_text)
{
    enum fault_reason reason = check_count(count, list, check->fault);

    for (uint32_t i = 0; reason == FAULT_NONE && i < count; i++) {
        reason = check_text(check, pairs[i].name, (struct place){list, ".name", i}, 0);
        if (reason == FAULT_NONE)
            reason = check_text(check, pairs[i].value, (struct place){list, ".value", i}, max_text);
    }
    return reason;
}

static enum fault_reason check_selector(struct check *check, const struct selector *selector)
{
    const struct place producer = {.field = "producer"}, topic = {.field = "topic"};
    const struct place name = {.field = "producer_name"};

    if (selector->producer.size + selector->producer_name.size + selector->topic.size == 0 &&
        selector->key_count == 0 && selector->type_count == 0 && selector->header_count == 0 &&
        selector->label_count == 0)
        return fault_set(check->fault, FAULT_EMPTY, "", "set producer: \"*\" for everything");
    if (selector->producer.size > 0 && selector->producer_name.size > 0)
        return refuse(check, FAULT_OUT_OF_BOUNDS, &name, selector->producer_name, "not with `producer`");
    enum fault_reason reason = check_text(check, selector->producer, producer, MAX_NAME_TEXT);
    if (reason == FAULT_NONE)
        reason = check_text(check, selector->producer_name, name, 0);
    if (reason == FAULT_NONE)
        reason = check_text(check, selector->topic, topic, MAX_NAME_TEXT);
    if (reason == FAULT_NONE)
        reason = check_patterns(check, selector->keys, selector->key_count, "keys");
    if (reason == FAULT_NONE)
        reason = check_patterns(check, selector->types, selector->type_count, "types");
    if (reason == FAULT_NONE)
        reason = check_pairs(check, selector->headers, selector->header_count, "headers", MAX_HEADER_TEXT);
    if (reason == FAULT_NONE)
        reason = check_pairs(check, selector->labels, selector->label_count, "labels", MAX_NAME_TEXT);
    return reason;
}

static enum fault_reason check_all(struct check *check, const struct selector *selectors, size_t count,
                                   const char *list)
{
    enum fault_reason reason = check_count(count, list, check->fault);
    char prefix[48];

    for (size_t i = 0; reason == FAULT_NONE && i < count; i++) {
        reason = check_selector(check, &selectors[i]);
        if (reason == FAULT_NONE)
            continue;
        snprintf(prefix, sizeof(prefix), "%s[%zu]%s", list, i, check->fault->field[0] != '\0' ? "." : "");
        fault_within(check->fault, prefix);
    }
    return reason;
}

enum fault_reason filter_check(const struct selector *selectors, size_t selector_count,
                               const struct selector *excludes, size_t exclude_count, struct fault *fault)
{
    struct check check = {.fault = fault};

    if (selector_count == 0)
        return fault_set(fault, FAULT_EMPTY, "selectors", "at least one; producer: \"*\" for everything");
    enum fault_reason reason = check_all(&check, selectors, selector_count, "selectors");
    if (reason == FAULT_NONE)
        reason = check_all(&check, excludes, exclude_count, "exclude");
    return reason;
}
