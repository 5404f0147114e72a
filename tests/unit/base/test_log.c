/* test_log.c - every line is complete in its format, whatever its values are. */
#include "base/log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"

static int ends[2];
static char got[64 * MAX_LOG_LINE]; /* more than a pipe holds */

static void open_pipe(void)
{
    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
}

static void close_pipe(void)
{
    close(ends[0]);
    close(ends[1]);
}

/* Returns what was written since the last call. */
static const char *written(void)
{
    ssize_t size = read(ends[0], got, sizeof(got) - 1);

    got[size > 0 ? size : 0] = '\0';
    return got;
}

static json_t *parsed(void)
{
    json_error_t error;
    json_t *line;

    written();
    cr_assert_gt(strlen(got), 1u);
    cr_assert_eq(strchr(got, '\n'), got + strlen(got) - 1, "one line");
    line = json_loads(got, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    cr_assert_not_null(line, "%s in %s", error.text, got);
    return line;
}

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

TestSuite(log, .init = open_pipe, .fini = close_pipe);

Test(log, text_shows_time_level_event_and_fields)
{
    const char *line;

    log_setup(LOG_INFO, LOG_AS_TEXT, ends[1]);
    log_write(LOG_INFO, "producer.added", LOG_TEXT("producer", "web"), LOG_NUMBER("epoch", -17),
              LOG_BYTES("key", bytes_of("k")));
    line = written();
    cr_assert_eq(
        strlen(line),
        strlen("2026-01-31T12:00:00.123456Z info  producer.added producer=\"web\" epoch=-17 key=\"k\"\n"));
    cr_assert_eq(line[10], 'T');
    cr_assert_eq(line[19], '.');
    cr_assert_eq(line[26], 'Z');
    cr_assert_str_eq(line + 27, " info  producer.added producer=\"web\" epoch=-17 key=\"k\"\n");
}

Test(log, json_shows_the_same)
{
    json_t *line;

    log_setup(LOG_INFO, LOG_AS_JSON, ends[1]);
    log_write(LOG_WARN, "producer.added", LOG_TEXT("producer", "web"), LOG_NUMBER("epoch", INT64_MIN),
              LOG_BYTES("key", bytes_of("k")));
    line = parsed();
    cr_assert_eq(json_string_length(json_object_get(line, "time")), 27u);
    cr_assert_str_eq(json_string_value(json_object_get(line, "level")), "warn");
    cr_assert_str_eq(json_string_value(json_object_get(line, "event")), "producer.added");
    cr_assert_str_eq(json_string_value(json_object_get(line, "producer")), "web");
    cr_assert_eq(json_integer_value(json_object_get(line, "epoch")), INT64_MIN);
    cr_assert_str_eq(json_string_value(json_object_get(line, "key")), "k");
    json_decref(line);
}

Test(log, an_event_needs_no_fields)
{
    json_t *line;

    log_setup(LOG_INFO, LOG_AS_TEXT, ends[1]);
    log_write(LOG_ERROR, "stopped");
    cr_assert_str_eq(written() + 27, " error stopped\n");
    log_setup(LOG_INFO, LOG_AS_JSON, ends[1]);
    log_write(LOG_ERROR, "stopped");
    line = parsed();
    cr_assert_eq(json_object_size(line), 3u);
    json_decref(line);
}

Test(log, nothing_below_the_minimum_level_is_written)
{
    int evaluated = 0;

    log_setup(LOG_WARN, LOG_AS_TEXT, ends[1]);
    log_write(LOG_INFO, "quiet", LOG_NUMBER("n", ++evaluated));
    cr_assert_str_eq(written(), "");
    cr_assert_eq(evaluated, 0, "fields are not evaluated if the level is not written");
    log_write(LOG_WARN, "loud", LOG_NUMBER("n", ++evaluated));
    cr_assert_str_eq(written() + 27, " warn  loud n=1\n");
    log_fields(LOG_INFO, "quiet", NULL, 0);
    cr_assert_str_eq(written(), "");
    log_setup(LOG_OFF, LOG_AS_TEXT, ends[1]);
    cr_assert_not(log_wants(LOG_ERROR));
    cr_assert_not(log_wants(LOG_OFF));
}

Test(log, a_missing_text_is_an_empty_one)
{
    const char *none = NULL;

    log_setup(LOG_INFO, LOG_AS_TEXT, ends[1]);
    log_write(LOG_INFO, "e", LOG_TEXT("t", none), LOG_BYTES("b", (struct bytes){0}), LOG_NUMBER("n", 0));
    cr_assert_str_eq(written() + 27, " info  e t=\"\" b=\"\" n=0\n");
}

Test(log, text_escapes_what_could_end_a_line_or_control_a_terminal)
{
    log_setup(LOG_INFO, LOG_AS_TEXT, ends[1]);
    log_write(
        LOG_INFO, "e",
        LOG_BYTES("v", ((struct bytes){(const uint8_t *)"a\"b\\c\n\r\t\0\x1b[0m\x7f\xc2\x9b\xff", 17})));
    cr_assert_str_eq(written() + 27,
                     " info  e v=\"a\\\"b\\\\c\\n\\r\\t\\x00\\x1b[0m\\x7f\\xc2\\x9b\\xff\"\n");
}

Test(log, json_keeps_valid_utf8_and_escapes_the_rest)
{
    log_setup(LOG_INFO, LOG_AS_JSON, ends[1]);
    log_write(LOG_INFO, "e",
              LOG_TEXT("v", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 \"\\\n\x7f\xc2\x9b\xe2\x80\xa8"));
    cr_assert_not_null(
        strstr(written(),
               "\"v\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 \\\"\\\\\\u000a\\u007f\\u009b\\u2028\"}\n"),
        "%s", got);
}

Test(log, json_replaces_each_byte_that_is_not_utf8)
{
    /* A lone continuation, overlong forms, a surrogate, a value above U+10FFFF, a byte that never
     * occurs, and a character that is cut. */
    static const struct {
        const char *value;
        const char *shown;
    } cases[] = {
        {"\x80", "\\ufffd"},
        {"\xc0\xaf", "\\ufffd\\ufffd"},
        {"\xe0\x80\x80", "\\ufffd\\ufffd\\ufffd"},
        {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},
        {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
        {"\xff", "\\ufffd"},
        {"\xe2\x82", "\\ufffd\\ufffd"},
        {"\xe2\x82x", "\\ufffd\\ufffdx"},
        {"\xed\x9f\xbf", "\xed\x9f\xbf"},
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
    };

    log_setup(LOG_INFO, LOG_AS_JSON, ends[1]);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char expected[64];

        snprintf(expected, sizeof(expected), "\"v\":\"%s\"}\n", cases[i].shown);
        log_write(LOG_INFO, "e", LOG_TEXT("v", cases[i].value));
        cr_assert_not_null(strstr(written(), expected), "case %zu: %s", i, got);
    }
}

Test(log, any_bytes_give_one_complete_line)
{
    uint8_t value[600];

    srand(1);
    for (int round = 0; round < 2000; round++) {
        size_t size = (size_t)(rand() % (int)sizeof(value));
        bool json = round % 2 == 0;

        for (size_t i = 0; i < size; i++)
            value[i] = (uint8_t)(rand() % 4 ? rand() : 0xe0 | rand());
        log_setup(LOG_INFO, json ? LOG_AS_JSON : LOG_AS_TEXT, ends[1]);
        log_write(LOG_INFO, "e", LOG_BYTES("v", ((struct bytes){value, size})), LOG_NUMBER("n", round));
        if (json) {
            json_t *line = parsed();

            cr_assert_eq(json_integer_value(json_object_get(line, "n")), round);
            json_decref(line);
        } else {
            written();
            for (size_t i = 0; i + 1 < strlen(got); i++)
                cr_assert(got[i] >= 0x20 && got[i] <= 0x7e);
            cr_assert_eq(got[strlen(got) - 1], '\n');
        }
    }
}

Test(log, a_line_that_is_too_long_is_cut_and_says_so)
{
    static uint8_t value[MAX_LOG_LINE];

    /* Every size around the bound, with bytes that become one and four bytes of output. */
    for (size_t size = MAX_LOG_LINE - 200; size < MAX_LOG_LINE; size++) {
        json_t *line;
        size_t shown;

        memset(value, 'v', size);
        log_setup(LOG_INFO, LOG_AS_JSON, ends[1]);
        log_write(LOG_INFO, "e", LOG_BYTES("v", ((struct bytes){value, size})), LOG_NUMBER("n", 1),
                  LOG_TEXT("w", "ww"));
        line = parsed();
        cr_assert_leq(strlen(got), MAX_LOG_LINE);
        shown = json_string_length(json_object_get(line, "v"));
        cr_assert(shown == size || json_is_true(json_object_get(line, "cut")));
        cr_assert_eq(!json_object_get(line, "cut"), json_string_length(json_object_get(line, "w")) == 2,
                     "whole, or marked");
        json_decref(line);

        memset(value, 0x80 | (int)(size & 1), size);
        log_setup(LOG_INFO, LOG_AS_TEXT, ends[1]);
        log_write(LOG_INFO, "e", LOG_BYTES("v", ((struct bytes){value, size})));
        written();
        cr_assert_leq(strlen(got), MAX_LOG_LINE);
        cr_assert_str_eq(got + strlen(got) - strlen("\" cut=true\n"), "\" cut=true\n");
    }
}

Test(log, a_failed_write_leaves_errno_unchanged)
{
    int closed = dup(ends[1]);

    close(closed);
    log_setup(LOG_INFO, LOG_AS_TEXT, closed);
    errno = ENOENT;
    log_write(LOG_INFO, "e");
    cr_assert_eq(errno, ENOENT);
}

/* Makes the pipe's descriptor block, as standard error mostly does. */
static void make_blocking(void)
{
    cr_assert_eq(fcntl(ends[1], F_SETFL, 0), 0);
}

static void write_many(void)
{
    for (int i = 0; i < 120000; i++)
        log_write(LOG_INFO, "e", LOG_NUMBER("n", i));
}

static void check_unread(int64_t max_ns)
{
    const int64_t began_ns = clock_mono_ns();

    write_many();
    cr_assert_lt(clock_mono_ns() - began_ns, max_ns);
    cr_assert_gt(count_get(COUNT_LOG_LOST), 0);
}

/* Finding 13. */
Test(log, a_reader_that_does_not_read_delays_nobody)
{
    log_setup(LOG_INFO, LOG_AS_TEXT, ends[1]);
    make_blocking();
    check_unread(5 * NS_PER_S); /* without a writer: only the first line waits */
    cr_assert(!log_start().code);
    check_unread(5 * NS_PER_S);
}

Test(log, the_last_line_says_what_nobody_has_read)
{
    json_t *line;

    log_setup(LOG_INFO, LOG_AS_JSON, ends[1]);
    make_blocking();
    cr_assert(!log_start().code);
    write_many();
    log_stop(100);
    written();
    got[strlen(got) - 1] = '\0';
    line = json_loads(strrchr(got, '\n') + 1, 0, NULL);
    cr_assert_not_null(line, "%s", got);
    cr_assert_str_eq(json_string_value(json_object_get(line, "event")), "log.lost");
    cr_assert_str_eq(json_string_value(json_object_get(line, "level")), "warn");
    cr_assert_eq(json_integer_value(json_object_get(line, "lines")), count_get(COUNT_LOG_LOST));
    cr_assert_eq(json_integer_value(json_object_get(line, "info")), count_get(COUNT_LOG_LOST));
    cr_assert_eq(json_integer_value(json_object_get(line, "limited")), 0);
    json_decref(line);
}

Test(log, lines_after_the_end_are_written_by_their_caller)
{
    log_setup(LOG_INFO, LOG_AS_TEXT, ends[1]);
    cr_assert(!log_start().code);
    log_write(LOG_INFO, "before");
    log_stop(10000);
    log_write(LOG_INFO, "after");
    written();
    cr_assert_not_null(strstr(got, " info  before\n"));
    cr_assert_not_null(strstr(got, " info  after\n"));
}

Test(log, what_the_caller_leaves_out_is_counted)
{
    log_setup(LOG_INFO, LOG_AS_TEXT, ends[1]);
    log_leave_out(LOG_WARN);
    cr_assert(!log_start().code);
    log_leave_out(LOG_WARN);
    log_leave_out(LOG_DEBUG);
    cr_assert_eq(count_get(COUNT_LOG_LOST), 2, "a line that nobody wants is not missing");
    log_stop(10000);
    cr_assert_str_eq(written() + 27, " warn  log.lost lines=1 debug=0 info=0 warn=1 error=0 limited=1\n");
}

/* A crash in a child: its lines are there, and it ends by the signal. */
static void check_crash(void (*crash)(void), int signal)
{
    int status = 0;

    log_setup(LOG_INFO, LOG_AS_TEXT, ends[1]);
    const pid_t child = fork();
    if (child == 0) {
        if (log_start().code)
            _exit(1);
        for (int i = 0; i < 500; i++)
            log_write(LOG_INFO, "e", LOG_NUMBER("n", i));
        crash();
        _exit(1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status), "%d", status);
    cr_assert_eq(WTERMSIG(status), signal);
    cr_assert_not_null(strstr(written(), " n=499\n"));
}

static void crash_by_abort(void)
{
    abort();
}

Test(log, a_crash_waits_for_the_lines_before_it)
{
    check_crash(crash_by_abort, SIGABRT);
}

Test(log, levels_and_formats_are_parsed_by_their_names)
{
    enum log_level level = LOG_DEBUG;
    enum log_format format = LOG_AS_TEXT;

    cr_assert(log_level_parse("error", &level));
    cr_assert_eq(level, LOG_ERROR);
    cr_assert(log_level_parse("off", &level));
    cr_assert_eq(level, LOG_OFF);
    cr_assert_not(log_level_parse("Info", &level));
    cr_assert_not(log_level_parse("", &level));
    cr_assert_eq(level, LOG_OFF);
    cr_assert(log_format_parse("json", &format));
    cr_assert_eq(format, LOG_AS_JSON);
    cr_assert_not(log_format_parse("xml", &format));
    cr_assert_eq(format, LOG_AS_JSON);
}
