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

static struct dial_queue *queue_of(struct dial_slots *slots, const struct dial_slot *slot)
{
    return slot->was_late ? &slots->late_waiting : &slots->waiting;
}

static struct peer_queue *kind_of(struct dial_queue *queue, const struct dial_slot *slot)
{
    return slot->waits_longer ? &queue->longer : &queue->prompt;
}

static bool is_empty(const struct dial_queue *queue)
{
    return peer_queue_is_empty(&queue->prompt) && peer_queue_is_empty(&queue->longer);
}

static struct dial_slot *slot_of(struct peer_entry *entry)
{
    return entry ? container_of(entry, struct dial_slot, entry) : NULL;
}

/* NULL: none waits, or none of those that do may go on. */
static struct dial_slot *first_waiting(const struct dial_slots *slots, const struct dial_queue *queue)
{
    struct dial_slot *prompt = slot_of(peer_queue_first(&queue->prompt));
    struct dial_slot *longer = slot_of(peer_queue_first(&queue->longer));

    if (slots->longer_held >= MAX_HELD_DIALS)
        longer = NULL;
    return prompt && !(longer && queue->longer_is_next) ? prompt : longer;
}

/* NULL: none waits, or too many are held. */
static struct dial_slot *next_waiting(struct dial_slots *slots)
{
    struct dial_slot *late = first_waiting(slots, &slots->late_waiting);
    struct dial_slot *other = first_waiting(slots, &slots->waiting);

    if (slots->held >= MAX_DIALS)
        return NULL;
    if (late && slots->late_held < MAX_LATE_DIALS && (!other || slots->own_late_held < MIN_LATE_DIALS))
        return late;
    return other;
}

static void grant(struct dial_slots *slots, struct dial_slot *slot)
{
    struct dial_queue *queue = queue_of(slots, slot);

    peer_queue_serve(kind_of(queue, slot), &slot->entry);
    queue->longer_is_next = !slot->waits_longer;
    slot->state = DIAL_SLOT_HELD;
    slot->has_late = slot->was_late;
    slots->held++;
    if (slot->has_late) {
        slots->late_held++;
        slots->own_late_held++;
    }
    if (slot->waits_longer)
        slots->longer_held++;
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

/* Those that were late before, and wait, have some of the late slots whoever else needs one. */
static unsigned max_late(const struct dial_slots *slots)
{
    const bool keeps = !is_empty(&slots->late_waiting) && slots->own_late_held < MIN_LATE_DIALS;

    return keeps ? MAX_LATE_DIALS - (MIN_LATE_DIALS - slots->own_late_held) : MAX_LATE_DIALS;
}

/* INT64_MAX: nothing follows from the time of those that are prompt. */
static int64_t prompt_end_ns(struct dial_slots *slots)
{
    const struct dial_slot *slot = first_of(&slots->prompt);
    const bool matters = slot && (slots->late_held < max_late(slots) || !is_empty(&slots->waiting));

    return matters ? slot->begun_ns + DIAL_PROMPT_NS : INT64_MAX;
}

static int64_t late_end_ns(struct dial_slots *slots)
{
    const struct dial_slot *slot = first_of(&slots->late);

    return slot && !is_empty(&slots->late_waiting) ? slot->begun_ns + LATE_DIAL_NS : INT64_MAX;
}

static void end_prompt(struct dial_slots *slots)
{
    struct dial_slot *slot = first_of(&slots->prompt);

    if (slots->late_held < max_late(slots))
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
    peer_queue_init(&slots->waiting.prompt);
    peer_queue_init(&slots->waiting.longer);
    peer_queue_init(&slots->late_waiting.prompt);
    peer_queue_init(&slots->late_waiting.longer);
    list_init(&slots->prompt);
    list_init(&slots->late);
}

void dial_slots_fini(struct dial_slots *slots)
{
    peer_queue_fini(&slots->waiting.prompt);
    peer_queue_fini(&slots->waiting.longer);
    peer_queue_fini(&slots->late_waiting.prompt);
    peer_queue_fini(&slots->late_waiting.longer);
}

void dial_slot_init(struct dial_slot *slot, void (*come)(struct dial_slot *slot),
                    void (*yield)(struct dial_slot *slot))
{
    *slot = (struct dial_slot){.come = come, .yield = yield};
    peer_entry_init(&slot->entry, NO_PEER);
    list_init(&slot->link);
}

void dial_slot_request(struct dial_slots *slots, struct dial_slot *slot)
{
    CHECK(slot->state == DIAL_SLOT_IDLE);
    slot->state = DIAL_SLOT_WAITING;
    peer_queue_add(kind_of(queue_of(slots, slot), slot), &slot->entry);
    count_add(COUNT_LIVE_WAITING_DIALS, 1);
    update(slots);
}

void dial_slot_begun(struct dial_slots *slots, struct dial_slot *slot)
{
    CHECK(slot->state == DIAL_SLOT_HELD);
    if (slot->waits_longer)
        slots->longer_held--;
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

static void give_back(struct dial_slots *slots, const struct dial_slot *slot)
{
    count_add(COUNT_LIVE_DIALS, -1);
    slots->held--;
    if (slot->has_late)
        slots->late_held--;
    if (slot->was_late)
        slots->own_late_held--;
    if (slot->state == DIAL_SLOT_HELD && slot->waits_longer)
        slots->longer_held--;
}

void dial_slot_leave(struct dial_slots *slots, struct dial_slot *slot)
{
    if (slot->state == DIAL_SLOT_IDLE)
        return;
    list_remove(&slot->link);
    if (slot->state == DIAL_SLOT_WAITING) {
        peer_queue_remove(kind_of(queue_of(slots, slot), slot), &slot->entry);
        count_add(COUNT_LIVE_WAITING_DIALS, -1);
    } else {
        give_back(slots, slot);
    }
    slot->state = DIAL_SLOT_IDLE;
    slot->has_late = false;
    update(slots);
}
