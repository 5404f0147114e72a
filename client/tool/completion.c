/* completion.c - `tributary completion`: prints the script with which a shell completes command
 * lines. The script is written from the tables of the verbs. */
#include <stdio.h>
#include <string.h>

#include "client/tool/exits.h"
#include "client/tool/cli.h"
#include "client/tool/completion_fish.h"
#include "client/tool/completion_names.h"
#include "client/tool/verb_list.h"
#include "client/tool/verbs.h"

static void put_names(const struct option *option, const char *between)
{
    printf("--%s", option->name);
    if (option->letter != 0)
        printf("%s-%c", between, option->letter);
}

/* Prints the row that says what may follow an option: one of several words, a name that the server
 * knows, a file, or anything. */
static void put_value(const struct option *option)
{
    if (!option_needs_value(option))
        return;
    printf("            ");
    put_names(option, "|");
    if (option->kind == OPTION_CHOICE)
        printf(") words='%s' ;;\n", option->value);
    else if (completion_kind_of_option(option))
        printf(") names=%s ;;\n", completion_kind_of_option(option));
    else
        printf(") files=%s ;;\n", strstr(option->value, "FILE") ? "yes" : "no");
}

static void put_options(const struct option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        putchar(' ');
        put_names(&options[i], " ");
    }
}

static void put_verb(const struct verb *verb)
{
    printf("    '%s')\n        options='", verb->name);
    put_options(verb->options, verb->option_count);
    put_options(common_options, common_option_count);
    printf("'");
    if (completion_kind_of_arguments(verb))
        printf(" arguments=%s", completion_kind_of_arguments(verb));
    printf("\n        case $before in\n");
    for (size_t i = 0; i < verb->option_count; i++)
        put_value(&verb->options[i]);
    for (size_t i = 0; i < common_option_count; i++)
        put_value(&common_options[i]);
    printf("        esac ;;\n");
}

/* Prints the first words of all verbs or, where `first` is set, the second words of the verbs that
 * begin with it. */
static void put_words(const char *first)
{
    size_t count = 0;
    const struct verb *const *verbs = verbs_all(&count);
    const char *last = "";

    for (size_t i = 0; i < count; i++) {
        const char *name = verbs[i]->name;
        const size_t size = strcspn(name, " ");

        if (first && strncmp(name, first, size) == 0 && first[size] == '\0' && name[size] == ' ')
            printf(" %s", name + size + 1);
        if (!first && (strncmp(name, last, size) != 0 || last[size] != ' '))
            printf(" %.*s", (int)size, name);
        last = name;
    }
}

/* Prints the first words of the verbs that have two words, separated by `between`. Where `between`
 * is NULL, prints a row for each, with its second words. */
static void put_groups(const char *between)
{
    size_t count = 0;
    const struct verb *const *verbs = verbs_all(&count);
    char last[64] = "";

    for (size_t i = 0; i < count; i++) {
        const char *name = verbs[i]->name;
        char first[sizeof(last)];

        snprintf(first, sizeof(first), "%.*s", (int)strcspn(name, " "), name);
        if (!strchr(name, ' ') || strcmp(first, last) == 0)
            continue;
        if (between) {
            printf("%s%s", last[0] != '\0' ? between : "", first);
        } else {
            printf("    %s) words='", first);
            put_words(first);
            printf("' ;;\n");
        }
        snprintf(last, sizeof(last), "%s", first);
    }
}

/* Prints the function that asks the server for names of the kind $1. The server is that of the
 * command line. The shell splits words at colons, so the whole line is read: addresses have colons,
 * and names may have them. What stands before the last colon of a name is there already. */
static void put_names_function(void)
{
    printf("_tributary_names() {\n"
           "    local line=${COMP_LINE:0:${COMP_POINT:-0}} word before= server= name\n"
           "    [ -n \"$line\" ] || line=\"${COMP_WORDS[*]}\"\n"
           "    for word in $line; do\n"
           "        case $before in -s | --server | -server) server=$word ;; esac\n"
           "        case $word in --server=*) server=${word#*=} ;; esac\n"
           "        before=$word\n"
           "    done\n"
           "    word=${line##* } word=${word#--*=}\n"
           "    while IFS= read -r name; do\n"
           "        COMPREPLY+=(\"$(printf %%q \"${name#\"${word%%\"${word##*:}\"}\"}\")\")\n"
           "    done < <(\"${COMP_WORDS[0]}\" completion names \"$1\" ${server:+-s \"$server\"} -- "
           "\"$word\" 2>/dev/null)\n"
           "}\n");
}

static void put_bash(void)
{
    size_t count = 0;
    const struct verb *const *verbs = verbs_all(&count);

    printf("# Completion of command lines of tributary. Written by 'tributary completion bash'.\n");
    put_names_function();
    printf("_tributary() {\n"
           "    local now=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} at=1 verb= options= "
           "words= files= names= arguments=\n"
           "    [ \"${COMP_WORDS[1]}\" = help ] && [ \"$COMP_CWORD\" -gt 1 ] && at=2\n"
           "    verb=${COMP_WORDS[at]}\n"
           "    [ \"$before\" = = ] && before=${COMP_WORDS[COMP_CWORD-2]} # --name=value\n"
           "    COMPREPLY=()\n"
           "    if [ \"$COMP_CWORD\" -le \"$at\" ]; then\n"
           "        COMPREPLY=($(compgen -W 'help");
    put_words(NULL);
    printf("' -- \"$now\"))\n        return\n    fi\n    case $verb in\n");
    put_groups(NULL);
    printf("    completion) words='bash fish zsh' ;;\n    esac\n"
           "    if [ -n \"$words\" ] && [ \"$COMP_CWORD\" -eq $((at + 1)) ] && [ \"${now#-}\" = \"$now\" ]; "
           "then\n"
           "        COMPREPLY=($(compgen -W \"$words\" -- \"$now\"))\n        return\n    fi\n"
           "    case $verb in ");
    put_groups(" | ");
    printf(") verb=\"$verb ${COMP_WORDS[at+1]}\" ;; esac\n"
           "    words=\n"
           "    case $verb in\n");
    for (size_t i = 0; i < count; i++)
        put_verb(verbs[i]);
    printf("    esac\n"
           "    if [ -n \"$words\" ]; then\n"
           "        COMPREPLY=($(compgen -W \"${words//|/ }\" -- \"$now\"))\n"
           "    elif [ -n \"$names\" ]; then\n"
           "        _tributary_names \"$names\"\n"
           "    elif [ -z \"$files\" ] && [ -n \"$arguments\" ] && [ \"$at\" = 1 ] && "
           "[ \"${now#-}\" = \"$now\" ]; then\n"
           "        _tributary_names \"$arguments\"\n"
           "    elif [ \"$files\" = yes ]; then\n"
           "        COMPREPLY=($(compgen -f -- \"$now\"))\n"
           "    elif [ -z \"$files\" ]; then\n"
           "        COMPREPLY=($(compgen -W \"$options\" -- \"$now\"))\n"
           "    fi\n"
           "}\n"
           "complete -F _tributary tributary\n");
}

/* zsh can load a completion for bash. */
static void put_zsh(void)
{
    printf("#compdef tributary\nautoload -U +X bashcompinit && bashcompinit\n");
    put_bash();
}

static int run(const struct verb *verb, int argc, char **argv)
{
    struct common settings = {.help = false};
    struct text_list arguments = {0};
    int result = EXITS_OK;

    if (cli_parse(verb, argc, argv, &settings, &arguments, &result)) {
        if (arguments.count == 1 && strcmp(arguments.items[0], "bash") == 0)
            put_bash();
        else if (arguments.count == 1 && strcmp(arguments.items[0], "zsh") == 0)
            put_zsh();
        else if (arguments.count == 1 && strcmp(arguments.items[0], "fish") == 0)
            completion_put_fish();
        else if (arguments.count >= 2 && strcmp(arguments.items[0], "names") == 0)
            result = completion_names(verb, &settings, arguments.items[1],
                                      arguments.count > 2 ? arguments.items[2] : "");
        else
            result = cli_wrong(verb, "which shell: bash, fish or zsh?");
    }
    cli_free(verb, &settings, &arguments);
    return result;
}

static const struct example examples[] = {
    {"source <(tributary completion bash)", "in this shell, from now on"},
    {"tributary completion zsh > \"${fpath[1]}/_tributary\"", "for zsh, once and for all"},
    {"tributary completion fish > ~/.config/fish/completions/tributary.fish", "the same for fish"},
};

const struct verb verb_completion = {
    .name = "completion",
    .arguments = "bash|fish|zsh|names KIND [BEGINNING]",
    .max_arguments = 3,
    .summary = "print the completion of command lines for a shell, or names for it",
    .text = "An installed tributary brings it along; this is for one that is not installed. The script asks "
            "the server for names,\n"
            "with 'completion names': KIND is producers, topics or subscriptions. What has come after half a "
            "second is printed.",
    .examples = examples,
    .example_count = sizeof(examples) / sizeof(examples[0]),
    .run = run,
};
