/* test_tool_print.c - printed events: aligned, and without bytes that could control a terminal. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/tool/printer.h"

static void expect_escaped(const char *text, size_t size, const char *escaped)
{
    struct buf buf = {0};

    escape_text(&buf, (struct tributary_bytes){text, size});
    buf_byte(&buf, 0);
    cr_assert_str_eq((const char *)buf.data, escaped);
    buf_fini(&buf);
}

Test(tool_print, bytes_that_are_not_printable_are_escaped)
{
    expect_escaped("plain text", 10, "plain text");
    expect_escaped("\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x8a", 9, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x8a");
    expect_escaped("a\nb\rc\td", 7, "a\\nb\\rc\td");
    expect_escaped("\x1b[31m\x7f", 6, "\\x1b[31m\\x7f");
    expect_escaped("\xc2\x9b", 2, "\\xc2\\x9b");
    expect_escaped("\xff\xc3", 2, "\\xff\\xc3");
    expect_escaped("a\0b", 3, "a\\x00b");
    expect_escaped("\xe2\x80\xa8", 3, "\\xe2\\x80\\xa8");
    expect_escaped("", 0, "");
}

static void expect_printed(enum printer_form form, const struct tributary_delivery *delivery,
                           const char *expected)
{
    struct printer printer;
    char text[512];
    int ends[2];
    ssize_t size = 0;

    cr_assert_eq(pipe(ends), 0);
    printer_init(&printer, form, ends[1]);
    cr_assert_not(printer.colours);
    printer_event(&printer, delivery);
    cr_assert(printer_flush(&printer));
    size = read(ends[0], text, sizeof(text) - 1);
    cr_assert_gt(size, 0);
    text[size] = '\0';
    cr_assert_str_eq(text, expected);
    printer_fini(&printer);
    close(ends[0]);
    close(ends[1]);
}

Test(tool_print, each_form_prints_one_event)
{
    const struct tributary_delivery delivery = {
        .source = tributary_text("web"),
        .sequence = 42,
        .event = {.data = tributary_text("hello\n"), .time_unix_nano = UINT64_C(1769861645123456789)}};

    setenv("TZ", "UTC", 1);
    tzset();
    expect_printed(PRINTER_TEXT, &delivery, "2026-01-31 12:14:05.123  web            42  hello\\n\n");
    expect_printed(PRINTER_RAW, &delivery, "hello\n\n");
    expect_printed(PRINTER_JSONL, &delivery,
                   "{\"producer\":\"web\",\"sequence\":42,\"epoch\":\"0\",\"time\":\"2026-01-31T12:14:05."
                   "123456789Z\",\"data\":\"hello\\n\"}\n");
    expect_printed(PRINTER_JSON, &(struct tributary_delivery){.source = tributary_text("p"), .sequence = 1},
                   "{\n  \"producer\": \"p\",\n  \"sequence\": 1,\n  \"epoch\": \"0\"\n}\n");
}

Test(tool_print, K5_verbose_text_has_every_field_and_a_value_ends_where_it_seems_to)
{
    const struct tributary_header headers[] = {{tributary_text("trace"), tributary_text("0 1")},
                                               {tributary_text("empty"), tributary_text("")}};
    const struct tributary_delivery delivery = {.source = tributary_text("web"),
                                                .origin = tributary_text("o"),
                                                .sequence = 1,
                                                .observed_time_unix_nano = UINT64_C(1769861645123456789),
                                                .event = {.data = tributary_text("hello"),
                                                          .id = tributary_text("a\x1b"
                                                                               "b"),
                                                          .topic = tributary_text("orders"),
                                                          .key = tributary_text("k=\"7\""),
                                                          .type = tributary_text("order.new"),
                                                          .headers = headers,
                                                          .header_count = 2}};
    struct printer printer;

    setenv("TZ", "UTC", 1);
    tzset();
    printer_init(&printer, PRINTER_TEXT, -1);
    printer.is_verbose = true;
    printer_event(&printer, &delivery);
    buf_byte(&printer.out, 0);
    cr_assert_str_eq((const char *)printer.out.data,
                     "2026-01-31 12:14:05.123  web             1  origin=o  id=a\\x1bb  topic=orders  "
                     "key=\"k=\\\"7\\\"\"  "
                     "type=order.new  header.trace=\"0 1\"  header.empty=\"\"  hello\n");
    printer_fini(&printer);
}

Test(tool_print, the_source_column_grows_with_the_widest_source)
{
    struct printer printer;

    printer_init(&printer, PRINTER_TEXT, -1);
    printer_event(&printer, &(struct tributary_delivery){.source = tributary_text("a-rather-long-name")});
    cr_assert_eq(printer.source_width, 18);
    printer_event(&printer,
                  &(struct tributary_delivery){
                      .source = tributary_text("a-name-that-is-far-too-long-for-any-column-of-ours")});
    cr_assert_eq(printer.source_width, 18, "it does not push the others away");
    printer_fini(&printer);
}

static void *halt(void *argument)
{
    struct printer *printer = argument;
    const int64_t until_ns = clock_mono_ns() + 10 * NS_PER_S;

    while (!atomic_load(&printer->waiting) && clock_mono_ns() < until_ns)
        sched_yield();
    printer_halt(printer);
    return NULL;
}

Test(tool_print, a_reader_that_reads_nothing_is_given_up_when_halted)
{
    const struct tributary_delivery delivery = {.event = {.data = tributary_text("0123456789abcde")}};
    struct printer printer;
    pthread_t thread;
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    printer_init(&printer, PRINTER_RAW, ends[1]);
    cr_assert_eq(pthread_create(&thread, NULL, halt, &printer), 0);
    while (printer.error == 0)
        printer_event(&printer, &delivery);
    cr_assert_eq(printer.error, ECANCELED);
    cr_assert_not(printer_flush(&printer));
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(atomic_load(&printer.written), 65536, "what the pipe holds was written");
    printer_fini(&printer);
    close(ends[0]);
    close(ends[1]);
}

Test(tool_print, a_reader_that_went_away_is_a_write_error)
{
    struct printer printer;

    printer_init(&printer, PRINTER_RAW, -1);
    printer_event(&printer, &(struct tributary_delivery){.sequence = 1});
    cr_assert_not(printer_flush(&printer));
    cr_assert_neq(printer.error, 0);
    printer_fini(&printer);
}
