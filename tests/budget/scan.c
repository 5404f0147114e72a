/* scan.c - the job of the scan: form, bounds and texts of a message, and the offset of each
 * event. */
#include "budget.h"

#include "event/framing.h"

static struct {
    struct budget_shape shape;
    struct buf message;
    struct framing_scan scan;
} state;

static void open_job(const struct budget_shape *shape)
{
    state.shape = *shape;
    budget_message(shape, 0, &state.message);
}

static void scan_round(void)
{
    struct fault fault;

    for (uint32_t i = 0; i < state.shape.messages; i++)
        if (framing_scan(&state.scan, (struct bytes){state.message.data, state.message.size},
                         &settings_defaults.framing, &fault))
            break;
}

static void finish(void)
{
    CHECK(state.scan.count == state.shape.events && state.scan.contiguous);
}

static void close_job(void)
{
    framing_fini(&state.scan);
    buf_fini(&state.message);
}

const struct budget_job scan_job = {
    .open = open_job, .round = scan_round, .finish = finish, .close = close_job};
