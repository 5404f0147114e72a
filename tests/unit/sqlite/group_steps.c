/* group_steps.c - groups of a store, driven from one thread. */
#include "group_steps.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SHOWN 64u
#define SHOWN_BYTES 256u

/* ---- changes ---- */

struct group_step {
    struct group_change change;
    bool is_done;
};

static void on_changed(struct group_change *change)
{
    answer_is_there(&container_of(change, struct group_step, change)->is_done);
}

struct group_change change_group(struct store_fixture *fixture, enum group_verb verb, const char *name,
                                 const char *settings)
{
    const struct group_port port = store_groups(fixture->store, NULL, NULL);
    struct group_step step = {
        .change = {
            .verb = verb, .name = text_bytes(name), .settings = text_bytes(settings), .done = on_changed}};

    port.change(port.ctx, &step.change);
    answer_await(&step.is_done);
    return step.change;
}

uint64_t make_group(struct store_fixture *fixture, const char *name)
{
    const struct group_change change = change_group(fixture, GROUP_CREATE, name, "");

    cr_assert_eq(change.outcome, TOPIC_DONE);
    return change.incarnation;
}

/* ---- saves ---- */

struct save_step {
    struct group_save save;
    bool is_done;
};

static void on_saved(struct group_save *save)
{
    answer_is_there(&container_of(save, struct save_step, save)->is_done);
}

enum topic_outcome save_all(struct store_fixture *fixture, const struct group_cursor *cursors, uint32_t count,
                            struct batch *dead)
{
    const struct group_port port = store_groups(fixture->store, NULL, NULL);
    struct save_step step = {.save = {.cursors = cursors,
                                      .cursor_count = count,
                                      .dead = dead ? &dead->append : NULL,
                                      .done = on_saved}};

    cr_assert_eq(port.save(port.ctx, &step.save), ERR_OK);
    answer_await(&step.is_done);
    if (dead)
        cr_assert_eq(batch_end(dead), step.save.outcome, "both or neither");
    return step.save.outcome;
}

enum topic_outcome save_one(struct store_fixture *fixture, struct group_cursor cursor, struct batch *dead)
{
    return save_all(fixture, &cursor, 1, dead);
}

/* ---- what is there ---- */

static char shown[MAX_SHOWN][SHOWN_BYTES], all[MAX_SHOWN * SHOWN_BYTES];
static unsigned shown_count;

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static const char *in_order(void)
{
    size_t size = 0;

    qsort(shown, shown_count, sizeof(shown[0]), by_text);
    all[0] = '\0';
    for (unsigned i = 0; i < shown_count; i++)
        size += (size_t)snprintf(all + size, sizeof(all) - size, "%s%s", i > 0 ? " " : "", shown[i]);
    return all;
}

static void show_group(void *arg, const struct group_info *info)
{
    (void)arg;
    cr_assert_lt(shown_count, MAX_SHOWN);
    snprintf(shown[shown_count++], SHOWN_BYTES, "%.*s=%.*s", (int)info->name.size,
             (const char *)info->name.data, (int)info->settings.size, (const char *)info->settings.data);
}

const char *groups_text(struct store_fixture *fixture)
{
    const struct group_port port = store_groups(fixture->store, NULL, NULL);

    shown_count = 0;
    port.list(port.ctx, show_group, NULL);
    return in_order();
}

static bool show_cursor(void *ctx, const struct group_cursor_info *info)
{
    (void)ctx;
    cr_assert_lt(shown_count, MAX_SHOWN);
    snprintf(shown[shown_count++], SHOWN_BYTES, "%.*s:%lu=%.*s(%.*s)%s", (int)info->group.size,
             (const char *)info->group.data, (unsigned long)info->end_seq, (int)info->cursor.size,
             (const char *)info->cursor.data, (int)info->counts.size, (const char *)info->counts.data,
             info->is_beyond ? "!" : "");
    return true;
}

const char *cursors_text(struct store_fixture *fixture)
{
    struct refusal refusal;

    shown_count = 0;
    if (store_read_cursors(fixture->store, show_cursor, NULL, &refusal) == ERR_OK)
        return in_order();
    snprintf(all, sizeof(all), "refused: %s", refusal.text);
    return all;
}
