/* man.c - prints the manual page tributary(1) from the tables of the verbs. */
#include "client/tool/help.h"

#include "tributary/tributary.h"
#include "client/tool/exits.h"
#include "client/tool/verb_list.h"

/* Prints text for roff, escaped so that nothing in it is a request or an escape sequence. With
 * `breaks`, a line of the text is a line of the page. */
static void put(FILE *out, const char *text, bool breaks)
{
    bool at_start = true;

    for (const char *letter = text; *letter != '\0'; letter++) {
        if (at_start && (*letter == '.' || *letter == '\''))
            fputs("\\&", out);
        at_start = *letter == '\n';
        if (*letter == '\\')
            fputs("\\e", out);
        else if (*letter == '-')
            fputs("\\-", out);
        else if (*letter == '\'')
            fputs("\\(aq", out);
        else if (at_start && breaks)
            fputs("\n.br\n", out);
        else
            fputc(*letter, out);
    }
}

static void put_line(FILE *out, const char *text)
{
    put(out, text, false);
    fputc('\n', out);
}

static void put_option(FILE *out, const struct option *option)
{
    fputs(".TP\n", out);
    if (option->letter != 0)
        fprintf(out, "\\fB\\-%c\\fR, ", option->letter);
    fputs("\\fB\\-\\-", out);
    put(out, option->name, false);
    fputs("\\fR", out);
    if (option->value[0] != '\0') {
        fputs(" \\fI", out);
        put(out, option->value, false);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    put_line(out, option->help);
}

static void put_example(FILE *out, const struct example *example)
{
    fputs(".TP\n\\fB", out);
    put(out, example->command, false);
    fputs("\\fR\n", out);
    put_line(out, example->purpose);
}

static void put_verb(FILE *out, const struct verb *verb)
{
    fputs(".SS tributary ", out);
    put_line(out, verb->name);
    fputs("\\fBtributary ", out);
    put(out, verb->name, false);
    fputs("\\fR [\\fIOPTION\\fR...]", out);
    if (verb->arguments[0] != '\0') {
        fputs(" \\fI", out);
        put(out, verb->arguments, false);
        fputs("\\fR", out);
    }
    fputs("\n.PP\n", out);
    put(out, verb->summary, false);
    fputs(".\n", out);
    if (verb->text[0] != '\0')
        put_line(out, verb->text);
    for (size_t i = 0; i < verb->option_count; i++)
        put_option(out, &verb->options[i]);
    fputs(".PP\nExamples:\n", out);
    for (size_t i = 0; i < verb->example_count; i++)
        put_example(out, &verb->examples[i]);
}

static void put_aliases(FILE *out)
{
    fputs(".PP\nOther words for verbs:", out);
    verb_put_aliases(out);
    fputs(".\n", out);
}

static void put_exits(FILE *out)
{
    size_t count = 0;
    const struct exit_meaning *all = exits_all(&count);

    fputs(".SH EXIT STATUS\n", out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, ".TP\n\\fB%d\\fR\n", all[i].code);
        put_line(out, all[i].meaning);
    }
    fprintf(out, ".TP\n\\fB%d\\fR and above\nthe gRPC code of any other answer of the server, added to %d\n",
            EXITS_GRPC + 1, EXITS_GRPC);
}

void help_man(FILE *out)
{
    size_t count = 0;
    const struct verb *const *verbs = verbs_all(&count);

    fprintf(out, ".TH TRIBUTARY 1 \"\" \"tributary %s\" \"User Commands\"\n", tributary_version());
    fputs(".SH NAME\ntributary \\- publish to and subscribe from a tributary server\n"
          ".SH SYNOPSIS\n\\fBtributary\\fR \\fIVERB\\fR [\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]\n"
          ".SH DESCRIPTION\nPublishes lines as events, prints many producers as one stream, answers "
          "consumers by running commands, and shows "
          "and steers what\nthe server \\fBtributaryd\\fR(8) does.\n"
          ".PP\nLong options are taken with one dash or two, and with their value as the next word or after "
          "\\(oq=\\(cq. Durations are such\n"
          "as 10, 1.5s, 500ms or 1m30s, where a bare number counts seconds. Sizes are such as 4096, 64KiB or "
          "4MiB.\n"
          ".SH OPTIONS OF EVERY VERB\n",
          out);
    for (size_t i = 0; i < common_option_count; i++)
        put_option(out, &common_options[i]);
    fputs(".SH VERBS\n", out);
    for (size_t i = 0; i < count; i++)
        put_verb(out, verbs[i]);
    fputs(".SS tributary help\n\\fBtributary help\\fR [\\fIVERB\\fR]\n.PP\nEverything about one verb, the "
          "verbs of a group, or all verbs.\n",
          out);
    put_aliases(out);
    put_exits(out);
    fputs(".SH ENVIRONMENT\n.TP\n\\fBTRIBUTARY_SERVER\\fR\nthe server, where \\fB\\-s\\fR is not given "
          "(default " TRIBUTARY_DEFAULT_TARGET
          ")\n.TP\n\\fBNO_COLOR\\fR\nno colours, also on a terminal\n.SH SEE ALSO\n\\fBtributaryd\\fR(8)\n",
          out);
}
