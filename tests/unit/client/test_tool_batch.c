/* test_tool_batch.c - `tributary batch work` and its command: the JSON between them, and how
 * commands run, answer, fail, and are stopped. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/tool/batch_command.h"
#include "client/tool/batch_json.h"

/* ---- the document ---- */

static const struct tributary_worker_operation plain = {
    .id = 1, .operation_id = {"op-1", 4}, .data = {"+1", 2}};
static const struct tributary_worker_operation binary = {
    .id = 2, .operation_id = {"\xff\x00", 2}, .data = {"\x80", 1}};
static const struct tributary_worker_operation empty = {.id = 3};

static const char *written(const struct batch_document *document)
{
    static char text[1024];
    struct buf out = {0};

    cr_assert(batch_document_write(document, &out));
    snprintf(text, sizeof(text), "%.*s", (int)out.size, (const char *)out.data);
    buf_fini(&out);
    return text;
}

Test(tool_batch, a_document_is_one_line)
{
    const struct tributary_worker_operation *const operations[] = {&plain, &empty};
    const struct batch_document document = {.processor = "visits",
                                            .key = tributary_text("al\nice"),
                                            .has_resource = true,
                                            .resource = tributary_text("{\"n\":1}"),
                                            .operations = operations,
                                            .count = 2};

    cr_assert_str_eq(written(&document),
                     "{\"processor\":\"visits\",\"key\":\"al\\nice\",\"resource\":\"{\\\"n\\\":1}\","
                     "\"operations\":[{\"id\":\"op-1\",\"data\":\"+1\"},{\"data\":\"\"}]}\n");
}

Test(tool_batch, bytes_that_are_no_text_are_base64_and_no_resource_is_null)
{
    const struct tributary_worker_operation *const operations[] = {&binary};
    struct batch_document document = {
        .processor = "p", .key = {"\xfe", 1}, .operations = operations, .count = 1};

    cr_assert_str_eq(written(&document),
                     "{\"processor\":\"p\",\"key_base64\":\"/g==\",\"resource\":null,"
                     "\"operations\":[{\"id_base64\":\"/wA=\",\"data_base64\":\"gA==\"}]}\n");
    document.has_resource = true;
    document.resource = (struct tributary_bytes){"\xff\xff\xff", 3};
    cr_assert(strstr(written(&document), "\"resource_base64\":\"////\""));
    document.resource = (struct tributary_bytes){NULL, 0};
    cr_assert(strstr(written(&document), "\"resource\":\"\""), "an empty resource is one");
}

/* ---- the answer ---- */

static bool read_text(struct batch_answer *answer, const char *text, size_t count)
{
    return batch_answer_read(answer, text, strlen(text), count);
}

static bool is(struct tributary_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && (bytes.size == 0 || memcmp(bytes.data, text, bytes.size) == 0);
}

Test(tool_batch, an_answer_has_a_resource_and_results)
{
    struct batch_answer answer;

    cr_assert(
        read_text(&answer,
                  " {\"resource\": \"2\",\n \"results\": [{\"data\": \"ok\"}, {\"data_base64\": \"gA==\"},"
                  " {}, {\"error\": {\"code\": \"NOT_FOUND\", \"message\": \"no\", \"reason\": \"R\"}},"
                  " {\"error\": {\"code\": 9}}, {\"error\": {}}]} \n",
                  6),
        "%s", answer.fault);
    cr_assert_eq(answer.change, BATCH_REPLACED);
    cr_assert(is(answer.resource, "2"));
    cr_assert(is(answer.results[0].data, "ok"));
    cr_assert(is(answer.results[1].data, "\x80"));
    cr_assert(is(answer.results[2].data, ""));
    cr_assert_eq(answer.results[2].code, TRIBUTARY_OK);
    cr_assert_eq(answer.results[3].code, TRIBUTARY_NOT_FOUND);
    cr_assert_str_eq(answer.results[3].message, "no");
    cr_assert_str_eq(answer.results[3].reason, "R");
    cr_assert_eq(answer.results[4].code, TRIBUTARY_FAILED_PRECONDITION);
    cr_assert_eq(answer.results[5].code, TRIBUTARY_UNKNOWN);
    batch_answer_fini(&answer);
}

Test(tool_batch, a_resource_may_be_json_or_missing_or_removed)
{
    struct batch_answer answer;

    cr_assert(read_text(&answer, "{\"resource\":{\"a\":[1,true]},\"results\":[{\"data\":7}]}", 1));
    cr_assert(is(answer.resource, "{\"a\":[1,true]}"));
    cr_assert(is(answer.results[0].data, "7"));
    batch_answer_fini(&answer);
    cr_assert(read_text(&answer, "{\"results\":[]}", 0));
    cr_assert_eq(answer.change, BATCH_UNCHANGED);
    batch_answer_fini(&answer);
    cr_assert(read_text(&answer, "{\"resource\":null,\"results\":[]}", 0));
    cr_assert_eq(answer.change, BATCH_REMOVED);
    batch_answer_fini(&answer);
    cr_assert(read_text(&answer, "{\"resource_base64\":\"gA==\",\"results\":[]}", 0));
    cr_assert_eq(answer.change, BATCH_REPLACED);
    cr_assert(is(answer.resource, "\x80"));
    batch_answer_fini(&answer);
}

Test(tool_batch, an_answer_that_is_odd_is_refused_with_the_cause)
{
    static const struct {
        const char *text, *cause;
    } odd[] = {
        {"", "it is no JSON"},
        {"{", "it is no JSON"},
        {"{} {}", "it is no JSON"},
        {"[]", "it is not a JSON object"},
        {"{}", "it has no array \"results\""},
        {"{\"results\":[]}", "it has 0 results for 1 operations"},
        {"{\"results\":[{},{}]}", "it has 2 results for 1 operations"},
        {"{\"results\":[{}],\"resourse\":\"1\"}", "it has an unknown member \"resourse\""},
        {"{\"results\":[{}],\"results\":[{}]}", "it is no JSON"},
        {"{\"results\":[7]}", "result 1 is not an object"},
        {"{\"results\":[{\"date\":\"\"}]}", "a result has an unknown member \"date\""},
        {"{\"results\":[{\"data\":\"\",\"error\":{}}]}", "result 1 has both data and an error"},
        {"{\"results\":[{\"data\":\"\",\"data_base64\":\"\"}]}", "comes together with"},
        {"{\"results\":[{\"data_base64\":\"x\"}]}", "\"data_base64\" is not base64"},
        {"{\"results\":[{\"error\":\"no\"}]}", "\"error\" of result 1 is not an object"},
        {"{\"results\":[{\"error\":{\"code\":\"OK\"}}]}", "\"code\" of result 1 is neither"},
        {"{\"results\":[{\"error\":{\"code\":0}}]}", "\"code\" of result 1 is neither"},
        {"{\"results\":[{\"error\":{\"code\":17}}]}", "\"code\" of result 1 is neither"},
        {"{\"results\":[{\"error\":{\"message\":1}}]}", "\"message\" of result 1 is not a string"},
        {"{\"results\":[{\"error\":{\"reason\":\"\\u0000\"}}]}", "\"reason\" of result 1 is not a string"},
        {"{\"results\":[{}],\"resource\":\"\",\"resource_base64\":\"\"}", "comes together with"},
        {"{\"results\":[{}],\"x\\n\\u001b\":1}", "it has an unknown member \"x??\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        struct batch_answer answer;

        cr_assert_not(read_text(&answer, odd[i].text, 1), "not refused: %s", odd[i].text);
        cr_assert(strstr(answer.fault, odd[i].cause), "%s: no '%s' in '%s'", odd[i].text, odd[i].cause,
                  answer.fault);
        batch_answer_fini(&answer);
    }
}

Test(tool_batch, a_result_over_its_bound_is_refused)
{
    struct buf text = {0};
    struct batch_answer answer;

    buf_text(&text, "{\"results\":[{\"data\":\"");
    for (size_t i = 0; i <= TRIBUTARY_MAX_RESULT_BYTES; i++)
        buf_byte(&text, 'x');
    buf_text(&text, "\"}]}");
    cr_assert_not(batch_answer_read(&answer, (const char *)text.data, text.size, 1));
    cr_assert(strstr(answer.fault, "has 1048577 bytes, at most 1048576"), "%s", answer.fault);
    batch_answer_fini(&answer);
    buf_fini(&text);
}

/* ---- commands ---- */

struct run {
    struct batch_commands *commands;
    enum tributary_code code;
    struct tributary_status status;
    char output[256];
};

static void begin(struct run *run, const char *command, bool is_kept)
{
    signal(SIGPIPE, SIG_IGN);
    *run = (struct run){.commands = batch_commands_new(command, is_kept, 2)};
    cr_assert_not_null(run->commands);
}

static void call_with(struct run *run, const char *input, int64_t max_ns, bool (*is_unwanted)(void *ctx))
{
    struct buf output = {0};
    const struct batch_call call = {.input = text_bytes(input),
                                    .deadline_ns = clock_from_now_ns(max_ns),
                                    .is_unwanted = is_unwanted,
                                    .ctx = run};

    run->code = batch_command_run(run->commands, &call, &output, &run->status);
    snprintf(run->output, sizeof(run->output), "%.*s", (int)output.size,
             output.size > 0 ? (const char *)output.data : "");
    buf_fini(&output);
}

static void call(struct run *run, const char *input)
{
    call_with(run, input, 20 * NS_PER_S, NULL);
}

static void expect(const struct run *run, enum tributary_code code, const char *reason, const char *message)
{
    cr_assert_eq(run->code, code, "%s: %s", tributary_code_name(run->code), run->status.message);
    cr_assert_str_eq(run->status.reason, reason);
    cr_assert(strstr(run->status.message, message), "no '%s' in '%s'", message, run->status.message);
}

static bool always(void *ctx)
{
    (void)ctx;
    return true;
}

Test(tool_batch, a_command_reads_all_and_prints_all, .timeout = 60)
{
    struct run run;

    begin(&run, "cat; echo end", false);
    call(&run, "a line\n");
    cr_assert_eq(run.code, TRIBUTARY_OK, "%s", run.status.message);
    cr_assert_str_eq(run.output, "a line\nend\n");
    batch_commands_free(run.commands);
}

Test(tool_batch, a_command_need_not_read_its_input, .timeout = 60)
{
    struct run run;

    begin(&run, "echo 1", false);
    call(&run, "unread\n");
    cr_assert_eq(run.code, TRIBUTARY_OK);
    cr_assert_str_eq(run.output, "1\n");
    batch_commands_free(run.commands);
}

Test(tool_batch, a_command_that_fails_fails_the_batch, .timeout = 60)
{
    struct run run;

    begin(&run, "echo 1; exit 3", false);
    call(&run, "\n");
    expect(&run, TRIBUTARY_UNKNOWN, "COMMAND_FAILED", "exit code 3");
    batch_commands_free(run.commands);
    begin(&run, "kill -9 $$", false);
    call(&run, "\n");
    expect(&run, TRIBUTARY_UNKNOWN, "COMMAND_FAILED", "signal 9");
    batch_commands_free(run.commands);
    begin(&run, "/nothing/here", false);
    call(&run, "\n");
    expect(&run, TRIBUTARY_UNKNOWN, "COMMAND_FAILED", "exit code 127");
    batch_commands_free(run.commands);
}

Test(tool_batch, a_command_that_is_late_is_stopped_with_its_children, .timeout = 60)
{
    const int64_t begin_ns = clock_mono_ns();
    struct run run;

    begin(&run, "trap '' TERM; sleep 50 & sleep 50", false);
    call_with(&run, "\n", 100 * NS_PER_MS, NULL);
    expect(&run, TRIBUTARY_DEADLINE_EXCEEDED, "COMMAND_TOO_LATE", "did not answer in time");
    cr_assert_lt(clock_mono_ns() - begin_ns, 20 * NS_PER_S);
    batch_commands_free(run.commands);
    begin(&run, "echo 1; exec >&-; sleep 50", false);
    call_with(&run, "\n", 100 * NS_PER_MS, NULL);
    expect(&run, TRIBUTARY_DEADLINE_EXCEEDED, "COMMAND_TOO_LATE", "did not end in time");
    batch_commands_free(run.commands);
}

Test(tool_batch, a_command_that_ignores_sigterm_has_300_ms, .timeout = 60)
{
    const int64_t begin_ns = clock_mono_ns();
    struct run run;

    begin(&run, "trap '' TERM; while :; do sleep 50; done", false);
    call_with(&run, "\n", 50 * NS_PER_MS, NULL);
    expect(&run, TRIBUTARY_DEADLINE_EXCEEDED, "COMMAND_TOO_LATE", "did not answer in time");
    cr_assert_geq(clock_mono_ns() - begin_ns, 350 * NS_PER_MS);
    cr_assert_lt(clock_mono_ns() - begin_ns, 5 * NS_PER_S);
    batch_commands_free(run.commands);
}

/* Waits until nobody has the pipe open for writing. */
static void expect_end_of(int fd)
{
    struct pollfd reader = {.fd = fd, .events = POLLIN};

    cr_assert_eq(poll(&reader, 1, 20000), 1, "a child has stayed");
}

Test(tool_batch, children_that_ignore_sigterm_do_not_stay, .timeout = 60)
{
    static const char child[] = "(trap '' TERM; while :; do sleep 50; done) >&-";
    static char command[256];
    struct run run;
    int ends[2];

    for (unsigned stopped = 0; stopped < 2; stopped++) {
        char folder[] = "/tmp/tributary-spawn-XXXXXX", fifo[64];

        cr_assert(mkdtemp(folder));
        snprintf(fifo, sizeof(fifo), "%s/held", folder);
        cr_assert_eq(mkfifo(fifo, 0600), 0);
        ends[0] = open(fifo, O_RDONLY | O_NONBLOCK);
        ends[1] = open(fifo, O_WRONLY | O_NONBLOCK);
        snprintf(command, sizeof(command), "exec 9>%s; %s & %s", fifo, child,
                 stopped ? "sleep 50" : "echo 1");
        begin(&run, command, false);
        call_with(&run, "\n", stopped ? 300 * NS_PER_MS : 20 * NS_PER_S, NULL);
        cr_assert_eq(run.code, stopped ? TRIBUTARY_DEADLINE_EXCEEDED : TRIBUTARY_OK, "%s",
                     run.status.message);
        close(ends[1]);
        expect_end_of(ends[0]);
        close(ends[0]);
        unlink(fifo);
        rmdir(folder);
        batch_commands_free(run.commands);
    }
}

Test(tool_batch, a_command_that_is_not_wanted_any_more_is_stopped, .timeout = 60)
{
    struct run run;

    begin(&run, "sleep 50", false);
    call_with(&run, "\n", 50 * NS_PER_S, always);
    expect(&run, TRIBUTARY_CANCELLED, "COMMAND_STOPPED", "not wanted");
    batch_commands_free(run.commands);
}

Test(tool_batch, what_a_command_leaves_running_does_not_hold_up_its_answer, .timeout = 60)
{
    const int64_t begin_ns = clock_mono_ns();
    struct run run;

    begin(&run, "sleep 50 & echo 1", false);
    call(&run, "\n");
    cr_assert_eq(run.code, TRIBUTARY_OK, "%s", run.status.message);
    cr_assert_str_eq(run.output, "1\n");
    cr_assert_lt(clock_mono_ns() - begin_ns, 20 * NS_PER_S, "it waited for the child");
    batch_commands_free(run.commands);
}

Test(tool_batch, an_answer_without_an_end_is_stopped, .timeout = 60)
{
    struct run run;

    begin(&run, "exec cat /dev/zero", false);
    call(&run, "\n");
    expect(&run, TRIBUTARY_RESOURCE_EXHAUSTED, "ANSWER_TOO_LARGE", "more than 25165824 bytes");
    batch_commands_free(run.commands);
}

/* ---- commands that are kept ---- */

#define COUNTS "n=0; while read -r line; do n=$((n + 1)); echo \"$n $line\"; done"

Test(tool_batch, a_kept_command_answers_one_line_after_another, .timeout = 60)
{
    struct run run;

    begin(&run, COUNTS, true);
    call(&run, "a\n");
    cr_assert_str_eq(run.output, "1 a\n");
    call(&run, "b\n");
    cr_assert_str_eq(run.output, "2 b\n", "it is the same process");
    batch_commands_free(run.commands);
}

Test(tool_batch, a_kept_command_that_ends_is_started_again_for_the_next_batch, .timeout = 60)
{
    struct run run;
    siginfo_t ended;

    begin(&run, "read -r line; echo \"$$ $line\"", true);
    call(&run, "a\n");
    cr_assert_eq(run.code, TRIBUTARY_OK, "%s", run.status.message);
    cr_assert_eq(waitid(P_PID, (id_t)atoi(run.output), &ended, WEXITED | WNOWAIT), 0);
    call(&run, "b\n");
    cr_assert_eq(run.code, TRIBUTARY_OK, "%s", run.status.message);
    cr_assert(strstr(run.output, " b\n"));
    batch_commands_free(run.commands);
}

Test(tool_batch, a_kept_command_that_ends_without_an_answer_fails_its_batch_only, .timeout = 60)
{
    struct run run;

    begin(&run, "while read -r line; do [ \"$line\" = bad ] && exit 1; echo \"$line\"; done", true);
    call(&run, "bad\n");
    expect(&run, TRIBUTARY_UNKNOWN, "COMMAND_FAILED", "without an answer");
    call(&run, "good\n");
    cr_assert_eq(run.code, TRIBUTARY_OK, "%s", run.status.message);
    cr_assert_str_eq(run.output, "good\n");
    batch_commands_free(run.commands);
}

Test(tool_batch, a_kept_command_that_prints_two_lines_is_out_of_step, .timeout = 60)
{
    struct run run;

    begin(&run, "while read -r line; do printf '%s\\nmore\\n' \"$line\"; done", true);
    call(&run, "a\n");
    expect(&run, TRIBUTARY_INTERNAL, "BAD_ANSWER", "more than one line");
    batch_commands_free(run.commands);
}

Test(tool_batch, a_late_line_does_not_become_the_next_answer, .timeout = 60)
{
    struct run run;

    begin(&run, "n=0; while read -r line; do sleep \"$line\"; echo \"slept $line\"; done", true);
    call_with(&run, "5\n", 100 * NS_PER_MS, NULL);
    expect(&run, TRIBUTARY_DEADLINE_EXCEEDED, "COMMAND_TOO_LATE", "");
    call(&run, "0\n");
    cr_assert_str_eq(run.output, "slept 0\n");
    batch_commands_free(run.commands);
}

/* Waits until the file is there. */
static void await_file(const char *name)
{
    const struct timespec pause = {.tv_nsec = 5 * NS_PER_MS};

    while (access(name, F_OK) != 0)
        nanosleep(&pause, NULL);
}

Test(tool_batch, a_kept_command_that_does_not_read_its_batch_has_not_answered_it, .timeout = 60)
{
    struct run run;

    begin(&run, "exec <&-; sleep 0.2; echo 1; sleep 50", true);
    call(&run, "a\n");
    expect(&run, TRIBUTARY_UNKNOWN, "COMMAND_FAILED", "closed its input, before it had read its batch");
    batch_commands_free(run.commands);
}

Test(tool_batch, a_kept_command_that_closes_its_input_at_rest_is_replaced, .timeout = 60)
{
    char folder[] = "/tmp/tributary-kept-XXXXXX", closed[64], command[256];
    struct run run;

    cr_assert(mkdtemp(folder));
    snprintf(closed, sizeof(closed), "%s/closed", folder);
    snprintf(command, sizeof(command),
             "read -r line; echo \"1 $line\"; exec <&-; >%s; sleep 0.2; echo 2; sleep 50", closed);
    begin(&run, command, true);
    call(&run, "a\n");
    cr_assert_str_eq(run.output, "1 a\n");
    await_file(closed);
    call(&run, "b\n");
    cr_assert_eq(run.code, TRIBUTARY_OK, "%s", run.status.message);
    cr_assert_str_eq(run.output, "1 b\n", "a line that is printed later is no answer");
    batch_commands_free(run.commands);
    unlink(closed);
    rmdir(folder);
}

Test(tool_batch, a_large_line_goes_both_ways, .timeout = 60)
{
    struct run run;
    struct buf input = {0}, output = {0};

    begin(&run, "exec cat", true);
    for (size_t i = 0; i < 3u << 20; i++)
        buf_byte(&input, 'x');
    buf_byte(&input, '\n');
    const struct batch_call large = {.input = {input.data, input.size},
                                     .deadline_ns = clock_from_now_ns(20 * NS_PER_S)};
    cr_assert_eq(batch_command_run(run.commands, &large, &output, &run.status), TRIBUTARY_OK, "%s",
                 run.status.message);
    cr_assert_eq(output.size, input.size);
    buf_fini(&input);
    buf_fini(&output);
    batch_commands_free(run.commands);
}

static void *call_once_on_thread(void *ctx)
{
    struct run *run = ctx;

    call(run, "x\n");
    return NULL;
}

/* Each would take a second and 300 ms. */
Test(tool_batch, kept_commands_that_do_not_end_are_ended_together, .timeout = 60)
{
    struct run runs[8];
    pthread_t threads[ARRAY_LEN(runs)];

    signal(SIGPIPE, SIG_IGN);
    runs[0].commands = batch_commands_new(
        "trap '' TERM; read -r line; sleep 0.3; echo \"$line\"; while :; do sleep 50; done", true,
        ARRAY_LEN(runs));
    cr_assert_not_null(runs[0].commands);
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        runs[i].commands = runs[0].commands;
        cr_assert_eq(pthread_create(&threads[i], NULL, call_once_on_thread, &runs[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(runs[i].code, TRIBUTARY_OK, "%s", runs[i].status.message);
    }
    const int64_t begin_ns = clock_mono_ns();
    batch_commands_free(runs[0].commands);
    cr_assert_lt(clock_mono_ns() - begin_ns, 5 * NS_PER_S, "one after another");
}

static void *call_on_thread(void *ctx)
{
    struct run *run = ctx;

    for (unsigned i = 0; i < 50; i++) {
        call(run, "x\n");
        if (run->code != TRIBUTARY_OK || !strstr(run->output, " x\n"))
            return run;
    }
    return NULL;
}

Test(tool_batch, two_threads_have_a_kept_command_each, .timeout = 60)
{
    struct run runs[2];
    pthread_t threads[2];
    void *failed = NULL;

    begin(&runs[0], COUNTS, true);
    runs[1] = runs[0];
    for (size_t i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, call_on_thread, &runs[i]), 0);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], &failed);
        cr_assert_null(failed, "%s", runs[i].status.message);
    }
    batch_commands_free(runs[0].commands);
}
