/* options_print.c - see options_print.h. */
#include "server/options_print.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/fault.h"
#include "server/options.h"

#define KIB INT64_C(1024)
#define MIB (KIB * KIB)
#define HOUR_NS (3600 * NS_PER_S)

#define UNITS "A duration is a number with us, ms, s, m or h; bytes are a number with nothing, K, M or G."
#define EXITS "0 after a drain, 1 when it could not serve or was forced, 2 for a wrong command line."

static const char *const examples[][2] = {
    {"tributaryd", "serve on " DEFAULT_LISTEN},
    {"tributaryd --listen unix:/run/tributary.sock", "serve on a unix socket only"},
    {"tributaryd --listen 127.0.0.1:0 --ready-file /tmp/address --log-format json",
     "serve at any port, and say where"},
};

static void print_duration(FILE *out, int64_t ns)
{
    if (ns % HOUR_NS == 0)
        fprintf(out, "%" PRId64 "h", ns / HOUR_NS);
    else if (ns % NS_PER_S == 0)
        fprintf(out, "%" PRId64 "s", ns / NS_PER_S);
    else if (ns % NS_PER_MS == 0)
        fprintf(out, "%" PRId64 "ms", ns / NS_PER_MS);
    else
        fprintf(out, "%" PRId64 "us", ns / NS_PER_US);
}

static void print_bytes(FILE *out, int64_t bytes)
{
    if (bytes % MIB == 0)
        fprintf(out, "%" PRId64 "M", bytes / MIB);
    else if (bytes % KIB == 0)
        fprintf(out, "%" PRId64 "K", bytes / KIB);
    else
        fprintf(out, "%" PRId64, bytes);
}

void options_print_quantity(FILE *out, const struct option *option, int64_t quantity)
{
    if (option->kind == OPTION_NUMBER)
        fprintf(out, "%" PRId64, quantity);
    else if (option->kind == OPTION_BYTES)
        print_bytes(out, quantity);
    else if (option->kind == OPTION_DURATION_OR_NEVER && quantity == 0)
        fputs("never", out);
    else
        print_duration(out, quantity);
}

void options_print_bounds(FILE *out, const struct option *option)
{
    options_print_quantity(out, option, option->min);
    fputs(" to ", out);
    options_print_quantity(out, option, option->max);
    if (option->kind == OPTION_DURATION_OR_NEVER)
        fputs(", or never", out);
}

/* " (default 10s; 1ms to 1h)"; nothing for an option without bounds. */
static void print_default_and_bounds(FILE *out, const struct option *option)
{
    struct options defaults;

    if (!option_has_bounds(option))
        return;
    options_set_defaults(&defaults);
    fputs(" (default ", out);
    options_print_quantity(out, option, option_quantity(&defaults, option));
    fputs("; ", out);
    options_print_bounds(out, option);
    fputs(")", out);
}

void options_print_help(FILE *out)
{
    fputs("tributaryd - gRPC fan-in: many producers in, one merged stream out for every consumer\n\nUsage: "
          "tributaryd [OPTION ...]\n\n",
          out);
    for (const struct option *option = option_table; option->help; option++) {
        char left[64];
        snprintf(left, sizeof(left), "--%s%s%s", option->name, option->value ? " " : "",
                 option->value ? option->value : "");
        fprintf(out, "  %-32s %s", left, option->help);
        print_default_and_bounds(out, option);
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
    print_default_and_bounds(out, option);
    fputs("\n", out);
}

void options_print_man(FILE *out)
{
    fputs(
        ".TH TRIBUTARYD 8 \"\" \"tributary " TRIBUTARY_VERSION "\" \"System Administration\"\n"
        ".SH NAME\ntributaryd \\- gRPC fan\\-in server: many producers, one merged stream for every "
        "consumer\n"
        ".SH SYNOPSIS\n\\fBtributaryd\\fR [\\fIOPTION\\fR...]\n"
        ".SH DESCRIPTION\nTakes the events of many producers and gives every consumer one stream of those "
        "that it asked for. It runs in "
        "the\n"
        "foreground and logs to standard error. SIGTERM, SIGINT and SIGHUP drain it: what waits is "
        "delivered, then it ends; a second\n"
        "signal ends it at once. The program \\fBtributary\\fR(1) publishes, subscribes, shows and steers.\n"
        ".PP\n" UNITS "\n.SH OPTIONS\n",
        out);
    for (const struct option *option = option_table; option->help; option++)
        print_man_option(out, option);
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

void options_print_errors(FILE *out)
{
    for (int reason = FAULT_NONE + 1; reason < FAULT_COUNT; reason++)
        fprintf(out, "%-24s %-20s %s\n", fault_reason_name((enum fault_reason)reason),
                fault_code_name(fault_code((enum fault_reason)reason)),
                fault_text((enum fault_reason)reason));
}
