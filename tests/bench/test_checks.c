/* test_checks.c - the generator notices a loss, a repetition and a disorder, in whatever pieces the
 * stream comes; and its durations are right within 1 %. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench/batches.h"
#include "bench/fields.h"
#include "bench/protocol.h"

enum { PAYLOAD = 40, RUN = 7, MAX_TEXT = 16384, MAX_EVENT = 256 };

/* A stream of EventBatch messages, as a server would send it. */
struct text {
    uint8_t bytes[MAX_TEXT];
    size_t size;
};

struct checks_fixture {
    struct load *load;
    struct checker checker;
    struct batches batches;
};

static void checks_fixture_open(struct checks_fixture *fixture, enum filter filter, uint32_t consumers,
                                uint32_t number)
{
    struct shape shape;

    fixture->load = calloc(1, sizeof(struct load) + consumers * sizeof(struct totals));
    cr_assert(fixture->load);
    fixture->load->wakeup_parent = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fixture->load->plan = (struct plan){.protocol = &protocol_tributary,
                                        .run = RUN,
                                        .producers = 2,
                                        .consumers = consumers,
                                        .per_message = 4,
                                        .payload_bytes = PAYLOAD,
                                        .filter = filter};
    shape.head_size = batches_event_head(&fixture->load->plan, number, shape.head, NULL);
    shape.step = shape.head_size + PAYLOAD;
    cr_assert(checker_init(&fixture->checker, fixture->load, number, &shape));
    batches_init(&fixture->batches, &fixture->checker);
}

static void checks_fixture_close(struct checks_fixture *fixture)
{
    batches_fini(&fixture->batches);
    checker_fini(&fixture->checker);
    close(fixture->load->wakeup_parent);
    free(fixture->load);
}

/* The event that a producer of this plan would send. */
static size_t put_event(const struct plan *plan, uint8_t *at, uint64_t producer, uint64_t number)
{
    struct mark mark = {.time_ns = 1, .id = mark_id(producer, number)};
    size_t head = batches_event_head(
        plan, plan->filter == FILTER_NONE ? 0 : (uint32_t)(number % plan->consumers), at, NULL);

    memset(at + head, '.', plan->payload_bytes);
    memcpy(at + head, &mark, sizeof(mark));
    return head + plan->payload_bytes;
}

static uint8_t *put_fixed64(uint8_t *at, unsigned field, uint64_t value)
{
    at += varint_write(at, TAG_FIXED64(field));
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

/* A run as a test writes it; `numbers` of its events end with END. */
struct run {
    const char *source;
    uint64_t producer, first_sequence;
    uint64_t numbers[8];
    bool header_last;
    uint64_t sequences[8]; /* ended by 0 */
};
#define END UINT64_MAX

static uint8_t *put_header(uint8_t *at, const struct run *run)
{
    at = put_text(at, 2, run->source);
    at = put_fixed64(at, 3, 77);
    at = put_fixed64(at, 4, run->first_sequence);
    size_t count = 0;
    while (run->sequences[count])
        count++;
    if (count) {
        at = put_head(at, 7, count * sizeof(uint64_t));
        memcpy(at, run->sequences, count * sizeof(uint64_t));
        at += count * sizeof(uint64_t);
    }
    return at;
}

/* One message of one run. */
static void add_run(struct text *text, const struct plan *plan, const struct run *run)
{
    uint8_t body[8 * MAX_EVENT], *end = body, *message = text->bytes + text->size;

    if (!run->header_last)
        end = put_header(end, run);
    for (size_t i = 0; run->numbers[i] != END; i++)
        end += put_event(plan, end, run->producer, run->numbers[i]);
    if (run->header_last)
        end = put_header(end, run);
    uint8_t *at = put_head(message + GRPC_PREFIX_BYTES, 1, (size_t)(end - body));
    memcpy(at, body, (size_t)(end - body));
    at += end - body;
    put_prefix(message, (size_t)(at - message) - GRPC_PREFIX_BYTES);
    text->size += (size_t)(at - message);
}

static void add_field(struct text *text, unsigned field)
{
    uint8_t *message = text->bytes + text->size;

    put_head(message + GRPC_PREFIX_BYTES, field, 0);
    put_prefix(message, 2);
    text->size += GRPC_PREFIX_BYTES + 2;
}

static void send_in_pieces(struct checks_fixture *fixture, const struct text *text, size_t piece)
{
    checker_begin(&fixture->checker);
    for (size_t at = 0; at < text->size && !load_failed(fixture->load); at += piece)
        batches_add(&fixture->batches, (struct bytes){text->bytes + at, MIN_OF(piece, text->size - at)});
    checker_end(&fixture->checker);
}

/* Sends the runs in pieces of many sizes, each time to a new consumer. Each time the consumer must
 * receive `events` events, or fail with a message that contains `word`. */
static void expect(enum filter filter, const struct run *runs, size_t count, uint64_t events,
                   const char *word)
{
    static const size_t pieces[] = {1, 2, 3, 7, 50, 51, 100, MAX_TEXT};
    uint32_t consumers = filter == FILTER_NONE ? 1 : 3;

    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct checks_fixture fixture;
        static struct text text;
        checks_fixture_open(&fixture, filter, consumers, filter == FILTER_NONE ? 0 : 1);
        text.size = 0;
        for (size_t k = 0; k < count; k++)
            add_run(&text, &fixture.load->plan, &runs[k]);
        send_in_pieces(&fixture, &text, pieces[i]);
        if (word) {
            cr_expect(load_failed(fixture.load), "pieces of %zu: nothing was noticed", pieces[i]);
            cr_expect(strstr(fixture.load->failure, word), "pieces of %zu: \"%s\"", pieces[i],
                      fixture.load->failure);
        } else {
            cr_expect_eq(fixture.checker.events, events, "pieces of %zu: %s", pieces[i],
                         fixture.load->failure);
            cr_expect_not(load_failed(fixture.load), "pieces of %zu: %s", pieces[i], fixture.load->failure);
            cr_expect_eq(fixture.checker.messages, count);
            cr_expect_eq(fixture.load->totals[fixture.checker.number].events, events);
        }
        checks_fixture_close(&fixture);
    }
}

#define EXPECT(filter, events, word, ...)                                                                    \
    do {                                                                                                     \
        const struct run runs[] = {__VA_ARGS__};                                                             \
        expect(filter, runs, ARRAY_LEN(runs), events, word);                                                 \
    } while (0)

Test(load_checks, accepts_runs_of_two_producers_in_order)
{
    EXPECT(FILTER_NONE, 9, NULL,
           {.source = "load7.0", .producer = 0, .first_sequence = 1, .numbers = {0, 1, 2, 3, END}},
           {.source = "load7.1", .producer = 1, .first_sequence = 1, .numbers = {0, 1, END}},
           {.source = "load7.0", .producer = 0, .first_sequence = 5, .numbers = {4, 5, END}},
           {.source = "load7.1", .producer = 1, .first_sequence = 3, .numbers = {2, END}});
}

Test(load_checks, accepts_a_header_that_stands_behind_the_events)
{
    EXPECT(FILTER_NONE, 6, NULL,
           {.source = "load7.0",
            .producer = 0,
            .first_sequence = 1,
            .numbers = {0, 1, 2, END},
            .header_last = true},
           {.source = "load7.0", .producer = 0, .first_sequence = 4, .numbers = {3, 4, 5, END}});
}

Test(load_checks, notices_a_loss)
{
    EXPECT(FILTER_NONE, 0, "number 2 is due, not number 3",
           {.source = "load7.0", .producer = 0, .first_sequence = 1, .numbers = {0, 1, 3, END}});
    EXPECT(FILTER_NONE, 0, "sequence 3 is due, not 4",
           {.source = "load7.0", .producer = 0, .first_sequence = 1, .numbers = {0, 1, END}},
           {.source = "load7.0", .producer = 0, .first_sequence = 4, .numbers = {3, END}});
}

Test(load_checks, notices_a_repetition)
{
    EXPECT(FILTER_NONE, 0, "number 2 is due, not number 1",
           {.source = "load7.0", .producer = 0, .first_sequence = 1, .numbers = {0, 1, 1, 2, END}});
    EXPECT(FILTER_NONE, 0, "sequence 3 is due, not 2",
           {.source = "load7.0", .producer = 0, .first_sequence = 1, .numbers = {0, 1, END}},
           {.source = "load7.0", .producer = 0, .first_sequence = 2, .numbers = {1, END}});
}

Test(load_checks, notices_a_disorder)
{
    EXPECT(FILTER_NONE, 0, "number 1 is due, not number 2",
           {.source = "load7.0", .producer = 0, .first_sequence = 1, .numbers = {0, 2, 1, END}});
}

Test(load_checks, notices_a_payload_of_another_producer)
{
    EXPECT(FILTER_NONE, 0, "not number 1 of producer 0",
           {.source = "load7.1", .producer = 0, .first_sequence = 1, .numbers = {1, END}});
}

Test(load_checks, notices_runs_of_unknown_producers)
{
    EXPECT(FILTER_NONE, 0, "nobody",
           {.source = "load7.2", .producer = 0, .first_sequence = 1, .numbers = {0, END}});
    EXPECT(FILTER_NONE, 0, "nobody",
           {.source = "load8.0", .producer = 0, .first_sequence = 1, .numbers = {0, END}});
    EXPECT(
        FILTER_NONE, 0, "nobody",
        {.source = "load7.0x", .producer = 0, .first_sequence = 1, .numbers = {0, END}, .header_last = true});
}

Test(load_checks, accepts_the_events_that_a_filter_passes)
{
    EXPECT(FILTER_KEY, 4, NULL,
           {.source = "load7.0",
            .producer = 0,
            .first_sequence = 2,
            .numbers = {1, 4, 7, END},
            .sequences = {2, 5, 8}},
           {.source = "load7.0", .producer = 0, .first_sequence = 11, .numbers = {10, END}});
    EXPECT(FILTER_TOPIC, 3, NULL,
           {.source = "load7.0",
            .producer = 0,
            .first_sequence = 2,
            .numbers = {1, 4, 7, END},
            .sequences = {2, 5, 8},
            .header_last = true});
}

Test(load_checks, notices_events_that_a_filter_must_not_pass)
{
    EXPECT(FILTER_KEY, 0, "number 4 is due, not number 2",
           {.source = "load7.0",
            .producer = 0,
            .first_sequence = 2,
            .numbers = {1, 2, END},
            .sequences = {2, 5}});
    EXPECT(FILTER_TYPE, 0, "other sequences",
           {.source = "load7.0",
            .producer = 0,
            .first_sequence = 2,
            .numbers = {1, 4, END},
            .sequences = {2, 3}});
    EXPECT(FILTER_KEY, 0, "holes",
           {.source = "load7.0", .producer = 0, .first_sequence = 2, .numbers = {1, 4, END}});
    EXPECT(
        FILTER_KEY, 0, "holes",
        {.source = "load7.0", .producer = 0, .first_sequence = 2, .numbers = {1, 4, END}, .sequences = {2}});
}

Test(load_checks, accepts_an_event_of_an_unusual_form)
{
    struct checks_fixture fixture;
    static struct text text;
    uint8_t event[MAX_EVENT], usual[MAX_EVENT];

    checks_fixture_open(&fixture, FILTER_NONE, 1, 0);
    size_t size = put_event(&fixture.load->plan, usual, 1, 0);
    uint8_t *end = put_text(event, 3, "a key");
    memcpy(end, usual + 2, size - 2); /* after the tag and length of the usual event */
    end += size - 2;
    uint8_t run[MAX_EVENT], *at = put_text(run, 2, "load7.1");
    at = put_fixed64(at, 4, 1);
    at = put_head(at, 1, (size_t)(end - event));
    memcpy(at, event, (size_t)(end - event));
    at += end - event;
    uint8_t *body = put_head(text.bytes + GRPC_PREFIX_BYTES, 1, (size_t)(at - run));
    memcpy(body, run, (size_t)(at - run));
    text.size = (size_t)(body - text.bytes) + (size_t)(at - run);
    put_prefix(text.bytes, text.size - GRPC_PREFIX_BYTES);
    send_in_pieces(&fixture, &text, MAX_TEXT);
    cr_expect_not(load_failed(fixture.load), "%s", fixture.load->failure);
    cr_expect_eq(fixture.checker.events, 1);
    checks_fixture_close(&fixture);
}

Test(load_checks, notices_a_start_a_loss_and_a_closing)
{
    static const struct {
        unsigned field;
        const char *word;
    } notices[] = {{6, NULL}, {2, "told of a loss"}, {5, "told of a closing"}};

    for (size_t i = 0; i < ARRAY_LEN(notices); i++) {
        struct checks_fixture fixture;
        struct text text = {.size = 0};
        checks_fixture_open(&fixture, FILTER_NONE, 1, 0);
        add_field(&text, notices[i].field);
        send_in_pieces(&fixture, &text, 1);
        cr_expect_eq(fixture.batches.started, !notices[i].word);
        cr_expect_eq(load_failed(fixture.load), !!notices[i].word);
        cr_expect(!notices[i].word || strstr(fixture.load->failure, notices[i].word), "%s",
                  fixture.load->failure);
        checks_fixture_close(&fixture);
    }
}

Test(load_checks, refuses_malformed_messages)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *word;
    } wrongs[] = {
        {"\1\0\0\0\2\x32\0", 7, "compressed"},
        {"\0\0\0\0\2\x0a\0", 7, "empty, or longer"},
        {"\0\0\0\0\3\x0a\x7f.", 8, "longer than its message"},
        {"\0\0\0\0\1\x0a", 6, "malformed"},
        {"\0\0\0\0\4\x0a\2\x12\x7f", 9, "malformed"},
        {"\0\0\0\0\4\x0a\2\x30\1", 9, "no events"},
    };

    for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
        struct checks_fixture fixture;
        struct text text = {.size = wrongs[i].size};
        checks_fixture_open(&fixture, FILTER_NONE, 1, 0);
        memcpy(text.bytes, wrongs[i].bytes, text.size);
        send_in_pieces(&fixture, &text, 1);
        cr_expect(load_failed(fixture.load), "%zu passed", i);
        cr_expect(strstr(fixture.load->failure, wrongs[i].word), "%zu: %s", i, fixture.load->failure);
        checks_fixture_close(&fixture);
    }
}

Test(load_checks, walks_a_row_to_the_last_event_that_is_due)
{
    struct checks_fixture fixture;
    uint8_t row[6 * MAX_EVENT];
    size_t step, size = 0;

    checks_fixture_open(&fixture, FILTER_NONE, 1, 0);
    for (uint64_t number = 0; number < 4; number++)
        size += put_event(&fixture.load->plan, row + size, 1, number);
    step = size / 4;
    cr_expect_eq(checker_row(&fixture.checker, 1, row, row + size - 1), row + 3 * step,
                 "the last event is not whole");
    cr_expect_eq(checker_row(&fixture.checker, 1, row, row + size), row, "the events were received already");
    cr_expect_eq(checker_row(&fixture.checker, 1, row + 3 * step, row + size), row + size);
    cr_expect_eq(checker_row(&fixture.checker, 0, row, row + size), row, "the row is of another producer");
    cr_expect_eq(fixture.checker.events, 4);
    cr_expect_not(load_failed(fixture.load));
    checks_fixture_close(&fixture);
}

Test(load_checks, durations_are_right_within_one_percent)
{
    static struct histogram histogram;

    for (uint64_t ns = 1; ns < UINT64_C(1) << 40; ns += ns / 3 + 1) {
        memset(&histogram, 0, sizeof(histogram));
        histogram_add(&histogram, ns, 3);
        histogram_add(&histogram, 4 * ns, 1);
        double found = (double)histogram_share_ns(&histogram, 0.5), off = found / (double)ns - 1;
        cr_expect(off > -0.01 && off < 0.01, "%llu came back as %.0f", (unsigned long long)ns, found);
        cr_expect_eq(histogram.max_ns, 4 * ns);
        cr_expect_eq(histogram.count, 4);
    }
    memset(&histogram, 0, sizeof(histogram));
    cr_expect_eq(histogram_share_ns(&histogram, 0.5), 0);
}

Test(load_checks, a_flood_has_a_producer_and_its_consumer_apart_from_the_others)
{
    char wrong[256],
        *words[] = {"load", "--server", "a", "--rate",        "9", "--producers",   "2", "--consumers",
                    "3",    "--flood",  "8", "--per-message", "1", "--flood-apart", NULL};
    struct plan plan;

    extern int optind;
    optind = 0;
    cr_assert(plan_read((int)ARRAY_LEN(words) - 1, words, &plan, wrong, sizeof(wrong)), "%s", wrong);
    cr_expect_eq(plan.producers, 3, "the flooder is one more producer");
    for (uint32_t producer = 0; producer < 3; producer++) {
        cr_expect_eq(plan_message_events(&plan, producer), producer == 2 ? 8 : 1);
        for (uint32_t consumer = 0; consumer < 3; consumer++)
            cr_expect_eq(plan_delivers(&plan, producer, consumer), (producer == 2) == (consumer == 2));
    }
    plan.flood_apart = false;
    cr_expect(plan_delivers(&plan, 2, 0) && plan_delivers(&plan, 0, 2), "everybody receives everything");
}

Test(load_checks, a_command_line_is_refused_by_option_value_and_bound)
{
    static const struct {
        const char *words[8];
        const char *wrong;
    } lines[] = {
        {{"load", "--server", "127.0.0.1:1"}, ""},
        {{"load"}, "--server is needed"},
        {{"load", "--server", "a", "--producers", "0"}, "--producers \"0\": must be 1 to 1024"},
        {{"load", "--server", "a", "--consumers", "1025"}, "--idle"},
        {{"load", "--server", "a", "--payload", "15"}, "--payload \"15\": must be 16 to 131072"},
        {{"load", "--server", "a", "--per-message", "257"}, "must be 1 to 256"},
        {{"load", "--server", "a", "--payload", "4096"}, "at most 131072"},
        {{"load", "--server", "a", "--seconds", "x"}, "--seconds \"x\""},
        {{"load", "--server", "a", "--protocol", "smtp"}, "no such protocol"},
        {{"load", "--server", "a", "--filter", "colour"}, "--filter \"colour\": no such word"},
        {{"load", "--server", "a", "--stall", "1"}, "one consumer must read"},
        {{"load", "--server", "a", "--in-flight", "63"}, "must hold a message"},
        {{"load", "--server", "a", "--flood", "257", "--rate", "9"}, "--flood \"257\": must be 1 to 256"},
        {{"load", "--server", "a", "--flood", "1"}, "--flood needs --rate"},
        {{"load", "--server", "a", "--flood-apart"}, "--flood-apart needs --flood"},
        {{"load", "--server", "a", "--flood-apart", "--flood", "1", "--rate", "9"}, "needs two consumers"},
        {{"load", "--server", "a", "--speed", "9"}, "not known"},
        {{"load", "--server", "a", "more"}, "\"more\": not expected"},
    };

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct plan plan = {.producers = 99};
        char wrong[256], *words[9] = {0};
        int count = 0;
        for (; count < 8 && lines[i].words[count]; count++)
            words[count] = strdup(lines[i].words[count]);
        extern int optind;
        optind = 0;
        bool right = plan_read(count, words, &plan, wrong, sizeof(wrong));
        cr_expect_eq(right, !lines[i].wrong[0]);
        cr_expect(strstr(wrong, lines[i].wrong), "line %zu: %s", i, wrong);
        cr_expect_eq(plan.producers, right ? 4 : 99);
        while (count)
            free(words[--count]);
    }
}
