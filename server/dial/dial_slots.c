/* dial_slots.c - see dial_slots.h. */
#include "server/dial/dial_slots.h"

#include "base/clock.h"
#include "base/counters.h"

static struct dial_slot *first_of(struct list *list)
{
    struct list *link = list_first(list);

    return link ? container_of(link, struct dial_slot, link) : NULL;
}

/* ---- the ones that wait ---- */

/* NULL: none waits, or too many are held. */
static struct dial_slot *next_waiting(struct dial_slots *slots)
{
    struct dial_slot *late = first_of(&slots->late_waiting), *other = first_of(&slots->waiting);

    if (slots->held >= MAX_DIALS)
        return NULL;
    if (late && slots->late_held < (other ? MIN_LATE_DIALS : MAX_LATE_DIALS))
        return late;
    return other;
}

static void grant(struct dial_slots *slots, struct dial_slot *slot)
{
    list_remove(&slot->link);
    slot->state = DIAL_SLOT_HELD;
    slot->has_late = slot->was_late;
    slots->held++;
    if (slot->has_late)
        slots->late_held++;
    count_add(COUNT_LIVE_WAITING_DIALS, -1);
    count_add(COUNT_LIVE_DIALS, 1);
    slot->come(slot);
}

/* ---- the ones that have begun ---- */

static void be_late(struct dial_slots *slots, struct dial_slot *slot)
{
    list_remove(&slot->link);
    slot->state = DIAL_SLOT_LATE;
    slots->late_held++;
    slot->has_late = true;
    list_append(&slots->late, &slot->link);
}

/* It stays held until it leaves. */
static void evict(struct dial_slot *slot)
{
    list_remove(&slot->link);
    slot->state = DIAL_SLOT_LATE;
    slot->yield(slot);
}

/* INT64_MAX: nothing follows from the time of those that are prompt. */
static int64_t prompt_end_ns(struct dial_slots *slots)
{
    const struct dial_slot *slot = first_of(&slots->prompt);
    const bool matters = slot && (slots->late_held < MAX_LATE_DIALS || !list_empty(&slots->waiting));

    return matters ? slot->begun_ns + DIAL_PROMPT_NS : INT64_MAX;
}

static int64_t late_end_ns(struct dial_slots *slots)
{
    const struct dial_slot *slot = first_of(&slots->late);

    return slot && !list_empty(&slots->late_waiting) ? slot->begun_ns + LATE_DIAL_NS : INT64_MAX;
}

static void end_prompt(struct dial_slots *slots)
{
    struct dial_slot *slot = first_of(&slots->prompt);

    if (slots->late_held < MAX_LATE_DIALS)
        be_late(slots, slot);
    else
        evict(slot);
}

/* come() and yield() may lead back here. */
static void update(struct dial_slots *slots)
{
    const int64_t now_ns = clock_mono_ns();
    struct dial_slot *slot;

    while (prompt_end_ns(slots) <= now_ns)
        end_prompt(slots);
    while (late_end_ns(slots) <= now_ns)
        evict(first_of(&slots->late));
    while ((slot = next_waiting(slots)))
        grant(slots, slot);
    cq_timer_set(slots->cq, &slots->timer, MIN_OF(prompt_end_ns(slots), late_end_ns(slots)));
}

static void on_timer(struct cq_timer *timer, int64_t now_ns)
{
    (void)now_ns;
    update(container_of(timer, struct dial_slots, timer));
}

void dial_slots_init(struct dial_slots *slots, struct cq_thread *cq)
{
    *slots = (struct dial_slots){.cq = cq, .timer.fired = on_timer};
    list_init(&slots->waiting);
    list_init(&slots->late_waiting);
    list_init(&slots->prompt);
    list_init(&slots->late);
}

void dial_slot_init(struct dial_slot *slot, void (*come)(struct dial_slot *slot),
                    void (*yield)(struct dial_slot *slot))
{
    *slot = (struct dial_slot){.come = come, .yield = yield};
    list_init(&slot->link);
}

void dial_slot_request(struct dial_slots *slots, struct dial_slot *slot)
{
    CHECK(slot->state == DIAL_SLOT_IDLE);
    slot->state = DIAL_SLOT_WAITING;
    list_append(slot->was_late ? &slots->late_waiting : &slots->waiting, &slot->link);
    count_add(COUNT_LIVE_WAITING_DIALS, 1);
    update(slots);
}

void dial_slot_begun(struct dial_slots *slots, struct dial_slot *slot)
{
    CHECK(slot->state == DIAL_SLOT_HELD);
    slot->state = slot->has_late ? DIAL_SLOT_LATE : DIAL_SLOT_PROMPT;
    slot->begun_ns = clock_mono_ns();
    list_append(slot->has_late ? &slots->late : &slots->prompt, &slot->link);
    update(slots);
}

bool dial_slot_is_late(const struct dial_slot *slot)
{
    const bool has_begun = slot->state == DIAL_SLOT_PROMPT || slot->state == DIAL_SLOT_LATE;

    return has_begun && clock_mono_ns() - slot->begun_ns >= DIAL_PROMPT_NS;
}

void dial_slot_leave(struct dial_slots *slots, struct dial_slot *slot)
{
    if (slot->state == DIAL_SLOT_IDLE)
        return;
    list_remove(&slot->link);
    if (slot->state == DIAL_SLOT_WAITING) {
        count_add(COUNT_LIVE_WAITING_DIALS, -1);
    } else {
        count_add(COUNT_LIVE_DIALS, -1);
        slots->held--;
        if (slot->has_late)
            slots->late_held--;
    }
    slot->state = DIAL_SLOT_IDLE;
    slot->has_late = false;
    update(slots);
}
