/* options_print.c - see options_print.h. */
#include "server/options_print.h"

#include "base/fault.h"
#include "base/place.h"
#include "base/quantity.h"
#include "server/options.h"

#define EXITS "0 after a drain, 1 when it could not serve or was forced, 2 for a wrong command line."

static const char *const examples[][2] = {
    {"tributaryd", "serve on " DEFAULT_LISTEN},
    {"tributaryd --listen unix:/run/tributary.sock", "serve on a unix socket only"},
    {"tributaryd --listen 127.0.0.1:0 --ready-file /tmp/address --log-format json",
     "serve at any port, and say where"},
};

void options_print_quantity(FILE *out, const struct option *option, int64_t quantity)
{
    char text[QUANTITY_TEXT_CAPACITY];

    quantity_text(option_quantity_kind(option), (uint64_t)quantity, text);
    fputs(text, out);
}

static void print_bounds(FILE *out, const struct option *option)
{
    char text[QUANTITY_FAULT_CAPACITY];

    quantity_bounds_text(option_quantity_kind(option), option_bounds(option), text);
    fputs(text, out);
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
    print_bounds(out, option);
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
    fputs("\nAn address is one of these:\n", out);
    for (const struct place_form *form = place_forms; form->form; form++)
        fprintf(out, "  %-32s %s\n", form->form, form->meaning);
    fprintf(out, "\nIn values, %s; %s.\nExit status: " EXITS "\n\nExamples:\n", quantity_help_duration,
            quantity_help_bytes);
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

static void print_man_values(FILE *out)
{
    fputs(".SH VALUES\nIn values, ", out);
    print_roff(out, quantity_help_duration);
    fputs("; ", out);
    print_roff(out, quantity_help_bytes);
    fputs(".\nAn address is one of these:\n", out);
    for (const struct place_form *form = place_forms; form->form; form++) {
        fputs(".TP\n\\fB", out);
        print_roff(out, form->form);
        fputs("\\fR\n", out);
        print_roff(out, form->meaning);
        fputs("\n", out);
    }
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
        ".SH OPTIONS\n",
        out);
    for (const struct option *option = option_table; option->help; option++)
        print_man_option(out, option);
    print_man_values(out);
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
