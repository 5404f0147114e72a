/* printer.c - prints events as text, JSON or bytes. */
#include "client/tool/printer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/tool/display.h"
#include "client/tool/event_json.h"
#include "event/text.h"

#define FLUSH_BYTES 65536u
#define MIN_WIDTH 8u
#define MAX_WIDTH 28u

void printer_init(struct printer *printer, enum printer_form form, int fd)
{
    const char *no_color = getenv("NO_COLOR");
    struct stat about;

    *printer = (struct printer){.form = form,
                                .fd = fd,
                                .is_file = fstat(fd, &about) != 0 || S_ISREG(about.st_mode),
                                .halt_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                                .source_width = MIN_WIDTH,
                                .second = -1};
    printer->colours = isatty(fd) && (!no_color || no_color[0] == '\0');
}

void printer_fini(struct printer *printer)
{
    buf_fini(&printer->out);
    if (printer->halt_fd >= 0)
        close(printer->halt_fd);
}

void printer_halt(struct printer *printer)
{
    const uint64_t one = 1;
    const ssize_t size = write(printer->halt_fd, &one, sizeof(one));

    (void)size; /* the descriptor is never read, so one write is enough */
}

/* Waits for the reader. The wait is here and not in write(), because printer_halt() could not end a
 * write. True: PIPE_BUF bytes can be written, or write() will report what is wrong. */
static bool has_space(struct printer *printer)
{
    struct pollfd fds[2] = {{.fd = printer->fd, .events = POLLOUT},
                            {.fd = printer->halt_fd, .events = POLLIN}};

    if (printer->is_file || poll(fds, 1, 0) != 0)
        return true;
    atomic_store(&printer->waiting, true);
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        continue;
    atomic_store(&printer->waiting, false);
    return fds[0].revents != 0;
}

bool printer_flush(struct printer *printer)
{
    size_t done = 0;

    while (done < printer->out.size && printer->error == 0) {
        const size_t left = printer->out.size - done;
        ssize_t size = 0;

        if (!has_space(printer)) {
            printer->error = ECANCELED;
            break;
        }
        size = write(printer->fd, printer->out.data + done, printer->is_file ? left : MIN_OF(left, PIPE_BUF));
        if (size > 0) {
            done += (size_t)size;
            atomic_fetch_add_explicit(&printer->written, (uint64_t)size, memory_order_relaxed);
        } else if (size < 0 && errno != EINTR) {
            printer->error = errno;
        }
    }
    buf_clear(&printer->out);
    return printer->error == 0;
}

/* The size of the printable character that `data` begins with. 0: the byte must be escaped. */
static size_t printable(const uint8_t *data, size_t left)
{
    const size_t size = *data < 0x80 ? 1 : *data >= 0xf0 ? 4 : *data >= 0xe0 ? 3 : *data >= 0xc2 ? 2 : 0;

    if (*data == '\t')
        return 1;
    if (size == 0 || size > left || text_printable((struct bytes){data, size}) != FAULT_NONE)
        return 0;
    return size;
}

void escape_text(struct buf *buf, struct tributary_bytes text)
{
    const uint8_t *data = text.data;
    size_t plain = 0; /* offset of the first byte that is not yet written */
    size_t i = 0;

    while (i < text.size) {
        const size_t size = data[i] >= 0x20 && data[i] < 0x7f ? 1 : printable(data + i, text.size - i);

        if (size > 0) {
            i += size;
            continue;
        }
        buf_bytes(buf, data + plain, i - plain);
        if (data[i] == '\n')
            buf_text(buf, "\\n");
        else if (data[i] == '\r')
            buf_text(buf, "\\r");
        else
            buf_format(buf, "\\x%02x", data[i]);
        plain = ++i;
    }
    if (text.size > plain)
        buf_bytes(buf, data + plain, text.size - plain);
}

static void put_time(struct printer *printer, uint64_t unix_nano)
{
    const time_t second = (time_t)(unix_nano / NS_PER_S);

    if (second != printer->second) {
        const time_t now = time(NULL);
        struct tm local, today;

        localtime_r(&second, &local);
        localtime_r(&now, &today);
        bool is_today = local.tm_year == today.tm_year && local.tm_yday == today.tm_yday;
        strftime(printer->clock, sizeof(printer->clock), is_today ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &local);
        printer->second = second;
    }
    buf_format(&printer->out, "%s.%03u  ", printer->clock, (unsigned)(unix_nano / NS_PER_MS % 1000));
}

static void put_source(struct printer *printer, struct tributary_bytes source)
{
    static const char *const colours[] = {"\033[36m", "\033[33m", "\033[32m", "\033[35m",
                                          "\033[34m", "\033[31m", "\033[96m", "\033[93m",
                                          "\033[92m", "\033[95m", "\033[94m", "\033[91m"};
    const uint8_t *data = source.data;
    const unsigned width = display_width(source);
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < source.size; i++)
        hash = (hash ^ data[i]) * 16777619u;
    if (width > printer->source_width && width <= MAX_WIDTH)
        printer->source_width = width;
    if (printer->colours)
        buf_text(&printer->out, colours[hash % ARRAY_LEN(colours)]);
    escape_text(&printer->out, source);
    if (printer->colours)
        buf_text(&printer->out, "\033[0m");
    buf_format(&printer->out, "%*s", width < printer->source_width ? (int)(printer->source_width - width) : 0,
               "");
}

/* Appends "name=value". A value stands between quotes where its end would not be seen otherwise. */
static void put_field(struct buf *out, struct tributary_bytes name, struct tributary_bytes value)
{
    const char *rest = value.data;
    size_t left = value.size;
    bool quoted = left == 0;

    for (const char *odd = " \"=\t"; *odd != '\0' && left > 0; odd++)
        quoted |= !!memchr(rest, *odd, left);
    escape_text(out, name);
    buf_text(out, quoted ? "=\"" : "=");
    while (left > 0) {
        const char *quote = memchr(rest, '"', left);
        const size_t size = quote ? (size_t)(quote - rest) : left;

        escape_text(out, (struct tributary_bytes){rest, size});
        buf_text(out, quote ? "\\\"" : "");
        rest += size + (quote ? 1 : 0);
        left -= size + (quote ? 1 : 0);
    }
    buf_text(out, quoted ? "\"  " : "  ");
}

/* Appends the fields that are set, and the headers. */
static void put_fields(struct buf *out, const struct tributary_delivery *delivery)
{
    const struct tributary_event *event = &delivery->event;
    const struct {
        const char *name;
        struct tributary_bytes value;
    } fields[] = {{"origin", delivery->origin}, {"id", event->id},     {"topic", event->topic},
                  {"key", event->key},          {"type", event->type}, {"content_type", event->content_type}};

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (fields[i].value.size > 0)
            put_field(out, tributary_text(fields[i].name), fields[i].value);
    }
    for (size_t i = 0; i < event->header_count; i++) {
        struct buf name = {0};

        buf_text(&name, "header.");
        buf_bytes(&name, event->headers[i].name.data, event->headers[i].name.size);
        put_field(out, (struct tributary_bytes){name.data, name.size}, event->headers[i].value);
        out->broken |= name.broken;
        buf_fini(&name);
    }
}

static void put_text(struct printer *printer, const struct tributary_delivery *delivery)
{
    const uint64_t event_time = delivery->event.time_unix_nano;

    put_time(printer, event_time != 0 ? event_time : delivery->observed_time_unix_nano);
    put_source(printer, delivery->source);
    buf_format(&printer->out, "  %7llu  ", (unsigned long long)delivery->sequence);
    if (printer->is_verbose)
        put_fields(&printer->out, delivery);
    escape_text(&printer->out, delivery->event.data);
}

static void put_json(struct printer *printer, const struct tributary_delivery *delivery)
{
    json_t *object = event_to_json(delivery);
    char *text =
        object ? json_dumps(object, printer->form == PRINTER_JSON ? JSON_INDENT(2) : JSON_COMPACT) : NULL;

    buf_text(&printer->out, text ? text : "{\"error\":\"an event that is no valid UTF-8\"}");
    free(text);
    json_decref(object);
}

void printer_event(struct printer *printer, const struct tributary_delivery *delivery)
{
    if (printer->form == PRINTER_TEXT)
        put_text(printer, delivery);
    else if (printer->form == PRINTER_RAW && delivery->event.data.size > 0)
        buf_bytes(&printer->out, delivery->event.data.data, delivery->event.data.size);
    else if (printer->form == PRINTER_JSON || printer->form == PRINTER_JSONL)
        put_json(printer, delivery);
    buf_byte(&printer->out, '\n');
    if (printer->out.broken)
        printer->error = ENOMEM;
    if (printer->out.size >= FLUSH_BYTES)
        printer_flush(printer);
}
