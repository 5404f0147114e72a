/* topic_view.c - see topic_view.h. */
#include "server/rpc/topic_view.h"

#include "event/field_write.h"
#include "proto/field_numbers.h"
#include "server/rpc/decode.h"

static void settings_write(const struct topic_settings *settings, struct buf *bytes)
{
    field_duration(bytes, PB_TOPIC_SETTINGS_MAX_AGE, settings->max_age_ns);
    field_varint(bytes, PB_TOPIC_SETTINGS_MAX_BYTES, settings->max_bytes);
    field_varint(bytes, PB_TOPIC_SETTINGS_MAX_EVENTS, settings->max_events);
    field_duration(bytes, PB_TOPIC_SETTINGS_ID_WINDOW, settings->id_window_ns);
    field_varint(bytes, PB_TOPIC_SETTINGS_MAX_IDS, settings->max_ids);
}

void topic_write(const struct topic_view *view, struct buf *bytes)
{
    const struct topic_info *info = &view->info;
    struct buf settings = {0};

    settings_write(&info->settings, &settings);
    field_bytes(bytes, PB_TOPIC_NAME, info->name);
    field_fixed64(bytes, PB_TOPIC_EPOCH, info->incarnation);
    field_message(bytes, PB_TOPIC_SETTINGS, &settings);
    field_fixed64(bytes, PB_TOPIC_FIRST_SEQUENCE, info->first_seq);
    field_fixed64(bytes, PB_TOPIC_NEXT_SEQUENCE, info->next_seq);
    field_varint(bytes, PB_TOPIC_BYTES, info->bytes);
    field_fixed64(bytes, PB_TOPIC_CREATED_UNIX_NANO, (uint64_t)info->created_wall_ns);
    field_varint(bytes, PB_TOPIC_SUBSCRIPTIONS, view->readers.all);
    field_varint(bytes, PB_TOPIC_SUBSCRIPTIONS_BEHIND, view->readers.behind);
    field_varint(bytes, PB_TOPIC_DELAYED_EVENTS, info->delayed);
    field_varint(bytes, PB_TOPIC_IDS_FORGOTTEN_EARLY, info->ids_forgotten_early);
}

enum fault_reason topic_settings_read(const Tributary__V1__TopicSettings *message,
                                      struct topic_settings *settings_out, struct fault *fault)
{
    static const struct duration_rule age = {"settings.max_age", 0, MIN_TOPIC_AGE_NS, MAX_TOPIC_AGE_NS, true};
    static const struct duration_rule window = {"settings.id_window", 0, 1, MAX_ID_WINDOW_NS, true};
    struct topic_settings settings = {0};

    if (!message) {
        *settings_out = settings;
        return FAULT_NONE;
    }
    if (decode_duration((const ProtobufCMessage *)message->max_age, &age, &settings.max_age_ns, fault) ||
        decode_duration((const ProtobufCMessage *)message->id_window, &window, &settings.id_window_ns, fault))
        return fault->reason;
    settings.max_bytes = message->max_bytes;
    settings.max_events = message->max_events;
    settings.max_ids = message->max_ids;
    if (topic_settings_check(&settings, fault)) {
        fault_within(fault, "settings.");
        return fault->reason;
    }
    *settings_out = settings;
    return FAULT_NONE;
}
