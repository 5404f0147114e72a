/* cli.c - reads a command line by a verb's table. One dash or two before a long name; -x value, -xvalue, --name value, --name=value; flags
 * may share a dash; `--` ends the options. */
#include "client/tool/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/tool/exits.h"
#include "client/tool/value.h"

const struct option common_options[] = {
    {'s', "server", OPTION_TEXT, "HOST:PORT|unix:PATH", offsetof(struct common, server),
     "the server (default: $TRIBUTARY_SERVER, else 127.0.0.1:7227)"},
    {0, "connect-timeout", OPTION_DURATION, "DURATION", offsetof(struct common, connect_timeout_ns),
     "how long one attempt to connect may take (default: 10s)"},
    {0, "max-time", OPTION_DURATION, "DURATION", offsetof(struct common, max_time_ns),
     "give up after this long, with exit code 6"},
    {0, "rpc-header", OPTION_LIST, "'NAME: VALUE'", offsetof(struct common, rpc_headers),
     "metadata for every call; may be repeated"},
    {0, "plaintext", OPTION_IGNORED, "", 0, "taken and ignored: connections are in plain text"},
    {'h', "help", OPTION_FLAG, "", offsetof(struct common, help), "this text"},
};
const size_t common_option_count = sizeof(common_options) / sizeof(common_options[0]);

/* What is being read. */
struct reading {
    const struct verb *verb;
    char *settings;
    int argc;
    char **argv;
    int next; /* the word that comes next */
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

static const struct option *find_in(const struct option *options, size_t count, const char *name, size_t size,
                                    char letter)
{
    for (size_t i = 0; i < count; i++) {
        if (name != NULL && strlen(options[i].name) == size && strncmp(options[i].name, name, size) == 0)
            return &options[i];
        if (name == NULL && options[i].letter == letter)
            return &options[i];
    }
    return NULL;
}

static const struct option *find(const struct verb *verb, const char *name, size_t size, char letter)
{
    const struct option *option = find_in(verb->options, verb->option_count, name, size, letter);

    return option != NULL ? option : find_in(common_options, common_option_count, name, size, letter);
}

bool cli_is_replaced(const struct verb *verb, const struct option *common_option)
{
    return find_in(verb->options, verb->option_count, common_option->name, strlen(common_option->name), 0) !=
           NULL;
}

static bool takes_value(const struct option *option)
{
    return option->kind != OPTION_FLAG && option->kind != OPTION_IGNORED;
}

static bool list_add(struct text_list *list, const char *text)
{
    const char **items = realloc(list->items, (list->count + 1) * sizeof(*items));

    if (items == NULL)
        return false;
    items[list->count++] = text;
    list->items = items;
    return true;
}

static bool choose(const char *words, const char *word, unsigned *place_out)
{
    const size_t size = strlen(word);
    unsigned place = 0;

    for (const char *at = words; *at != '\0'; place++) {
        const size_t length = strcspn(at, "|");

        if (length == size && strncmp(at, word, size) == 0) {
            *place_out = place;
            return true;
        }
        at += length + (at[length] == '|' ? 1 : 0);
    }
    return false;
}

static bool store(const struct reading *reading, const struct option *option, const char *value)
{
    void *place = reading->settings + option->offset;

    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)place = true;
        return true;
    case OPTION_TEXT:
        *(const char **)place = value;
        return true;
    case OPTION_LIST:
        return list_add(place, value);
    case OPTION_NUMBER:
        return number_parse(value, place);
    case OPTION_COUNT:
        return count_parse(value, place);
    case OPTION_BYTES:
        return bytes_parse(value, place);
    case OPTION_DURATION:
    case OPTION_EVERY:
        return duration_parse(value, place);
    case OPTION_CHOICE:
        return choose(option->value, value, place);
    case OPTION_IGNORED:
        return true;
    }
    return false;
}

/* The next word is the value of an OPTION_EVERY where it is a duration. */
static int take_every(struct reading *reading, const struct option *option)
{
    int64_t *const place = (int64_t *)(void *)(reading->settings + option->offset);

    *place = EVERY_DEFAULT_NS;
    if (reading->next < reading->argc && duration_parse(reading->argv[reading->next], place))
        reading->next++;
    return EXITS_OK;
}

/* `value` NULL: it is the next word. */
static int take(struct reading *reading, const struct option *option, const char *value)
{
    if (option->kind == OPTION_EVERY && value == NULL)
        return take_every(reading, option);
    if (takes_value(option) && value == NULL) {
        if (reading->next >= reading->argc)
            return cli_wrong(reading->verb, "--%s needs a value: %s", option->name, option->value);
        value = reading->argv[reading->next++];
    }
    if (!takes_value(option) && value != NULL)
        return cli_wrong(reading->verb, "--%s takes no value", option->name);
    if (!store(reading, option, value))
        return cli_wrong(reading->verb, "--%s: '%s' is not %s", option->name, value, option->value);
    return EXITS_OK;
}

/* -x, -xy, -xVALUE. */
static int take_letters(struct reading *reading, const char *letters)
{
    int result = EXITS_OK;

    for (const char *at = letters; *at != '\0' && result == EXITS_OK; at++) {
        const struct option *option = find(reading->verb, NULL, 0, *at);

        if (option == NULL)
            return cli_wrong(reading->verb, "there is no option '-%s'", letters);
        if (takes_value(option))
            return take(reading, option, at[1] != '\0' ? at + 1 : NULL);
        result = take(reading, option, NULL);
    }
    return result;
}

static int take_word(struct reading *reading, const char *word)
{
    const char *name = word + (word[1] == '-' ? 2 : 1);
    const size_t size = strcspn(name, "=");
    const struct option *option = find(reading->verb, name, size, 0);

    if (option != NULL && (size > 1 || word[1] == '-'))
        return take(reading, option, name[size] == '=' ? name + size + 1 : NULL);
    if (word[1] == '-')
        return cli_wrong(reading->verb, "there is no option '%s'", word);
    return take_letters(reading, name);
}

bool cli_parse(const struct verb *verb, int argc, char **argv, void *settings, struct text_list *arguments,
               int *exit_out)
{
    struct reading reading = {.verb = verb, .settings = settings, .argc = argc, .argv = argv};
    struct common *common = settings;
    const int64_t now_ns = clock_mono_ns();
    bool only_arguments = false;
    int result = EXITS_OK;

    while (reading.next < argc && result == EXITS_OK) {
        const char *word = argv[reading.next++];

        if (!only_arguments && strcmp(word, "--") == 0)
            only_arguments = true;
        else if (!only_arguments && word[0] == '-' && word[1] != '\0')
            result = take_word(&reading, word);
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
    }
}

void cli_forget(const struct verb *verb, void *settings, struct text_list *arguments)
{
    forget(verb->options, verb->option_count, settings);
    forget(common_options, common_option_count, settings);
    free(arguments->items);
}
