/* cli.c - reads a command line by a verb's table of options.
 *
 *   -name, --name          a long name has one dash or two
 *   -x value, -xvalue      a letter and its value
 *   --name value, --name=value
 *   -xyz                   flags may share a dash
 *   --                     ends the options */
#include "client/tool/cli.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/tool/exits.h"
#include "client/tool/help.h"
#include "client/tool/nearest.h"

/* The command line that is being read. */
struct parser {
    const struct verb *verb;
    char *settings;
    int argc;
    char **argv;
    int cursor; /* index of the next word */
};

int cli_wrong(const struct verb *verb, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "tributary %s: ", verb->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nTry 'tributary help %s'.\n", verb->name);
    va_end(args);
    return EXITS_USAGE;
}

/* Refuses an option, and names the one that was perhaps meant. `name` is the option without dashes
 * and value. */
static int no_option(const struct verb *verb, const char *word, const char *name, size_t size)
{
    char written[64];
    struct nearest nearest;

    snprintf(written, sizeof(written), "%.*s", (int)MIN_OF(size, sizeof(written)), name);
    nearest = nearest_init(written);
    for (size_t i = 0; i < verb->option_count; i++)
        nearest_offer(&nearest, verb->options[i].name);
    for (size_t i = 0; i < common_option_count; i++)
        nearest_offer(&nearest, common_options[i].name);
    if (nearest.word)
        return cli_wrong(verb, "there is no option '%s'. Did you mean '--%s'?", word, nearest.word);
    return cli_wrong(verb, "there is no option '%s'", word);
}

static bool takes_value(const struct option *option)
{
    return option->kind != OPTION_FLAG && option->kind != OPTION_IGNORED;
}

static bool list_add(struct text_list *list, const char *text)
{
    const char **items = realloc(list->items, (list->count + 1) * sizeof(*items));

    if (!items)
        return false;
    items[list->count++] = text;
    list->items = items;
    return true;
}

static bool series_add(struct text_series *series, const char *option, const char *text)
{
    struct series_item *items = realloc(series->items, (series->count + 1) * sizeof(*items));

    if (!items)
        return false;
    items[series->count++] = (struct series_item){option, text};
    series->items = items;
    return true;
}

static bool choose(const char *words, const char *word, unsigned *place_out)
{
    const size_t size = strlen(word);
    unsigned place = 0;

    for (const char *cursor = words; *cursor != '\0'; place++) {
        const size_t length = strcspn(cursor, "|");

        if (length == size && strncmp(cursor, word, size) == 0) {
            *place_out = place;
            return true;
        }
        cursor += length + (cursor[length] == '|' ? 1 : 0);
    }
    return false;
}

/* Stores a value. False: it is refused, and `fault` says how it must be. */
static bool store(const struct parser *parser, const struct option *option, const char *value,
                  char fault[QUANTITY_FAULT_CAPACITY])
{
    void *place = parser->settings + option->offset;

    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)place = true;
        return true;
    case OPTION_TEXT:
        *(const char **)place = value;
        return true;
    case OPTION_LIST:
        return list_add(place, value);
    case OPTION_SERIES:
        return series_add(place, option->name, value);
    case OPTION_NUMBER:
    case OPTION_COUNT:
    case OPTION_BYTES:
    case OPTION_DURATION: /* an int64_t, which holds every duration, has the form of a uint64_t */
    case OPTION_EVERY:
        return quantity_parse(option_quantity_kind(option), value, option_bounds(parser->verb, option), place,
                              fault);
    case OPTION_CHOICE:
        snprintf(fault, QUANTITY_FAULT_CAPACITY, "must be %s", option->value);
        return choose(option->value, value, place);
    case OPTION_IGNORED:
        return true;
    }
    return false;
}

/* Reads an OPTION_EVERY. The next word is its value where it begins with a digit. */
static const char *every_value(struct parser *parser)
{
    const char *next = parser->cursor < parser->argc ? parser->argv[parser->cursor] : "";

    return isdigit((unsigned char)next[0]) ? parser->argv[parser->cursor++] : DEFAULT_EVERY;
}

/* Reads an option. Where `value` is NULL and the option has one, it is the next word. */
static int read_value(struct parser *parser, const struct option *option, const char *value)
{
    char fault[QUANTITY_FAULT_CAPACITY] = "";

    if (option->kind == OPTION_EVERY && !value)
        value = every_value(parser);
    if (takes_value(option) && !value) {
        if (parser->cursor >= parser->argc)
            return cli_wrong(parser->verb, "--%s needs a value: %s", option->name, option->value);
        value = parser->argv[parser->cursor++];
    }
    if (!takes_value(option) && value)
        return cli_wrong(parser->verb, "--%s takes no value", option->name);
    if (!store(parser, option, value, fault))
        return cli_wrong(parser->verb, "--%s '%s': %s", option->name, value,
                         fault[0] != '\0' ? fault : "out of memory");
    return EXITS_OK;
}

/* Reads -x, -xy or -xVALUE. `word` is the whole, with its dash. */
static int read_letters(struct parser *parser, const char *word)
{
    const char *letters = word + 1;
    int result = EXITS_OK;

    for (const char *cursor = letters; *cursor != '\0' && result == EXITS_OK; cursor++) {
        const struct option *option = option_find(parser->verb, NULL, 0, *cursor);

        if (!option)
            return no_option(parser->verb, word, letters, strcspn(letters, "="));
        if (takes_value(option))
            return read_value(parser, option, cursor[1] != '\0' ? cursor + 1 : NULL);
        result = read_value(parser, option, NULL);
    }
    return result;
}

static int read_word(struct parser *parser, const char *word)
{
    const char *name = word + (word[1] == '-' ? 2 : 1);
    const size_t size = strcspn(name, "=");
    const struct option *option = option_find(parser->verb, name, size, 0);

    if (option && (size > 1 || word[1] == '-'))
        return read_value(parser, option, name[size] == '=' ? name + size + 1 : NULL);
    if (word[1] == '-')
        return no_option(parser->verb, word, name, size);
    return read_letters(parser, word);
}

bool cli_parse(const struct verb *verb, int argc, char **argv, void *settings, struct text_list *arguments,
               int *exit_out)
{
    struct parser parser = {.verb = verb, .settings = settings, .argc = argc, .argv = argv};
    struct common *common = settings;
    const int64_t now_ns = clock_mono_ns();
    bool only_arguments = false;
    int result = EXITS_OK;

    while (parser.cursor < argc && result == EXITS_OK) {
        const char *word = argv[parser.cursor++];

        if (!only_arguments && strcmp(word, "--") == 0)
            only_arguments = true;
        else if (!only_arguments && word[0] == '-' && word[1] != '\0')
            result = read_word(&parser, word);
        else if (arguments->count >= verb->max_arguments)
            result = cli_wrong(verb, "'%s' is one word too many", word);
        else if (!list_add(arguments, word))
            result = EXITS_ERROR;
    }
    *exit_out = result;
    common->over_ns = common->max_time_ns > 0 && common->max_time_ns < INT64_MAX - now_ns
                          ? now_ns + common->max_time_ns
                          : INT64_MAX;
    if (result == EXITS_OK && common->help)
        help_verb(stdout, verb);
    return result == EXITS_OK && !common->help;
}

static void forget(const struct option *options, size_t count, char *settings)
{
    for (size_t i = 0; i < count; i++) {
        if (options[i].kind == OPTION_LIST)
            free(((struct text_list *)(void *)(settings + options[i].offset))->items);
        if (options[i].kind == OPTION_SERIES) { /* several options share it */
            struct text_series *series = (void *)(settings + options[i].offset);

            free(series->items);
            *series = (struct text_series){.items = NULL};
        }
    }
}

void cli_free(const struct verb *verb, void *settings, struct text_list *arguments)
{
    forget(verb->options, verb->option_count, settings);
    forget(common_options, common_option_count, settings);
    free(arguments->items);
}
