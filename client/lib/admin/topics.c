/* topics.c - see tributary/topics.h. */
#include "base/base.h"
#include "base/clock.h"
#include "client/lib/admin/admin_call.h"
#include "tributary/topics.h"

#define PAGE_SIZE 1000u

/* A request for the settings, and what it points to. */
struct settings_message {
    Tributary__V1__TopicSettings base;
    Google__Protobuf__Duration max_age, id_window;
};

static Google__Protobuf__Duration duration_of(int64_t ns)
{
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;

    duration.seconds = ns / NS_PER_S;
    duration.nanos = (int32_t)(ns % NS_PER_S);
    return duration;
}

/* NULL is allowed. */
static Tributary__V1__TopicSettings *settings_fill(struct settings_message *message,
                                                   const struct tributary_topic_settings *from)
{
    const struct tributary_topic_settings none = {0};

    from = from ? from : &none;
    tributary__v1__topic_settings__init(&message->base);
    message->max_age = duration_of(from->max_age_ns);
    message->id_window = duration_of(from->id_window_ns);
    message->base.max_age = &message->max_age;
    message->base.id_window = &message->id_window;
    message->base.max_bytes = from->max_bytes;
    message->base.max_events = from->max_events;
    message->base.max_ids = from->max_ids;
    return &message->base;
}

static void show(void (*each)(void *ctx, const struct tributary_topic *topic), void *ctx,
                 const Tributary__V1__Topic *from)
{
    struct tributary_topic topic = {
        .name = from->name,
        .epoch = from->epoch,
        .first_sequence = from->first_sequence,
        .next_sequence = from->next_sequence,
        .bytes = from->bytes,
        .created_unix_nano = from->created_unix_nano,
        .subscriptions = from->subscriptions,
        .subscriptions_behind = from->subscriptions_behind,
        .delayed_events = from->delayed_events,
        .ids_forgotten_early = from->ids_forgotten_early,
    };

    if (from->settings)
        topic.settings =
            (struct tributary_topic_settings){.max_age_ns = admin_duration_ns(from->settings->max_age),
                                              .max_bytes = from->settings->max_bytes,
                                              .max_events = from->settings->max_events,
                                              .id_window_ns = admin_duration_ns(from->settings->id_window),
                                              .max_ids = from->settings->max_ids};
    each(ctx, &topic);
}

/* A method whose answer is a Topic. */
static enum tributary_code run(struct tributary *client, const char *path, const ProtobufCMessage *request,
                               const struct tributary_topic_answer *answer, struct tributary_status *status)
{
    const struct unary_method method = {path, answer ? answer->timeout_ns : 0};
    struct tributary_status local_status;
    ProtobufCMessage *message;

    status = status ? status : &local_status;
    message = admin_call(client, &method, request, &tributary__v1__topic__descriptor, status);
    if (!message)
        return status->code;
    if (answer && answer->each)
        show(answer->each, answer->ctx, (const Tributary__V1__Topic *)(const void *)message);
    protobuf_c_message_free_unpacked(message, NULL);
    return TRIBUTARY_OK;
}

enum tributary_code tributary_topic_create(struct tributary *client, const char *name,
                                           const struct tributary_topic_settings *settings,
                                           const struct tributary_topic_answer *answer,
                                           struct tributary_status *status)
{
    Tributary__V1__CreateTopicRequest request = TRIBUTARY__V1__CREATE_TOPIC_REQUEST__INIT;
    struct settings_message message;

    request.name = admin_text(name);
    request.settings = settings_fill(&message, settings);
    return run(client, "/tributary.v1.Admin/CreateTopic", &request.base, answer, status);
}

enum tributary_code tributary_topic_update(struct tributary *client, const char *name,
                                           const struct tributary_topic_settings *settings,
                                           const struct tributary_topic_answer *answer,
                                           struct tributary_status *status)
{
    Tributary__V1__UpdateTopicRequest request = TRIBUTARY__V1__UPDATE_TOPIC_REQUEST__INIT;
    struct settings_message message;

    request.name = admin_text(name);
    request.settings = settings_fill(&message, settings);
    return run(client, "/tributary.v1.Admin/UpdateTopic", &request.base, answer, status);
}

enum tributary_code tributary_topic_delete(struct tributary *client, const char *name, uint64_t epoch,
                                           const struct tributary_topic_answer *answer,
                                           struct tributary_status *status)
{
    Tributary__V1__DeleteTopicRequest request = TRIBUTARY__V1__DELETE_TOPIC_REQUEST__INIT;

    request.name = admin_text(name);
    request.epoch = epoch;
    return run(client, "/tributary.v1.Admin/DeleteTopic", &request.base, answer, status);
}

enum tributary_code tributary_topic_get(struct tributary *client, const char *name,
                                        const struct tributary_topic_answer *answer,
                                        struct tributary_status *status)
{
    Tributary__V1__GetTopicRequest request = TRIBUTARY__V1__GET_TOPIC_REQUEST__INIT;

    request.name = admin_text(name);
    return run(client, "/tributary.v1.Admin/GetTopic", &request.base, answer, status);
}

static bool show_page(const void *ctx, const ProtobufCMessage *message, const char **next_out)
{
    const Tributary__V1__ListTopicsResponse *answer = (const void *)message;
    const struct tributary_topics_query *query = ctx;

    *next_out = answer->next_page_token;
    for (size_t i = 0; i < answer->n_topics; i++)
        show(query->each, query->ctx, answer->topics[i]);
    return true;
}

enum tributary_code tributary_topics(struct tributary *client, const struct tributary_topics_query *query,
                                     struct tributary_status *status)
{
    Tributary__V1__ListTopicsRequest request = TRIBUTARY__V1__LIST_TOPICS_REQUEST__INIT;
    const struct admin_walk walk = {.client = client,
                                    .method = {"/tributary.v1.Admin/ListTopics", query->timeout_ns},
                                    .request = &request.base,
                                    .page_token = &request.page_token,
                                    .answer_type = &tributary__v1__list_topics_response__descriptor,
                                    .show = show_page,
                                    .ctx = query};

    request.name = admin_text(query->pattern);
    request.page_size = PAGE_SIZE;
    return admin_walk_run(&walk, status);
}
