/* stream.c - a server that streams messages, a proxy for it, and a client of both, on the bare gRPC
 * core: what transparent fan-in is compared with (W15).
 *
 *   stream source --listen HOST:PORT --ready-file FILE
 *   stream proxy --listen HOST:PORT --ready-file FILE
 *   stream sink --server HOST:PORT --pid PID --seconds S --payload BYTES --rate N
 *               [--via HOST:PORT]
 *
 * The source answers a call with messages of so many bytes, for so long, at a rate or (0) as fast
 * as they are taken. Each begins with the moment at which it was due. The proxy passes a call on to
 * the address in its metadata `via`, message by message: one upstream call for one call. The sink
 * makes a short call first, which is not measured, then checks that each source's messages arrive
 * whole, and prints JSON as `load` does; the processor time is that of PID. */
#include "bench/stream.h"

#include <dlfcn.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <time.h>

#include "bench/account.h"
#include "bench/histogram.h"

#include <grpc/grpc_security.h>

#define WARM_UP_NS INT64_C(300000000)
#define NS_PER_SECOND 1e9
#define MAX_SOURCES 16u

grpc_completion_queue *stream_queue;

int64_t stream_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void stream_start(grpc_call *call, const grpc_op *ops, size_t count, struct op *op)
{
    CHECK(grpc_call_start_batch(call, ops, count, op, NULL) == GRPC_CALL_OK);
}

void stream_ignore(struct op *op, bool ok)
{
    (void)op;
    (void)ok;
}

static grpc_arg number(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

/* As the server has them for its upstreams and its clients. */
const grpc_channel_args *stream_args(void)
{
    static grpc_arg list[7];
    static grpc_channel_args all;

    list[0] = number(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    list[1] = number(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 65535);
    list[2] = number(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, 256 << 10);
    list[3] = number(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, 256 << 10);
    list[4] = number(GRPC_ARG_ENABLE_CHANNELZ, 0);
    list[5] = number(GRPC_ARG_ENABLE_RETRIES, 0);
    list[6] = number(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    all = (grpc_channel_args){.num_args = ARRAY_LEN(list), .args = list};
    return &all;
}

grpc_channel *stream_dial(const char *address)
{
    grpc_channel_credentials *plain = grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(address, plain, stream_args());

    grpc_channel_credentials_release(plain);
    return channel;
}

/* ---- the sink ---- */

struct options {
    const char *listen, *ready, *server, *via;
    pid_t pid;
    double seconds;
    uint64_t payload, rate;
};

struct sink {
    struct op opened, received, ended;
    grpc_call *call;
    grpc_metadata_array headers, trailers;
    grpc_byte_buffer *message;
    grpc_status_code code;
    grpc_slice text;
    uint64_t size, count;
    struct {
        uint64_t id, next;
    } sources[MAX_SOURCES];
    struct histogram *latency;
    const char *wrong; /* NULL: nothing is */
    bool is_over;
};

/* A message comes in pieces of any size. */
static void copy_head(const grpc_slice_buffer *pieces, uint8_t *to, size_t size)
{
    for (size_t i = 0; i < pieces->count && size > 0; i++) {
        const size_t part = MIN_OF(GRPC_SLICE_LENGTH(pieces->slices[i]), size);

        memcpy(to, GRPC_SLICE_START_PTR(pieces->slices[i]), part);
        to += part;
        size -= part;
    }
}

/* The messages of each source are whole, and in order. */
static void check(struct sink *sink, const grpc_byte_buffer *message)
{
    const grpc_slice_buffer *pieces = &message->data.raw.slice_buffer;
    struct mark mark = {0};

    if (pieces->length != sink->size) {
        sink->wrong = "a message has another size";
        return;
    }
    copy_head(pieces, (uint8_t *)&mark, sizeof(mark));
    const uint64_t source = mark.id >> MARK_NUMBER_BITS;
    size_t i = 0;
    while (i < MAX_SOURCES && sink->sources[i].id != source && sink->sources[i].id != 0)
        i++;
    if (i == MAX_SOURCES || (mark.id & ((UINT64_C(1) << MARK_NUMBER_BITS) - 1)) != sink->sources[i].next) {
        sink->wrong = "a message is missing, or out of order";
        return;
    }
    sink->sources[i].id = source;
    sink->sources[i].next++;
    const int64_t age_ns = stream_now_ns() - mark.due_ns;
    histogram_add(sink->latency, (uint64_t)MAX_OF(age_ns, INT64_C(0)), 1);
}

static void read_next(struct sink *sink)
{
    const grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &sink->message};

    stream_start(sink->call, &op, 1, &sink->received);
}

static void on_received(struct op *op, bool ok)
{
    struct sink *sink = container_of(op, struct sink, received);

    (void)ok;
    if (!sink->message)
        return;
    check(sink, sink->message);
    sink->count++;
    grpc_byte_buffer_destroy(sink->message);
    sink->message = NULL;
    read_next(sink);
}

static void on_ended(struct op *op, bool ok)
{
    struct sink *sink = container_of(op, struct sink, ended);

    (void)ok;
    sink->is_over = true;
    if (sink->code != GRPC_STATUS_OK)
        sink->wrong = "the call has failed";
}

/* One call, from its opening to its end. Returns how long it took. */
static int64_t call_once(struct sink *sink, grpc_channel *channel, const struct options *options,
                         int64_t run_ns)
{
    const struct request request = {run_ns, options->payload, options->rate};
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)&request, sizeof(request));
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
    const char *via = options->via ? options->via : "";
    grpc_metadata pair = {.key = grpc_slice_from_static_string("via"),
                          .value = grpc_slice_from_copied_string(via)};
    const grpc_op opening[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA,
         .data.send_initial_metadata = {.count = options->via ? 1 : 0, .metadata = &pair}},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}};
    const grpc_op reading[] = {
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &sink->headers},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &sink->message}};
    const grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                            .data.recv_status_on_client = {.trailing_metadata = &sink->trailers,
                                                           .status = &sink->code,
                                                           .status_details = &sink->text}};
    const int64_t began_ns = stream_now_ns();

    sink->call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, stream_queue,
                                          grpc_slice_from_static_string(STREAM_METHOD), NULL,
                                          gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_metadata_array_init(&sink->headers);
    grpc_metadata_array_init(&sink->trailers);
    sink->size = options->payload;
    sink->opened.done = stream_ignore;
    sink->received.done = on_received;
    sink->ended.done = on_ended;
    stream_start(sink->call, opening, ARRAY_LEN(opening), &sink->opened);
    stream_start(sink->call, reading, ARRAY_LEN(reading), &sink->received);
    stream_start(sink->call, &status, 1, &sink->ended);
    while (!sink->is_over || sink->message) {
        const grpc_event event =
            grpc_completion_queue_next(stream_queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);

        ((struct op *)event.tag)->done(event.tag, event.success != 0);
    }
    return stream_now_ns() - began_ns;
}

static int report(const struct sink *sink, const struct options *options, int64_t took_ns, int64_t cpu_ns)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}};
    const double millions = (double)sink->count / 1e6, seconds = (double)took_ns / NS_PER_SECOND;

    if (sink->wrong || sink->count == 0) {
        fprintf(stderr, "stream: %s: %.*s\n", sink->wrong ? sink->wrong : "no message has come",
                (int)GRPC_SLICE_LENGTH(sink->text), (const char *)GRPC_SLICE_START_PTR(sink->text));
        return 1;
    }
    printf("{\"protocol\":\"stream\",\"payload\":%llu,\"seconds\":%.3f,\"published\":%llu,\"delivered\":%llu",
           (unsigned long long)options->payload, seconds, (unsigned long long)sink->count,
           (unsigned long long)sink->count);
    printf(",\"events_per_s\":%.1f,\"server_cpu_s_per_M\":%.5f,\"rss_bytes\":%lld,\"latency_us\":{",
           (double)sink->count / seconds, (double)cpu_ns / NS_PER_SECOND / millions,
           (long long)account_rss_bytes(options->pid));
    for (size_t i = 0; i < ARRAY_LEN(shares); i++)
        printf("\"%s\":%.1f,", shares[i].name,
               (double)histogram_share_ns(sink->latency, shares[i].share) / 1e3);
    printf("\"max\":%.1f}}\n", (double)sink->latency->max_ns / 1e3);
    return 0;
}

static int measure(const struct options *options)
{
    static struct sink warm_up, sink;
    static struct histogram unused, latency;
    grpc_channel *channel = stream_dial(options->server);

    warm_up.latency = &unused;
    sink.latency = &latency;
    (void)call_once(&warm_up, channel, options, WARM_UP_NS);
    const int64_t before_ns = account_cpu_ns(options->pid);
    const int64_t took_ns = call_once(&sink, channel, options, (int64_t)(options->seconds * NS_PER_SECOND));

    if (warm_up.wrong)
        sink.wrong = warm_up.wrong;
    return report(&sink, options, took_ns, account_cpu_ns(options->pid) - before_ns);
}

static const struct option words[] = {{"listen", required_argument, NULL, 'l'},
                                      {"ready-file", required_argument, NULL, 'f'},
                                      {"server", required_argument, NULL, 's'},
                                      {"via", required_argument, NULL, 'v'},
                                      {"pid", required_argument, NULL, 'p'},
                                      {"seconds", required_argument, NULL, 't'},
                                      {"payload", required_argument, NULL, 'b'},
                                      {"rate", required_argument, NULL, 'r'},
                                      {NULL, 0, NULL, 0}};

static bool read_options(int count, char **texts, struct options *options)
{
    int letter;

    while ((letter = getopt_long(count, texts, "", words, NULL)) != -1) {
        if (letter == 'l')
            options->listen = optarg;
        else if (letter == 'f')
            options->ready = optarg;
        else if (letter == 's')
            options->server = optarg;
        else if (letter == 'v')
            options->via = optarg;
        else if (letter == 'p')
            options->pid = (pid_t)strtol(optarg, NULL, 10);
        else if (letter == 't')
            options->seconds = strtod(optarg, NULL);
        else if (letter == 'b')
            options->payload = strtoull(optarg, NULL, 10);
        else if (letter == 'r')
            options->rate = strtoull(optarg, NULL, 10);
        else
            return false;
    }
    return optind == count;
}

/* As the daemon does (server/wire/wire.c): Debian's abseil looks for deadlocks at each lock. */
static void ignore_deadlocks(void)
{
    void (*set_mode)(int mode);

    *(void **)&set_mode =
        dlsym(RTLD_DEFAULT, "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE");
    if (set_mode)
        set_mode(0);
}

int main(int count, char **texts)
{
    struct options options = {.seconds = 1, .payload = 150};
    const char *role = count > 1 ? texts[1] : "";
    const bool is_sink = strcmp(role, "sink") == 0, is_proxy = strcmp(role, "proxy") == 0;

    if (count < 2 || !read_options(count - 1, texts + 1, &options) ||
        (!is_sink && !is_proxy && strcmp(role, "source") != 0) || options.payload < sizeof(struct mark) ||
        (is_sink ? !options.server || options.pid <= 0 : !options.listen || !options.ready)) {
        fprintf(stderr, "stream: source, proxy or sink; see the head of stream.c\n");
        return 2;
    }
    ignore_deadlocks();
    grpc_init();
    stream_queue = grpc_completion_queue_create_for_next(NULL);
    const int status = is_sink ? measure(&options) : stream_serve(is_proxy, options.listen, options.ready);
    /* The process ends with its calls and connections. They are not taken down one by one. */
    fflush(NULL);
    _exit(status);
}
