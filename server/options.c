/* options.c - the command line of the daemon, from one table. */
#include "server/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "server/wire/address.h"

#define DEFAULT_LISTEN "127.0.0.1:7227"

/* What an option's value is, or what the option prints. */
enum kind { FLAG, TEXT, LISTEN, NUMBER, BYTES, DURATION, LEVEL, FORMAT, ON_OFF, HELP, VERSION, ERRORS, MAN };

struct option {
    const char *name, *value, *help;
    enum kind kind;
    size_t offset, size; /* of its field in struct options */
    int64_t min, max;    /* of a NUMBER, BYTES or DURATION: its field has 4 or 8 bytes */
};

#define FIELD(name) offsetof(struct options, name), sizeof(((struct options *)0)->name)
#define NO_FIELD 0, 0
#define MIB (INT64_C(1) << 20)

static const struct option table[] = {
    {"listen", "ADDRESS",
     "serve at HOST:PORT, [V6]:PORT or unix:PATH; may be repeated; port 0: any (default " DEFAULT_LISTEN ")",
     LISTEN, NO_FIELD, 0, 0},
    {"insecure-listen", NULL,
     "allow --listen on an address that other machines reach: no encryption, no authentication; whoever "
     "reaches the port can read, publish "
     "and stop the service",
     FLAG, FIELD(insecure_listen), 0, 0},
    {"ready-file", "PATH", "write the bound addresses there, one per line, once the server serves", TEXT,
     FIELD(ready_file), 0, 0},
    {"log-level", "LEVEL", "debug, info, warn, error or off (default info)", LEVEL, FIELD(log_level), 0, 0},
    {"log-format", "FORMAT", "text or json (default text)", FORMAT, FIELD(log_format), 0, 0},
    {"wire-threads", "N", "threads that move data; one is fastest on few cores", NUMBER, FIELD(wire_threads),
     1, 64},
    {"memory-limit", "BYTES", "budget of all events that wait; beyond it, publishing is refused", BYTES,
     FIELD(settings.memory_limit_bytes), MIB, INT64_C(1) << 40},
    {"max-connections", "N", "connections at a time", NUMBER, FIELD(settings.max_connections), 1, 1000000},
    {"max-subscriptions", "N", "subscriptions at a time", NUMBER, FIELD(settings.max_subscriptions), 1,
     10000000},
    {"max-producers", "N", "producers known at a time", NUMBER, FIELD(settings.max_producers), 1, 10000000},
    {"peer-share", "PERCENT",
     "how much of these three limits one peer may use: an IPv4 address, or the first 64 bits of an IPv6 "
     "address; 100: all",
     NUMBER, FIELD(settings.peer_share_percent), 1, 100},
    {"local-peer-share", "PERCENT", "the same for a peer on this machine: a unix user, or a loopback address",
     NUMBER, FIELD(settings.local_peer_share_percent), 1, 100},
    {"max-event-bytes", "BYTES", "one event", BYTES, FIELD(settings.framing.max_event_bytes), 64, 64 * MIB},
    {"max-batch-bytes", "BYTES", "one message with events", BYTES, FIELD(settings.framing.max_batch_bytes),
     64, 64 * MIB},
    {"transient-forget", "DURATION", "forget a publishing producer so long after its last call", DURATION,
     FIELD(settings.transient_forget_ns), NS_PER_MS, 86400 * NS_PER_S},
    {"history", NULL,
     "keep the last events of every shared producer from the start (default: from the first subscription on "
     "that asks for them)",
     FLAG, FIELD(settings.history), 0, 0},
    {"drain-timeout", "DURATION",
     "how long a drain (SIGTERM, SIGINT) may take; a second signal ends it at once", DURATION,
     FIELD(settings.drain_timeout_ns), NS_PER_MS, 3600 * NS_PER_S},
    {"write-timeout", "DURATION", "end a consumer that does not read for so long", DURATION,
     FIELD(settings.write_timeout_ns), NS_PER_MS, 3600 * NS_PER_S},
    {"reflection", "on|off", "server reflection (default: on where every address is local)", ON_OFF,
     FIELD(reflection), 0, 0},
    {"guard", "on|off",
     "a guard in front of gRPC core, which bounds what a connection may cost (default on); off is for "
     "measurements: any peer can then stop the service",
     ON_OFF, FIELD(guard), 0, 0},
    {"errors", NULL, "print every error this server gives, with its code, and exit", ERRORS, NO_FIELD, 0, 0},
    {"version", NULL, "print the version and exit", VERSION, NO_FIELD, 0, 0},
    {"help", NULL, "print this and exit", HELP, NO_FIELD, 0, 0},
    {"man", NULL, NULL, MAN, NO_FIELD, 0, 0}, /* for the build only: without help, it is not listed */
};

#define UNITS "A duration is a number with ms, s, m or h; bytes are a number with nothing, K, M or G."
#define EXITS "0 after a drain, 1 when it could not serve or was forced, 2 for a wrong command line."

static const char *const examples[][2] = {
    {"tributaryd", "serve on " DEFAULT_LISTEN},
    {"tributaryd --listen unix:/run/tributary.sock", "serve on a unix socket only"},
    {"tributaryd --listen 127.0.0.1:0 --ready-file /tmp/address --log-format json",
     "serve at any port, and say where"},
};

static void *field(struct options *options, const struct option *option)
{
    return (char *)options + option->offset;
}

static void print_duration(FILE *out, int64_t ns)
{
    if (ns % NS_PER_S == 0)
        fprintf(out, "%" PRId64 "s", ns / NS_PER_S);
    else
        fprintf(out, "%" PRId64 "ms", ns / NS_PER_MS);
}

static void print_bytes(FILE *out, int64_t bytes)
{
    if (bytes % MIB == 0)
        fprintf(out, "%" PRId64 "M", bytes / MIB);
    else
        fprintf(out, "%" PRId64, bytes);
}

static void print_quantity(FILE *out, enum kind kind, int64_t quantity)
{
    if (kind == DURATION)
        print_duration(out, quantity);
    else if (kind == BYTES)
        print_bytes(out, quantity);
    else
        fprintf(out, "%" PRId64, quantity);
}

static bool has_bounds(const struct option *option)
{
    return option->kind == NUMBER || option->kind == BYTES || option->kind == DURATION;
}

static void set_quantity(struct options *options, const struct option *option, int64_t quantity)
{
    if (option->size == sizeof(uint32_t))
        *(uint32_t *)field(options, option) = (uint32_t)quantity;
    else
        *(int64_t *)field(options, option) = quantity;
}

static void set_defaults(struct options *options)
{
    *options = (struct options){
        .log_level = LOG_INFO, .log_format = LOG_AS_TEXT, .wire_threads = 1, .settings = settings_defaults};
}

static int64_t default_quantity(const struct option *option)
{
    struct options defaults;

    set_defaults(&defaults);
    const void *of = field(&defaults, option);
    return option->size == sizeof(uint32_t) ? *(const uint32_t *)of : *(const int64_t *)of;
}

static void print_bounds(FILE *out, const struct option *option)
{
    print_quantity(out, option->kind, option->min);
    fputs(" to ", out);
    print_quantity(out, option->kind, option->max);
}

static void print_help(FILE *out)
{
    fputs("tributaryd - gRPC fan-in: many producers in, one merged stream out for every consumer\n\nUsage: "
          "tributaryd [OPTION ...]\n\n",
          out);
    for (size_t i = 0; i < ARRAY_LEN(table) && table[i].help; i++) {
        char left[64];
        snprintf(left, sizeof(left), "--%s%s%s", table[i].name, table[i].value ? " " : "",
                 table[i].value ? table[i].value : "");
        fprintf(out, "  %-28s %s", left, table[i].help);
        if (has_bounds(&table[i])) {
            fputs(" (default ", out);
            print_quantity(out, table[i].kind, default_quantity(&table[i]));
            fputs("; ", out);
            print_bounds(out, &table[i]);
            fputs(")", out);
        }
        fputs("\n", out);
    }
    fputs("\n" UNITS "\nExit status: " EXITS "\n\nExamples:\n", out);
    for (size_t i = 0; i < ARRAY_LEN(examples); i++)
        fprintf(out, "  %-45s %s\n", examples[i][0], examples[i][1]);
}

/* Escapes a text for roff, so that it is printed as it is. */
static void print_roff(FILE *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        if (*at == '-' || *at == '\\')
            fputs(*at == '-' ? "\\-" : "\\e", out);
        else
            fputc(*at, out);
    }
}

static void print_man_option(FILE *out, const struct option *option)
{
    fputs(".TP\n\\fB\\-\\-", out);
    print_roff(out, option->name);
    fputs("\\fR", out);
    if (option->value) {
        fputs(" \\fI", out);
        print_roff(out, option->value);
        fputs("\\fR", out);
    }
    fputs("\n", out);
    print_roff(out, option->help);
    if (has_bounds(option)) {
        fputs(" (default ", out);
        print_quantity(out, option->kind, default_quantity(option));
        fputs("; ", out);
        print_bounds(out, option);
        fputs(")", out);
    }
    fputs("\n", out);
}

/* Prints the manual page tributaryd(8). */
static void print_man(FILE *out)
{
    fputs(
        ".TH TRIBUTARYD 8 \"\" \"tributary " TRIBUTARY_VERSION "\" \"System Administration\"\n"
        ".SH NAME\ntributaryd \\- gRPC fan\\-in server: many producers, one merged stream for every "
        "consumer\n"
        ".SH SYNOPSIS\n\\fBtributaryd\\fR [\\fIOPTION\\fR...]\n"
        ".SH DESCRIPTION\nTakes the events of many producers and gives every consumer one stream of those "
        "that it asked for. It runs in "
        "the\n"
        "foreground and logs to standard error. SIGTERM and SIGINT drain it: what waits is delivered, then "
        "it ends; a second\n"
        "signal ends it at once. The program \\fBtributary\\fR(1) publishes, subscribes, shows and steers.\n"
        ".PP\n" UNITS "\n.SH OPTIONS\n",
        out);
    for (size_t i = 0; i < ARRAY_LEN(table) && table[i].help; i++)
        print_man_option(out, &table[i]);
    fputs(".SH EXIT STATUS\n" EXITS "\n.SH EXAMPLES\n", out);
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        fputs(".TP\n\\fB", out);
        print_roff(out, examples[i][0]);
        fputs("\\fR\n", out);
        print_roff(out, examples[i][1]);
        fputs("\n", out);
    }
    fputs(".SH SEE ALSO\n\\fBtributary\\fR(1)\n", out);
}

static void print_errors(FILE *out)
{
    for (int reason = FAULT_NONE + 1; reason < FAULT_COUNT; reason++)
        fprintf(out, "%-24s %-20s %s\n", fault_reason_name((enum fault_reason)reason),
                fault_code_name(fault_code((enum fault_reason)reason)),
                fault_text((enum fault_reason)reason));
}

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", NS_PER_MS}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}, {NULL, 0}};
static const struct unit byte_units[] = {{"", 1}, {"K", 1024}, {"M", MIB}, {"G", 1024 * MIB}, {NULL, 0}};
static const struct unit number_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum kind kind)
{
    if (kind == DURATION)
        return duration_units;
    return kind == BYTES ? byte_units : number_units;
}

static bool parse_quantity(struct options *options, const struct option *option, const char *text)
{
    char *end;

    errno = 0;
    int64_t number = strtoll(text, &end, 10);
    if (errno || end == text || number < 0)
        return false;
    for (const struct unit *unit = units_of(option->kind); unit->name; unit++) {
        if (strcmp(end, unit->name) != 0)
            continue;
        if (number > INT64_MAX / unit->factor)
            return false;
        number *= unit->factor;
        if (number < option->min || number > option->max)
            return false;
        set_quantity(options, option, number);
        return true;
    }
    return false;
}

static bool set_listen(struct options *options, const char *value)
{
    if (options->listen_count == MAX_LISTEN_ADDRESSES)
        return false;
    options->listen[options->listen_count++] = value;
    return true;
}

static bool parse_on_off(const char *value, enum on_off *choice_out)
{
    *choice_out = strcmp(value, "on") == 0 ? ON : OFF;
    return *choice_out == ON || strcmp(value, "off") == 0;
}

static bool set(struct options *options, const struct option *option, const char *value)
{
    switch (option->kind) {
    case FLAG:
        *(bool *)field(options, option) = true;
        return true;
    case TEXT:
        *(const char **)field(options, option) = value;
        return true;
    case LISTEN:
        return set_listen(options, value);
    case NUMBER:
    case BYTES:
    case DURATION:
        return parse_quantity(options, option, value);
    case LEVEL:
        return log_level_parse(value, field(options, option));
    case FORMAT:
        return log_format_parse(value, field(options, option));
    case ON_OFF:
        return parse_on_off(value, field(options, option));
    case HELP:
    case VERSION:
    case ERRORS:
    case MAN:
        return true;
    }
    return false;
}

/* Finds the option of "--name" or "--name=value". Sets *value_out to NULL where there is no "=".
 * Returns NULL where there is no such option. */
static const struct option *find(const char *argument, const char **value_out)
{
    if (strncmp(argument, "--", 2) != 0)
        return NULL;
    const char *name = argument + 2;
    size_t length = strcspn(name, "=");
    *value_out = name[length] == '=' ? name + length + 1 : NULL;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strlen(table[i].name) == length && strncmp(table[i].name, name, length) == 0)
            return &table[i];
    return NULL;
}

static enum options_outcome print_and_stop(enum kind kind, FILE *out)
{
    if (kind == HELP)
        print_help(out);
    else if (kind == VERSION)
        fputs("tributaryd " TRIBUTARY_VERSION "\n", out);
    else if (kind == MAN)
        print_man(out);
    else
        print_errors(out);
    return OPTIONS_DONE;
}

/* Applies the defaults that depend on other options, and refuses an address that is not local
 * without --insecure-listen. */
static enum options_outcome apply_defaults(struct options *options, FILE *err)
{
    bool local = true;

    if (options->listen_count == 0)
        options->listen[options->listen_count++] = DEFAULT_LISTEN;
    for (size_t i = 0; i < options->listen_count; i++) {
        if (address_is_local(options->listen[i]))
            continue;
        local = false;
        if (!options->insecure_listen) {
            fprintf(err,
                    "tributaryd: --listen %s: this is not a loopback address or a unix socket, and the "
                    "connection is plaintext: whoever "
                    "reaches the port can read, "
                    "publish and stop the service. Say --insecure-listen if that is meant.\n",
                    options->listen[i]);
            return OPTIONS_WRONG;
        }
    }
    if (options->reflection == ON_OFF_UNSET)
        options->reflection = local ? ON : OFF;
    if (options->guard == ON_OFF_UNSET)
        options->guard = ON;
    return OPTIONS_RUN;
}

static void print_invalid(const struct option *option, const char *value, FILE *err)
{
    fprintf(err, "tributaryd: --%s %s: not valid: %s", option->name, value, option->help);
    if (has_bounds(option)) {
        fputs(" (", err);
        print_bounds(err, option);
        fputs(")", err);
    }
    fputs("\n", err);
}

enum options_outcome options_read(int argc, char **argv, struct options *options_out, FILE *out, FILE *err)
{
    set_defaults(options_out);
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        const struct option *option = find(argv[i], &value);
        if (!option || (!option->value && value)) {
            fprintf(err, "tributaryd: %s: no such option; see tributaryd --help\n", argv[i]);
            return OPTIONS_WRONG;
        }
        if (option->kind == HELP || option->kind == VERSION || option->kind == ERRORS || option->kind == MAN)
            return print_and_stop(option->kind, out);
        if (option->value && !value)
            value = i + 1 < argc ? argv[++i] : NULL;
        if (option->value && !value) {
            fprintf(err, "tributaryd: --%s needs a value: %s\n", option->name, option->help);
            return OPTIONS_WRONG;
        }
        if (!set(options_out, option, value)) {
            print_invalid(option, value, err);
            return OPTIONS_WRONG;
        }
    }
    return apply_defaults(options_out, err);
}
