/* completion_fish.c - writes completions for fish: one command `complete` for each word. */
#include "client/tool/completion_fish.h"

#include <stdio.h>
#include <string.h>

#include "client/tool/completion_names.h"
#include "client/tool/verb_list.h"

/* __tributary_at WORDS: these are the words before the cursor. __tributary_in WORDS: those begin
 * with these. __tributary_names KIND: asks the server of the command line for names. */
static const char functions[] =
    "# Completion of command lines of tributary. Written by 'tributary completion fish'.\n"
    "function __tributary_words\n"
    "    set -l words (commandline -opc)\n"
    "    set -e words[1]\n"
    "    test \"$words[1]\" = help; and set -e words[1]\n"
    "    set -q words[1]; and printf '%s\\n' $words\n"
    "end\n"
    "function __tributary_at\n"
    "    set -l words (__tributary_words)\n"
    "    test \"$words\" = \"$argv\"\n"
    "end\n"
    "function __tributary_in\n"
    "    set -l words (__tributary_words)\n"
    "    set -l count (count $argv)\n"
    "    test (count $words) -ge $count; and test \"$words[1..$count]\" = \"$argv\"\n"
    "end\n"
    "function __tributary_names\n"
    "    set -l words (commandline -opc)\n"
    "    set -l server\n"
    "    set -l before\n"
    "    test \"$words[2]\" = help; and return\n"
    "    for word in $words\n"
    "        contains -- \"$before\" -s --server -server; and set server -s $word\n"
    "        string match -q -- '--server=*' $word; and set server -s (string sub -s 10 -- $word)\n"
    "        set before $word\n"
    "    end\n"
    "    set -l now (string replace -r -- '^--[^=]*=' '' (commandline -ct) | string unescape)\n"
    "    $words[1] completion names $argv[1] $server -- \"$now\" 2>/dev/null\n"
    "end\n"
    "complete -c tributary -f\n";

/* In single quotes, where fish reads only \ and '. */
static void put_quoted(const char *text)
{
    putchar('\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text == '\n' ? ' ' : *text);
    }
    putchar('\'');
}

/* `condition` is true where the word may stand. */
static void put_word(const char *condition, const char *word, const char *description)
{
    printf("complete -c tributary -n '%s' -a ", condition);
    put_quoted(word);
    if (description) {
        printf(" -d ");
        put_quoted(description);
    }
    putchar('\n');
}

static void put_value(const struct option *option)
{
    const char *kind = completion_kind_of_option(option);

    if (!option_needs_value(option))
        return;
    if (option->kind == OPTION_CHOICE) {
        printf(" -x -a '");
        for (const char *c = option->value; *c != '\0'; c++)
            putchar(*c == '|' ? ' ' : *c);
        putchar('\'');
    } else if (kind) {
        printf(" -x -a '(__tributary_names %s)'", kind);
    } else {
        printf("%s", strstr(option->value, "FILE") ? " -r -F" : " -x");
    }
}

static void put_options(const char *condition, const struct option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("complete -c tributary -n '%s' -l %s", condition, options[i].name);
        if (options[i].letter != 0)
            printf(" -s %c", options[i].letter);
        put_value(&options[i]);
        printf(" -d ");
        put_quoted(options[i].help);
        putchar('\n');
    }
}

static void put_verb(const struct verb *verb)
{
    char condition[96];
    const char *kind = completion_kind_of_arguments(verb);

    snprintf(condition, sizeof(condition), "__tributary_in %s", verb->name);
    put_options(condition, verb->options, verb->option_count);
    if (kind) {
        char names[64];

        snprintf(names, sizeof(names), "(__tributary_names %s)", kind);
        put_word(condition, names, NULL);
    }
}

/* The verb's name: its one word, or the first of two once for its group, and the second behind. */
static void put_name(const struct verb *verb, const char *before)
{
    const size_t size = strcspn(verb->name, " ");
    char first[64];
    char condition[96];

    if (verb->name[size] == '\0') {
        put_word("__tributary_at", verb->name, verb->summary);
        return;
    }
    snprintf(first, sizeof(first), "%.*s", (int)size, verb->name);
    snprintf(condition, sizeof(condition), "__tributary_at %s", first);
    if (strncmp(before, verb->name, size + 1) != 0)
        put_word("__tributary_at", first, NULL);
    put_word(condition, verb->name + size + 1, verb->summary);
}

void completion_put_fish(void)
{
    size_t count = 0;
    const struct verb *const *verbs = verbs_all(&count);

    printf("%s", functions);
    put_word("__tributary_at", "help", NULL);
    for (size_t i = 0; i < count; i++) {
        put_name(verbs[i], i > 0 ? verbs[i - 1]->name : "");
        put_verb(verbs[i]);
    }
    put_word("__tributary_at completion", "bash fish zsh", NULL);
    put_options("not __tributary_at", common_options, common_option_count);
}
