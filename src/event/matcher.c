/* sift.c - many filters asked at once. What a seat brings along is made in match_entry.c.
 *
 * DESIGN. A seat is led to by names where each of its selectors has a field (key, topic, type) of
 * which it wants certain values, or values with certain beginnings: what the event has there is
 * looked up, instead of asking every filter. All names stand in one table of chained slots, by
 * field, text and whether the text is a beginning. A probe is one way to look: a field as a whole,
 * or its first so many bytes; for each event every probe is one lookup, and there are few: as many
 * as there are fields in use and lengths of beginnings. Where there are more lengths than
 * MAX_PROBES, or no name can be had, a seat is asked for every event.
 *
 * What a name leads to is asked whole, unless the name is all that its filter asks. So names only
 * have to lead to everybody who may want the event, and a seat that two names lead to must not be
 * found twice: the stamp says that it was asked already.
 *
 * Of those who ask the same one leads: only its names are in the table. A seat brings the room for
 * its names along, so sitting down and rising need no memory, and whoever is next leads with its
 * own. Without memory for a larger table the chains get longer. Names are the consumers' choice:
 * whoever makes them collide gets back what asking everybody costs, and no worse. */
#include <stdlib.h>

#include "event/peek.h"
#include "event/matcher.h"
#include "event/matcher_internal.h"

#define MIN_SLOTS 8u
#define MAX_PROBES 16u

struct probe {
    uint8_t field;
    bool is_prefix;
    uint16_t min;   /* bytes: of the beginning, or one */
    uint32_t users; /* names in the table */
};

struct matcher {
    struct match_name **slots; /* `few`, or on the heap */
    uint32_t slot_count;       /* a power of two */
    uint32_t name_count;
    uint32_t probe_count;
    struct probe probes[MAX_PROBES];
    struct list asked; /* those who are asked for every event */
    uint64_t stamp;
    struct match_name *few[MIN_SLOTS];
};

/* ---- the table ---- */

static struct match_name **slot_of(const struct matcher *matcher, uint32_t hash)
{
    return &matcher->slots[hash & (matcher->slot_count - 1)];
}

static void grow(struct matcher *matcher)
{
    uint32_t before = matcher->slot_count;
    struct match_name **old = matcher->slots,
                      **slots = calloc((size_t)before * 2, sizeof(struct match_name *));

    if (slots == NULL)
        return;
    matcher->slots = slots;
    matcher->slot_count = before * 2;
    for (uint32_t i = 0; i < before; i++) {
        struct match_name *next;
        for (struct match_name *name = old[i]; name != NULL; name = next) {
            next = name->next;
            name->next = *slot_of(matcher, name->hash);
            *slot_of(matcher, name->hash) = name;
        }
    }
    if (old != matcher->few)
        free(old);
}

static void name_add(struct matcher *matcher, struct match_name *name)
{
    if (matcher->name_count >= matcher->slot_count)
        grow(matcher);
    name->next = *slot_of(matcher, name->hash);
    *slot_of(matcher, name->hash) = name;
    matcher->name_count++;
}

static void name_remove(struct matcher *matcher, struct match_name *name)
{
    struct match_name **link = slot_of(matcher, name->hash);

    while (*link != name) {
        CHECK(*link != NULL);
        link = &(*link)->next;
    }
    *link = name->next;
    matcher->name_count--;
}

static struct probe probe_of(const struct match_name *name)
{
    return (struct probe){.field = name->field,
                          .is_prefix = name->is_prefix,
                          .min = name->is_prefix ? (uint16_t)name->text.size : 1};
}

static struct probe *probe_find(struct matcher *matcher, struct probe like)
{
    for (uint32_t i = 0; i < matcher->probe_count; i++) {
        struct probe *probe = &matcher->probes[i];
        if (probe->field == like.field && probe->is_prefix == like.is_prefix && probe->min == like.min)
            return probe;
    }
    return NULL;
}

/* The probe of one more name; false where there are too many. */
static bool probe_use(struct matcher *matcher, struct probe like)
{
    struct probe *probe = probe_find(matcher, like);

    if (probe == NULL && matcher->probe_count == MAX_PROBES)
        return false;
    if (probe == NULL) {
        probe = &matcher->probes[matcher->probe_count++];
        *probe = like;
    }
    probe->users++;
    return true;
}

static void probe_leave(struct matcher *matcher, struct probe like)
{
    struct probe *probe = probe_find(matcher, like);

    CHECK(probe != NULL);
    if (--probe->users == 0)
        *probe = matcher->probes[--matcher->probe_count];
}

/* ---- seats ---- */

static struct match_entry *leader_of(const struct matcher *matcher, const struct match_entry *entry)
{
    struct match_name *name =
        entry->alike_name.field == FIELD_ALIKE ? *slot_of(matcher, entry->alike_name.hash) : NULL;

    while (name != NULL && (name->field != FIELD_ALIKE || name->hash != entry->alike_name.hash ||
                            !match_entry_alike(name->entry, entry)))
        name = name->next;
    return name != NULL ? name->entry : NULL;
}

/* Enters its names, or makes it one who is asked for every event. */
static void lead(struct matcher *matcher, struct match_entry *entry)
{
    uint32_t used = 0;

    entry->leads = true;
    entry->stamp = 0;
    if (entry->alike_name.field == FIELD_ALIKE)
        name_add(matcher, &entry->alike_name);
    while (used < entry->name_count && probe_use(matcher, probe_of(&entry->names[used])))
        used++;
    if (used == entry->name_count && used > 0) {
        for (uint32_t i = 0; i < used; i++)
            name_add(matcher, &entry->names[i]);
        return;
    }
    while (used-- > 0)
        probe_leave(matcher, probe_of(&entry->names[used]));
    list_append(&matcher->asked, &entry->asked);
}

static void resign(struct matcher *matcher, struct match_entry *entry)
{
    bool is_asked = !list_empty(&entry->asked);

    entry->leads = false;
    if (entry->alike_name.field == FIELD_ALIKE)
        name_remove(matcher, &entry->alike_name);
    list_remove(&entry->asked);
    for (uint32_t i = 0; i < entry->name_count && !is_asked; i++) {
        name_remove(matcher, &entry->names[i]);
        probe_leave(matcher, probe_of(&entry->names[i]));
    }
}

void matcher_add(struct matcher *matcher, struct match_entry *entry)
{
    struct match_entry *leader = leader_of(matcher, entry);

    if (leader != NULL)
        list_append(&leader->alike, &entry->alike);
    else
        lead(matcher, entry);
}

void matcher_remove(struct matcher *matcher, struct match_entry *entry)
{
    struct list *other = list_first(&entry->alike);

    list_remove(&entry->alike);
    if (!entry->leads)
        return;
    resign(matcher, entry);
    if (other != NULL)
        lead(matcher, container_of(other, struct match_entry, alike));
}

struct matcher *matcher_new(void)
{
    struct matcher *matcher = calloc(1, sizeof *matcher);

    if (matcher == NULL)
        return NULL;
    matcher->slots = matcher->few;
    matcher->slot_count = MIN_SLOTS;
    list_init(&matcher->asked);
    return matcher;
}

void matcher_free(struct matcher *matcher)
{
    if (matcher == NULL)
        return;
    CHECK(matcher->name_count == 0);
    if (matcher->slots != matcher->few)
        free(matcher->slots);
    free(matcher);
}

/* ---- events ---- */

static struct match_entry *ask(struct match_entry *entry, const struct event_view *view,
                               struct match_entry *hits)
{
    if (!filter_event(entry->filter, &entry->part, view))
        return hits;
    entry->next_hit = hits;
    return entry;
}

/* Asks those to whom the name `text` leads. */
static struct match_entry *find_name(struct matcher *matcher, const struct probe *probe, struct bytes text,
                                     const struct event_view *view, struct match_entry *hits)
{
    uint32_t hash = hash_of(probe->field, text);

    for (struct match_name *name = *slot_of(matcher, hash); name != NULL; name = name->next) {
        struct match_entry *entry = name->entry;
        if (name->hash != hash || name->field != probe->field || name->is_prefix != probe->is_prefix ||
            entry->stamp == matcher->stamp || !bytes_same(name->text, text))
            continue;
        if (name->decides) {
            entry->next_hit = hits;
            hits = entry;
        } else {
            hits = ask(entry, view, hits);
        }
        entry->stamp = matcher->stamp;
    }
    return hits;
}

static const uint8_t places[FIELDS] = {
    [FIELD_KEY] = offsetof(struct event_view, key),
    [FIELD_TOPIC] = offsetof(struct event_view, topic),
    [FIELD_TYPE] = offsetof(struct event_view, type),
};

struct match_entry *matcher_match(struct matcher *matcher, struct bytes event)
{
    SCRATCH struct event_view view;
    struct match_entry *hits = NULL;

    event_peek(event, &view);
    matcher->stamp++;
    for (uint32_t i = 0; i < matcher->probe_count; i++) {
        const struct probe *probe = &matcher->probes[i];
        struct bytes text = *(const struct bytes *)(const void *)((const char *)&view + places[probe->field]);
        if (text.size < probe->min)
            continue;
        if (probe->is_prefix)
            text.size = probe->min;
        hits = find_name(matcher, probe, text, &view, hits);
    }
    for (struct list *node = matcher->asked.next; node != &matcher->asked; node = node->next)
        hits = ask(container_of(node, struct match_entry, asked), &view, hits);
    return hits;
}
