/* scan.c - the scan of messages as they come: form, bounds, texts, and the offset of each event. */
#include "event/framing.h"
#include "budget.h"

static struct {
    struct budget_shape shape;
    struct buf message;
    struct framing_scan scan;
} scene;

static void open_scene(const struct budget_shape *shape)
{
    scene.shape = *shape;
    budget_message(shape, 0, &scene.message);
}

static void scan_round(void)
{
    struct fault fault;

    for (uint32_t i = 0; i < scene.shape.messages; i++)
        if (framing_scan(&scene.scan, (struct bytes){scene.message.data, scene.message.size},
                         &framing_defaults, &fault))
            break;
}

static void settle(void)
{
    CHECK(scene.scan.count == scene.shape.events && scene.scan.contiguous);
}

static void close_scene(void)
{
    framing_fini(&scene.scan);
    buf_fini(&scene.message);
}

const struct budget_work scan_work = {
    .open = open_scene, .round = scan_round, .settle = settle, .close = close_scene};
