/* heartbeat.c - see heartbeat.h. */
#include "server/rpc/heartbeat.h"

#include "base/clock.h"
#include "server/rpc/decode.h"
#include "tributary/v1/publisher.pb-c.h"

/* Messages do not move the timer: it looks when it fires whether one was sent meanwhile. */
static void on_timer(struct cq_timer *timer, int64_t now_ns)
{
    struct heartbeat *heartbeat = container_of(timer, struct heartbeat, timer);

    if (now_ns - heartbeat->sent_at_ns >= heartbeat->interval_ns) {
        heartbeat->sent_at_ns = now_ns;
        heartbeat->beat(heartbeat);
    }
    cq_timer_set(heartbeat->thread, timer, heartbeat->sent_at_ns + heartbeat->interval_ns);
}

void heartbeat_init(struct heartbeat *heartbeat, struct cq_thread *thread,
                    void (*beat)(struct heartbeat *heartbeat))
{
    heartbeat->thread = thread;
    heartbeat->beat = beat;
    heartbeat->timer.fired = on_timer;
}

void heartbeat_begin(struct heartbeat *heartbeat, int64_t interval_ns)
{
    heartbeat->interval_ns = interval_ns;
    heartbeat->sent_at_ns = clock_mono_ns();
    cq_timer_set(heartbeat->thread, &heartbeat->timer,
                 interval_ns > 0 ? heartbeat->sent_at_ns + interval_ns : INT64_MAX);
}

void heartbeat_stop(struct heartbeat *heartbeat)
{
    cq_timer_stop(heartbeat->thread, &heartbeat->timer);
}

enum fault_reason heartbeat_read(const ProtobufCMessage *duration, int64_t *interval_ns_out,
                                 struct fault *fault)
{
    static const struct duration_rule rule = {"heartbeat_interval", 0, 100 * NS_PER_MS, 3600 * NS_PER_S,
                                              true};

    return decode_duration(duration, &rule, interval_ns_out, fault);
}

enum fault_reason heartbeat_read_field(const struct framing_field *field, int64_t *interval_ns_out,
                                       struct fault *fault)
{
    ProtobufCMessage *duration = NULL;

    if (field->type != WIRE_LEN)
        return fault_set(fault, FAULT_WRONG_WIRE_TYPE, "heartbeat_interval", "a message is length-delimited");
    enum fault_reason reason =
        decode(field->bytes, &google__protobuf__duration__descriptor, &duration, fault);
    if (reason) {
        fault_within(fault, "heartbeat_interval.");
        return reason;
    }
    reason = heartbeat_read(duration, interval_ns_out, fault);
    decoded_free(duration);
    return reason;
}
