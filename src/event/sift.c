/* sift.c - many filters asked at once. What a seat brings along is made in sieve_seat.c.
 *
 * DESIGN. A seat is led to by names where each of its selectors has a field (key, topic, type) of which it wants certain values, or values
 * with certain beginnings: what the event has there is looked up, instead of asking every filter. All names stand in one table of
 * chained slots, by field, text and whether the text is a beginning. A probe is one way to look: a field as a whole, or its first
 * so many bytes; for each event every probe is one lookup, and there are few: as many as there are fields in use and lengths of
 * beginnings. Where there are more lengths than PROBES_MOST, or no name can be had, a seat is asked for every event.
 *
 * What a name leads to is asked whole, unless the name is all that its filter asks. So names only have to lead to everybody who may want
 * the event, and a seat that two names lead to must not be found twice: the stamp says that it was asked already.
 *
 * Of those who ask the same one leads: only its names are in the table. A seat brings the room for its names along, so sitting down
 * and rising need no memory, and whoever is next leads with its own. Without memory for a larger table the chains get longer. Names are the
 * consumers' choice: whoever makes them collide gets back what asking everybody costs, and no worse. */
#include <stdlib.h>

#include "event/glance.h"
#include "event/sieve_internal.h"

#define SLOTS_LEAST 8u
#define PROBES_MOST 16u

struct probe {
    uint8_t field;
    bool is_prefix;
    uint16_t least; /* bytes: of the beginning, or one */
    uint32_t users; /* names in the table */
};

struct sieve {
    struct sieve_name **slots; /* `few`, or on the heap */
    uint32_t slot_count;       /* a power of two */
    uint32_t name_count;
    uint32_t probe_count;
    struct probe probes[PROBES_MOST];
    struct list asked; /* those who are asked for every event */
    uint64_t stamp;
    struct sieve_name *few[SLOTS_LEAST];
};

/* ---- the table ---- */

static struct sieve_name **slot_of(const struct sieve *sieve, uint32_t hash)
{
    return &sieve->slots[hash & (sieve->slot_count - 1)];
}

static void grow(struct sieve *sieve)
{
    uint32_t before = sieve->slot_count;
    struct sieve_name **old = sieve->slots, **slots = calloc((size_t)before * 2, sizeof(struct sieve_name *));

    if (slots == NULL)
        return;
    sieve->slots = slots;
    sieve->slot_count = before * 2;
    for (uint32_t i = 0; i < before; i++) {
        struct sieve_name *next;
        for (struct sieve_name *name = old[i]; name != NULL; name = next) {
            next = name->next;
            name->next = *slot_of(sieve, name->hash);
            *slot_of(sieve, name->hash) = name;
        }
    }
    if (old != sieve->few)
        free(old);
}

static void name_add(struct sieve *sieve, struct sieve_name *name)
{
    if (sieve->name_count >= sieve->slot_count)
        grow(sieve);
    name->next = *slot_of(sieve, name->hash);
    *slot_of(sieve, name->hash) = name;
    sieve->name_count++;
}

static void name_remove(struct sieve *sieve, struct sieve_name *name)
{
    struct sieve_name **link = slot_of(sieve, name->hash);

    while (*link != name) {
        CHECK(*link != NULL);
        link = &(*link)->next;
    }
    *link = name->next;
    sieve->name_count--;
}

static struct probe probe_of(const struct sieve_name *name)
{
    return (struct probe){.field = name->field, .is_prefix = name->is_prefix, .least = name->is_prefix ? (uint16_t)name->text.size : 1};
}

static struct probe *probe_find(struct sieve *sieve, struct probe like)
{
    for (uint32_t i = 0; i < sieve->probe_count; i++) {
        struct probe *probe = &sieve->probes[i];
        if (probe->field == like.field && probe->is_prefix == like.is_prefix && probe->least == like.least)
            return probe;
    }
    return NULL;
}

/* The probe of one more name; false where there are too many. */
static bool probe_use(struct sieve *sieve, struct probe like)
{
    struct probe *probe = probe_find(sieve, like);

    if (probe == NULL && sieve->probe_count == PROBES_MOST)
        return false;
    if (probe == NULL) {
        probe = &sieve->probes[sieve->probe_count++];
        *probe = like;
    }
    probe->users++;
    return true;
}

static void probe_leave(struct sieve *sieve, struct probe like)
{
    struct probe *probe = probe_find(sieve, like);

    CHECK(probe != NULL);
    if (--probe->users == 0)
        *probe = sieve->probes[--sieve->probe_count];
}

/* ---- seats ---- */

static struct sieve_seat *leader_of(const struct sieve *sieve, const struct sieve_seat *seat)
{
    struct sieve_name *name = seat->alike_name.field == FIELD_ALIKE ? *slot_of(sieve, seat->alike_name.hash) : NULL;

    while (name != NULL && (name->field != FIELD_ALIKE || name->hash != seat->alike_name.hash || !sieve_alike(name->seat, seat)))
        name = name->next;
    return name != NULL ? name->seat : NULL;
}

/* Enters its names, or makes it one who is asked for every event. */
static void lead(struct sieve *sieve, struct sieve_seat *seat)
{
    uint32_t used = 0;

    seat->leads = true;
    seat->stamp = 0;
    if (seat->alike_name.field == FIELD_ALIKE)
        name_add(sieve, &seat->alike_name);
    while (used < seat->name_count && probe_use(sieve, probe_of(&seat->names[used])))
        used++;
    if (used == seat->name_count && used > 0) {
        for (uint32_t i = 0; i < used; i++)
            name_add(sieve, &seat->names[i]);
        return;
    }
    while (used-- > 0)
        probe_leave(sieve, probe_of(&seat->names[used]));
    list_append(&sieve->asked, &seat->asked);
}

static void resign(struct sieve *sieve, struct sieve_seat *seat)
{
    bool is_asked = !list_empty(&seat->asked);

    seat->leads = false;
    if (seat->alike_name.field == FIELD_ALIKE)
        name_remove(sieve, &seat->alike_name);
    list_remove(&seat->asked);
    for (uint32_t i = 0; i < seat->name_count && !is_asked; i++) {
        name_remove(sieve, &seat->names[i]);
        probe_leave(sieve, probe_of(&seat->names[i]));
    }
}

void sieve_sit(struct sieve *sieve, struct sieve_seat *seat)
{
    struct sieve_seat *leader = leader_of(sieve, seat);

    if (leader != NULL)
        list_append(&leader->alike, &seat->alike);
    else
        lead(sieve, seat);
}

void sieve_rise(struct sieve *sieve, struct sieve_seat *seat)
{
    struct list *other = list_first(&seat->alike);

    list_remove(&seat->alike);
    if (!seat->leads)
        return;
    resign(sieve, seat);
    if (other != NULL)
        lead(sieve, container_of(other, struct sieve_seat, alike));
}

struct sieve *sieve_new(void)
{
    struct sieve *sieve = calloc(1, sizeof *sieve);

    if (sieve == NULL)
        return NULL;
    sieve->slots = sieve->few;
    sieve->slot_count = SLOTS_LEAST;
    list_init(&sieve->asked);
    return sieve;
}

void sieve_free(struct sieve *sieve)
{
    if (sieve == NULL)
        return;
    CHECK(sieve->name_count == 0);
    if (sieve->slots != sieve->few)
        free(sieve->slots);
    free(sieve);
}

/* ---- events ---- */

static struct sieve_seat *ask(struct sieve_seat *seat, const struct event_view *view, struct sieve_seat *hits)
{
    if (!filter_event(seat->filter, &seat->part, view))
        return hits;
    seat->next_hit = hits;
    return seat;
}

/* Asks those to whom the name `text` leads. */
static struct sieve_seat *look_up(struct sieve *sieve, const struct probe *probe, struct bytes text, const struct event_view *view,
                                  struct sieve_seat *hits)
{
    uint32_t hash = hash_of(probe->field, text);

    for (struct sieve_name *name = *slot_of(sieve, hash); name != NULL; name = name->next) {
        struct sieve_seat *seat = name->seat;
        if (name->hash != hash || name->field != probe->field || name->is_prefix != probe->is_prefix || seat->stamp == sieve->stamp ||
            !bytes_same(name->text, text))
            continue;
        if (name->settles) {
            seat->next_hit = hits;
            hits = seat;
        } else {
            hits = ask(seat, view, hits);
        }
        seat->stamp = sieve->stamp;
    }
    return hits;
}

static const uint8_t places[FIELDS] = {
    [FIELD_KEY] = offsetof(struct event_view, key),
    [FIELD_TOPIC] = offsetof(struct event_view, topic),
    [FIELD_TYPE] = offsetof(struct event_view, type),
};

struct sieve_seat *sieve_event(struct sieve *sieve, struct bytes event)
{
    SCRATCH struct event_view view;
    struct sieve_seat *hits = NULL;

    event_glance(event, &view);
    sieve->stamp++;
    for (uint32_t i = 0; i < sieve->probe_count; i++) {
        const struct probe *probe = &sieve->probes[i];
        struct bytes text = *(const struct bytes *)(const void *)((const char *)&view + places[probe->field]);
        if (text.size < probe->least)
            continue;
        if (probe->is_prefix)
            text.size = probe->least;
        hits = look_up(sieve, probe, text, &view, hits);
    }
    for (struct list *node = sieve->asked.next; node != &sieve->asked; node = node->next)
        hits = ask(container_of(node, struct sieve_seat, asked), &view, hits);
    return hits;
}
