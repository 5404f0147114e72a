/* guard_model.c - see guard_model.h. */
#include "guard_model.h"

enum type {
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION
};

static const enum h2guard_reason waste_reasons[] = {
#define ITEM(id, cost, waste, reason) H2GUARD_##reason,
#include "h2guard/h2guard_item.def"
#undef ITEM
};

#define ITEM(name) H2GUARD_ITEM_##name

/* Where a stream's data stand: how many bytes of an unfinished message came. */
struct place {
    size_t prefix;   /* bytes of a prefix, 0 to 5 */
    size_t declared; /* if the prefix is whole */
    size_t got;
    size_t messages; /* whose prefix is whole */
};

static struct place place_of(const struct buf *data)
{
    struct place place = {0};

    for (size_t i = 0; i < data->size; i++) {
        if (place.prefix < 5) {
            place.declared = place.prefix == 0 ? 0 : place.declared * 256 + data->data[i];
            place.prefix++;
            place.messages += place.prefix == 5;
        } else {
            place.got++;
        }
        if (place.prefix == 5 && place.got == place.declared)
            place = (struct place){.messages = place.messages};
    }
    return place;
}

static void end(struct guard_model *model, enum h2guard_reason reason)
{
    if (model->reason == H2GUARD_NO_REASON)
        model->reason = reason;
}

uint64_t model_cost(const struct guard_model *model)
{
    uint64_t cost = 0;

    for (size_t i = 0; i < H2GUARD_ITEM_COUNT; i++)
        cost += model->items[i] * model->limits->prices[i].cost;
    return cost;
}

uint64_t model_waste(const struct guard_model *model)
{
    uint64_t waste = 0;

    for (size_t i = 0; i < H2GUARD_ITEM_COUNT; i++)
        waste += model->items[i] * model->limits->prices[i].waste;
    return waste;
}

uint64_t model_unfinished(const struct guard_model *model)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < MODEL_STREAMS; i++)
        bytes += model->streams[i].open ? place_of(&model->streams[i].data).got : 0;
    return bytes;
}

uint32_t model_open_streams(const struct guard_model *model)
{
    uint32_t count = 0;

    for (size_t i = 0; i < MODEL_STREAMS; i++)
        count += model->streams[i].open;
    return count;
}

static void count(struct guard_model *model, enum h2guard_item item, uint32_t by)
{
    model->items[item] += by;
    if (model_waste(model) > (uint64_t)model->limits->waste_burst)
        end(model, waste_reasons[item]);
}

static uint32_t length(const struct guard_model *model)
{
    return (uint32_t)model->head[0] << 16 | (uint32_t)model->head[1] << 8 | model->head[2];
}

static uint32_t stream_of(const struct guard_model *model)
{
    return (model->head[5] & 127u) << 24 | model->head[6] * 65536u | model->head[7] * 256u | model->head[8];
}

static struct model_stream *open_stream(struct guard_model *model, uint32_t id)
{
    return id < MODEL_STREAMS && model->streams[id].open ? &model->streams[id] : NULL;
}

static bool is_idle(const struct guard_model *model, uint32_t id)
{
    return id % 2 == 0 || id > model->highest;
}

static bool use(uint32_t *credit)
{
    return *credit > 0 && (*credit)--;
}

static void on_closed(struct guard_model *model)
{
    model->skipped = true;
    if (is_idle(model, stream_of(model)))
        end(model, H2GUARD_IDLE_STREAM);
    else
        count(model, use(&model->late) ? ITEM(LATE) : ITEM(STRAY), 1);
}

static void begin_stream(struct guard_model *model, uint32_t id, bool spoke)
{
    CHECK(id < MODEL_STREAMS);
    if (model_open_streams(model) == model->limits->max_streams) {
        end(model, H2GUARD_TOO_MANY_STREAMS);
        return;
    }
    model->streams[id].open = true;
    model->streams[id].spoke = spoke;
    model->highest = id;
}

static void end_side(struct model_stream *stream, bool *side)
{
    *side = true;
    if (stream->peer_ended && stream->we_ended)
        stream->open = false;
}

/* Charges a DATA frame with so many bytes of data. */
static void on_data_size(struct guard_model *model, uint32_t size)
{
    struct model_stream *stream = open_stream(model, stream_of(model));

    if (!stream) {
        on_closed(model);
        return;
    }
    struct place place = place_of(&stream->data);
    size_t needed = place.prefix == 5 ? place.declared - place.got : 5 - place.prefix;
    bool completes = size >= needed || (model->head[4] & 1);
    if (size == 0 && !completes)
        count(model, ITEM(EMPTY_DATA), 1);
    else if (size < model->limits->small_data_bytes && !completes)
        count(model, ITEM(SMALL_DATA), 1);
    else
        count(model, ITEM(DATA), 1);
}

static void on_data(struct guard_model *model)
{
    struct model_stream *stream = open_stream(model, stream_of(model));

    if (!stream)
        on_closed(model);
    else if (stream->peer_ended)
        end(model, H2GUARD_ENDED_STREAM);
    else if (!(model->head[4] & 8))
        on_data_size(model, length(model));
    else if (length(model) == 0)
        end(model, H2GUARD_FRAME_SIZE);
}

static void on_headers(struct guard_model *model)
{
    uint32_t id = stream_of(model), flags = model->head[4];
    struct model_stream *stream = open_stream(model, id);
    bool is_server = model->role == H2GUARD_SERVER;

    model->continuations = 0;
    model->block_bytes = length(model);
    if (length(model) < (flags & 8 ? 1u : 0u) + (flags & 32 ? 5u : 0u))
        end(model, H2GUARD_FRAME_SIZE);
    else if (model->block_bytes > model->limits->max_header_bytes)
        end(model, H2GUARD_HEADER_TOO_LARGE);
    if (model->reason != H2GUARD_NO_REASON)
        return;
    model->block = id;
    if (stream && stream->peer_ended) {
        end(model, H2GUARD_ENDED_STREAM);
    } else if (stream) {
        bool expected = (flags & 1) || (!is_server && !stream->spoke);
        stream->spoke = true;
        count(model, expected ? ITEM(HEADERS) : ITEM(EXTRA_HEADERS), 1);
    } else if (is_server && id % 2 == 1 && id > model->highest) {
        begin_stream(model, id, true);
        if (model->reason == H2GUARD_NO_REASON)
            count(model, ITEM(OPEN), 1);
    } else {
        on_closed(model);
    }
}

static void on_continuation(struct guard_model *model)
{
    model->block_bytes += length(model);
    model->continuations++;
    if (model->block == 0)
        end(model, H2GUARD_HEADER_BLOCK);
    else if (model->continuations > model->limits->max_continuations)
        end(model, H2GUARD_TOO_MANY_CONTINUATIONS);
    else if (model->block_bytes > model->limits->max_header_bytes)
        end(model, H2GUARD_HEADER_TOO_LARGE);
    else
        count(model, ITEM(CONTINUATION), 1);
}

static void on_reset(struct guard_model *model)
{
    struct model_stream *stream = open_stream(model, stream_of(model));
    bool is_early = model->role == H2GUARD_SERVER && stream && !stream->answered;

    if (!stream && is_idle(model, stream_of(model)))
        count(model, ITEM(STRAY), 1);
    else if (!stream)
        on_closed(model);
    else
        count(model, is_early ? ITEM(EARLY_RESET) : ITEM(RESET), 1);
    if (stream)
        stream->open = false;
}

static void on_settings(struct guard_model *model)
{
    if (length(model) % 6 != 0 || ((model->head[4] & 1) && length(model) > 0)) {
        end(model, H2GUARD_FRAME_SIZE);
    } else if (model->head[4] & 1) {
        count(model, use(&model->settings_unacked) ? ITEM(SETTINGS_ACK) : ITEM(WRONG_ACK), 1);
    } else {
        if (++model->unanswered > model->limits->max_unanswered)
            end(model, H2GUARD_UNANSWERED);
        count(model, ITEM(SETTINGS), 1);
        count(model, ITEM(SETTING), length(model) / 6);
        if (length(model) > 0)
            count(model, ITEM(SETTINGS_STREAM), model_open_streams(model));
    }
}

static void on_ping(struct guard_model *model)
{
    if (model->head[4] & 1) {
        count(model, use(&model->pings_unacked) ? ITEM(PING_ACK) : ITEM(WRONG_ACK), 1);
        return;
    }
    if (++model->unanswered > model->limits->max_unanswered)
        end(model, H2GUARD_UNANSWERED);
    count(model, use(&model->pings) ? ITEM(PING) : ITEM(IDLE_PING), 1);
}

/* What every frame must keep to, whatever its type means. */
static enum h2guard_reason form_of(const struct guard_model *model)
{
    static const int sizes[] = {-1, -1, 5, 4, -1, -1, 8, -1, 4, -1}; /* -1: any */
    unsigned type = model->head[3];
    uint32_t id = stream_of(model);

    if (length(model) > model->limits->max_frame_bytes)
        return H2GUARD_FRAME_TOO_LARGE;
    if (!model->had_settings && (type != SETTINGS || (model->head[4] & 1)))
        return H2GUARD_FIRST_FRAME;
    if (model->block != 0 && (type != CONTINUATION || id != model->block))
        return H2GUARD_HEADER_BLOCK;
    if (type > CONTINUATION)
        return H2GUARD_NO_REASON;
    bool for_connection = type == SETTINGS || type == PING || type == GOAWAY;
    if (type != WINDOW_UPDATE && for_connection != (id == 0))
        return H2GUARD_FRAME_STREAM;
    if ((sizes[type] >= 0 && length(model) != (uint32_t)sizes[type]) ||
        (type == GOAWAY && length(model) < 8) || (type == PUSH_PROMISE && length(model) < 4))
        return H2GUARD_FRAME_SIZE;
    return H2GUARD_NO_REASON;
}

static void on_window_update(struct guard_model *model)
{
    if (stream_of(model) != 0 && is_idle(model, stream_of(model)))
        end(model, H2GUARD_IDLE_STREAM);
    else
        count(model, use(&model->updates) ? ITEM(WINDOW_UPDATE) : ITEM(IDLE_UPDATE), 1);
}

static void on_header(struct guard_model *model)
{
    static void (*const handlers[])(struct guard_model *
                                    model) = {on_data, on_headers, NULL, on_reset,         on_settings,
                                              NULL,    on_ping,    NULL, on_window_update, on_continuation};

    model->frames++;
    model->padding = 0;
    model->skipped = false;
    end(model, form_of(model));
    model->had_settings = true;
    if (model->reason != H2GUARD_NO_REASON)
        return;
    unsigned type = model->head[3];
    if (type < ARRAY_LEN(handlers) && handlers[type])
        handlers[type](model);
    else if (type == PUSH_PROMISE)
        end(model, H2GUARD_PUSH);
    else
        count(model, type == PRIORITY ? ITEM(PRIORITY) : type == GOAWAY ? ITEM(GOAWAY) : ITEM(UNKNOWN), 1);
}

/* A byte of the data of a DATA frame. */
static void on_message_byte(struct guard_model *model, uint8_t byte)
{
    struct model_stream *stream = open_stream(model, stream_of(model));

    model->skipped = model->skipped || !stream;
    if (model->skipped)
        return;
    struct place before = place_of(&stream->data);
    if (before.prefix == 0 && byte > 0)
        end(model, byte == 1 ? H2GUARD_COMPRESSED : H2GUARD_MESSAGE_FLAG);
    buf_byte(&stream->data, byte);
    struct place after = place_of(&stream->data);
    size_t completed = before.prefix == 5 && after.prefix == 0 ? before.declared : 0; /* counts up to here */
    if (model_unfinished(model) + completed > model->limits->max_unfinished_bytes)
        end(model, H2GUARD_UNFINISHED);
    if (after.messages == before.messages)
        return;
    if (after.prefix == 5 && after.declared > model->limits->max_message_bytes)
        end(model, H2GUARD_MESSAGE_TOO_LARGE);
    else
        count(model, after.prefix == 0 && before.messages > 0 ? ITEM(EMPTY_MESSAGE) : ITEM(MESSAGE), 1);
}

static void on_payload(struct guard_model *model, uint8_t byte)
{
    uint32_t number = model->size - 10;
    unsigned type = model->head[3];
    bool is_padded = type <= HEADERS && (model->head[4] & 8) && !(type == DATA && model->skipped);

    count(model, ITEM(BYTE), 1);
    if (type == HEADERS || type == CONTINUATION)
        count(model, ITEM(HEADER_BYTE), 1);
    if (is_padded && number == 0) {
        model->padding = byte;
        if (1u + byte > length(model))
            end(model, H2GUARD_PADDING);
        else if (type == DATA)
            on_data_size(model, length(model) - 1 - byte);
    } else if (type == DATA && number < length(model) - model->padding) {
        on_message_byte(model, byte);
    }
}

static void on_complete(struct guard_model *model)
{
    unsigned type = model->head[3], flags = model->head[4];
    struct model_stream *stream = open_stream(model, stream_of(model));

    model->size = 0;
    if ((type == HEADERS || type == CONTINUATION) && (flags & 4))
        model->block = 0;
    if (type <= HEADERS && (flags & 1) && stream)
        end_side(stream, &stream->peer_ended);
}

void model_in(struct guard_model *model, uint8_t byte)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    if (model->reason != H2GUARD_NO_REASON)
        return;
    if (model->preface_size < 24) {
        if ((uint8_t)preface[model->preface_size++] != byte)
            end(model, H2GUARD_PREFACE);
        return;
    }
    model->size++;
    if (model->size < 9) {
        model->head[model->size - 1] = byte;
        return;
    }
    if (model->size == 9) {
        model->head[8] = byte;
        on_header(model);
    } else {
        on_payload(model, byte);
    }
    if (model->reason == H2GUARD_NO_REASON && model->size == 9 + length(model))
        on_complete(model);
}

void model_out(struct guard_model *model, unsigned type, unsigned flags, uint32_t id)
{
    const struct h2guard_limits *limits = model->limits;
    struct model_stream *stream = open_stream(model, id);

    if (type == DATA || type == HEADERS) {
        model->pings = MIN_OF(model->pings + 1, limits->max_pings);
        if (type == DATA)
            model->updates = MIN_OF(model->updates + limits->updates_per_data, limits->max_updates);
        if (!stream && type == HEADERS && model->role == H2GUARD_CLIENT && id > model->highest) {
            begin_stream(model, id, false);
            stream = open_stream(model, id);
        }
        if (stream)
            stream->answered = true;
        if (stream && (flags & 1))
            end_side(stream, &stream->we_ended);
    } else if (type == RST_STREAM && stream) {
        if (!stream->peer_ended)
            model->late = limits->late_frames;
        stream->open = false;
    } else if (type == SETTINGS || type == PING) {
        uint32_t *unacked = type == PING ? &model->pings_unacked : &model->settings_unacked;
        if (!(flags & 1))
            (*unacked)++;
        else if (model->unanswered > 0)
            model->unanswered--;
    }
}

void model_init(struct guard_model *model, enum h2guard_role role, const struct h2guard_limits *limits)
{
    *model =
        (struct guard_model){.limits = limits, .role = role, .preface_size = role == H2GUARD_CLIENT ? 24 : 0};
}

void model_fini(struct guard_model *model)
{
    for (size_t i = 0; i < MODEL_STREAMS; i++)
        buf_fini(&model->streams[i].data);
}
