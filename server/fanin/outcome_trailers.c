/* outcome_trailers.c - what the trailers of a fan-in call say:
 *
 *   tributary-endpoint: NAME               whose failure the status tells
 *   tributary-failed-total: COUNT          upstreams that have failed
 *   tributary-failed: NAME CODE MESSAGE    for each of them
 *   tributary-lost-total: COUNT
 *   tributary-lost: NAME REASON COUNT      for each endpoint and reason
 *   tributary-left-out: COUNT              trailers for which there was no space
 *
 * and behind them what the endpoints let through of their upstreams' own. Spaces in a name, '%',
 * and all that is not printable ASCII are written as %XX. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "server/fanin/outcome.h"

/* Of tributary-left-out itself. */
#define KEPT_TRAILERS 1u
#define KEPT_BYTES 64u

static void put_escaped(struct buf *buf, const char *text, bool keeps_spaces)
{
    for (const char *at = text; *at != '\0'; at++) {
        const uint8_t letter = (uint8_t)*at;
        char escaped[4];

        if (letter > '~' || letter < ' ' || letter == '%' || (letter == ' ' && !keeps_spaces)) {
            snprintf(escaped, sizeof(escaped), "%%%02X", letter);
            buf_bytes(buf, escaped, 3);
        } else {
            buf_bytes(buf, &letter, 1);
        }
    }
}

static bool has_space(struct outcome_trailers *trailers, size_t bytes)
{
    if (trailers->count + KEPT_TRAILERS < MAX_CALL_TRAILERS &&
        trailers->bytes + bytes + KEPT_BYTES <= MAX_TRAILER_BYTES)
        return true;
    trailers->left_out++;
    return false;
}

static bool add(struct outcome_trailers *trailers, struct bytes name, struct bytes value)
{
    const size_t bytes = name.size + value.size + TRAILER_EXTRA_BYTES;

    if (!has_space(trailers, bytes))
        return false;
    trailers->bytes += bytes;
    trailers->list[trailers->count++] = (struct pair){name, value};
    return true;
}

/* Takes over the memory of `value`. */
static void add_text(struct outcome_trailers *trailers, const char *name, struct buf *value)
{
    if (value->broken)
        trailers->left_out++;
    else if (add(trailers, text_bytes(name), (struct bytes){value->data, value->size})) {
        trailers->memory[trailers->count - 1] = value->data;
        return;
    }
    buf_fini(value);
}

void outcome_add_failed(struct outcome *outcome, const struct part *part)
{
    OWNED(buf_fini) struct buf value = {0};

    put_escaped(&value, part->name, false);
    buf_format(&value, " %s ", fault_code_name((enum fault_code)part->code));
    put_escaped(&value, part->message, true);
    if (value.broken)
        outcome->failed.left_out++;
    else
        kept_trailers_add(&outcome->failed, text_bytes("tributary-failed"),
                          (struct bytes){value.data, value.size});
}

static const char *loss_name(uint32_t reason)
{
    static const char *const names[LOSS_COUNT] = {[LOSS_OVERFLOW_OLDEST] = "OVERFLOW_OLDEST",
                                                  [LOSS_OVERFLOW_NEWEST] = "OVERFLOW_NEWEST",
                                                  [LOSS_COALESCED] = "COALESCED",
                                                  [LOSS_EXPIRED] = "EXPIRED",
                                                  [LOSS_BLOCK_TIMEOUT] = "BLOCK_TIMEOUT",
                                                  [LOSS_DRAIN_CUT] = "DRAIN_CUT",
                                                  [LOSS_BUDGET] = "BUDGET",
                                                  [LOSS_RESUME_GAP] = "RESUME_GAP",
                                                  [LOSS_CONSUMER_GONE] = "CONSUMER_GONE",
                                                  [LOSS_REPORTED_BY_PRODUCER] = "REPORTED_BY_PRODUCER",
                                                  [LOSS_TRIMMED] = "TRIMMED"};

    return reason < LOSS_COUNT && names[reason] ? names[reason] : "UNKNOWN";
}

static void add_number(struct outcome_trailers *trailers, const char *key, uint64_t number)
{
    struct buf value = {0};

    buf_format(&value, "%" PRIu64, number);
    add_text(trailers, key, &value);
}

static void add_lost(struct outcome_trailers *trailers, const struct part_loss *loss)
{
    struct buf value = {0};

    put_escaped(&value, loss->name, false);
    buf_format(&value, " %s %" PRIu64, loss_name(loss->reason), loss->count);
    add_text(trailers, "tributary-lost", &value);
}

static void add_kept(struct outcome_trailers *trailers, const struct kept_trailers *kept)
{
    list_each(node, next, (struct list *)&kept->all) {
        const struct kept_trailer *trailer = container_of(node, struct kept_trailer, link);

        (void)add(trailers, trailer->pair.name, trailer->pair.value);
    }
    trailers->left_out += kept->left_out;
}

/* There is space kept for it. */
static void add_left_out(struct outcome_trailers *trailers)
{
    struct buf value = {0};

    buf_format(&value, "%" PRIu64, trailers->left_out);
    if (value.broken)
        return;
    trailers->memory[trailers->count] = value.data;
    trailers->list[trailers->count++] =
        (struct pair){text_bytes("tributary-left-out"), {value.data, value.size}};
}

static void add_endpoint(struct outcome_trailers *trailers, const struct part *bad)
{
    struct buf value = {0};

    put_escaped(&value, bad->name, false);
    add_text(trailers, "tributary-endpoint", &value);
}

void outcome_trailers(const struct outcome *outcome, struct outcome_trailers *trailers_out,
                      const struct part *bad)
{
    *trailers_out = (struct outcome_trailers){.count = 0};
    if (bad)
        add_endpoint(trailers_out, bad);
    if (outcome->bad_count > 0)
        add_number(trailers_out, "tributary-failed-total", outcome->bad_count);
    if (outcome->lost > 0)
        add_number(trailers_out, "tributary-lost-total", outcome->lost);
    for (size_t i = 0; i < outcome->loss_count; i++)
        add_lost(trailers_out, &outcome->losses[i]);
    add_kept(trailers_out, &outcome->failed);
    add_kept(trailers_out, &outcome->own);
    if (trailers_out->left_out > 0)
        add_left_out(trailers_out);
}

void outcome_trailers_fini(struct outcome_trailers *trailers)
{
    for (size_t i = 0; i < trailers->count; i++)
        free(trailers->memory[i]);
}
