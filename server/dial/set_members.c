/* set_members.c - see set_members.h.
 *
 * DESIGN. Those that a round keeps go to the end of the list, so those that are to be dropped stand
 * in front. */
#include "server/dial/set_members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"

#define MAX_NAME_BYTES 256u
#define SET_LABEL "set"
#define ADDRESS_LABEL "address"

/* The longest address is an IPv6 address with zone, brackets and port. */
_Static_assert(MAX_NAME_BYTES >= MAX_SET_NAME_BYTES + sizeof("@[]%:65535") + 39 + 10, "every name fits");

struct member {
    struct set_members *of;
    struct list link;
    struct map_node by_name;
    struct dialled *dialled; /* NULL: there is none now */
    uint64_t round;          /* the last one that kept it */
    bool is_leaving;
    char name[MAX_NAME_BYTES + 1];
};

static struct member *member_of(struct list *link)
{
    return container_of(link, struct member, link);
}

void set_members_init(struct set_members *members)
{
    list_init(&members->present);
    list_init(&members->leaving);
}

void set_members_fini(struct set_members *members)
{
    map_fini(&members->by_name);
}

/* Takes it out of those that are present. */
static void take_out(struct member *member)
{
    struct set_members *members = member->of;

    if (member->is_leaving)
        return;
    member->is_leaving = true;
    map_remove(&members->by_name, &member->by_name);
    list_remove(&member->link);
    list_append(&members->leaving, &member->link);
    members->count--;
}

static void member_free(struct member *member)
{
    take_out(member);
    list_remove(&member->link);
    free(member);
}

static void on_gone(void *ctx)
{
    struct member *member = ctx;
    struct set_members *members = member->of;

    const bool was_wanted = !member->is_leaving && !members->closing;

    member->dialled = NULL;
    count_add(COUNT_LIVE_DNS_PRODUCERS, -1);
    if (!was_wanted)
        member_free(member);
    members->left(members, was_wanted);
}

/* ---- making one ---- */

static bool has_label(const struct endpoint_params *params, const char *name)
{
    for (size_t i = 0; i < params->label_count; i++) {
        if (bytes_same(params->labels[i].name, text_bytes(name)))
            return true;
    }
    return false;
}

static void add_label(const struct endpoint_params *set, struct pair *labels, size_t *count, const char *name,
                      struct bytes value)
{
    if (!has_label(set, name))
        labels[(*count)++] = (struct pair){text_bytes(name), value};
}

static void make_endpoint(struct member *member, const struct place *place, const char *address)
{
    struct set_members *members = member->of;
    const struct endpoint_params *set = members->params;
    const struct dialled_owner owner = {.gone = on_gone, .ctx = member};
    struct pair labels[MAX_ENDPOINT_LABELS];
    char set_name[MAX_NAME_BYTES + 1];
    struct endpoint_params params = *set;
    struct fault fault;

    snprintf(set_name, sizeof(set_name), "%.*s", (int)set->name.size, (const char *)set->name.data);
    memcpy(labels, set->labels, set->label_count * sizeof(*labels));
    add_label(set, labels, &params.label_count, SET_LABEL, set->name);
    add_label(set, labels, &params.label_count, ADDRESS_LABEL, text_bytes(address));
    params.labels = labels;
    params.name = text_bytes(member->name);
    params.address = address;
    params.authority = members->authority;
    params.each_address = false;
    params.replace = false;
    params.origin = ORIGIN_DNS;
    params.origin_text = set_name;
    members->making = member;
    const enum fault_reason reason =
        members->home->add(members->home->ctx, &params, place, &owner, &member->dialled, &fault);
    members->making = NULL;
    if (reason != FAULT_NONE && members->closing) {
        member_free(member);
        return;
    }
    if (reason != FAULT_NONE) {
        if (members->refused++ == 0)
            members->refusal = fault;
        return;
    }
    count_add(COUNT_LIVE_DNS_PRODUCERS, 1);
}

/* NULL: out of memory. */
static struct member *member_new(struct set_members *members, const char *name)
{
    struct member *member = calloc(1, sizeof(*member));

    if (!member)
        return NULL;
    member->of = members;
    snprintf(member->name, sizeof(member->name), "%.*s", (int)MAX_NAME_BYTES, name);
    member->by_name.key = text_bytes(member->name);
    list_init(&member->link);
    if (map_add(&members->by_name, &member->by_name) != ERR_OK) {
        free(member);
        return NULL;
    }
    members->count++;
    return member;
}

/* ---- a round ---- */

void set_members_begin(struct set_members *members)
{
    members->round++;
    members->refused = 0;
}

void set_members_keep(struct set_members *members, const struct place *place)
{
    const struct bytes set_name = members->params->name;
    char address[PLACE_TEXT_CAPACITY], name[MAX_SET_NAME_BYTES + 1 + PLACE_TEXT_CAPACITY];

    place_text(place, address);
    snprintf(name, sizeof(name), "%.*s@%s", (int)set_name.size, (const char *)set_name.data, address);

    struct map_node *node = map_find(&members->by_name, text_bytes(name));
    struct member *member = node ? container_of(node, struct member, by_name) : member_new(members, name);

    if (!member) {
        if (members->refused++ == 0)
            fault_set(&members->refusal, FAULT_MEMORY_BUDGET, NULL, NULL);
        return;
    }
    member->round = members->round;
    list_remove(&member->link);
    list_append(&members->present, &member->link);
    if (!member->dialled)
        make_endpoint(member, place, address);
}

/* Its end may come before this returns. */
static void drop(struct member *member, int64_t drain_ns)
{
    struct set_members *members = member->of;

    take_out(member);
    if (member->dialled)
        dialled_remove(members->home->hub, text_bytes(member->name), member->dialled, drain_ns);
    else
        member_free(member);
}

bool set_members_drop_one(struct set_members *members, int64_t drain_ns)
{
    struct list *first = list_first(&members->present);

    if (!first || (member_of(first)->round == members->round && !members->closing))
        return false;
    drop(member_of(first), drain_ns);
    return true;
}

/* ---- the end, and a look ---- */

void set_members_close(struct set_members *members)
{
    members->closing = true;
    list_each(link, safe, &members->present) {
        if (!member_of(link)->dialled && member_of(link) != members->making)
            member_free(member_of(link));
    }
}

bool set_members_have_left(const struct set_members *members)
{
    return list_empty(&members->present) && list_empty(&members->leaving);
}

void set_members_each(const struct set_members *members, void (*each)(void *ctx, const char *name), void *ctx)
{
    for (const struct list *link = members->present.next; link != &members->present; link = link->next)
        each(ctx, container_of(link, struct member, link)->name);
}
