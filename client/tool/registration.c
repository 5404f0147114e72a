/* registration.c - fills in the options of a session from a command line. */
#include "client/tool/registration.h"

#include <string.h>

#include "client/tool/exits.h"
#include "client/tool/cli.h"

bool pairs_read(const struct text_list *list, struct tributary_header pairs[MAX_PAIRS], size_t *count_out,
                const char **wrong_out)
{
    *wrong_out = "over 64 of them";
    if (list->count > MAX_PAIRS)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i];
        const size_t size = strcspn(text, "=");

        *wrong_out = text;
        if (size == 0 || text[size] == '\0')
            return false;
        pairs[i] = (struct tributary_header){{text, size}, tributary_text(text + size + 1)};
    }
    *count_out = list->count;
    return true;
}

int registration_fill(const struct verb *verb, const struct registration_params *params,
                      struct tributary_header labels[MAX_PAIRS], struct tributary_session_options *options)
{
    const char *wrong = NULL;

    if (!pairs_read(&params->labels, labels, &options->label_count, &wrong))
        return cli_wrong(verb, "--label: '%s' is not NAME=VALUE", wrong);
    options->name = params->name;
    options->labels = labels;
    options->on_duplicate = (enum tributary_on_duplicate)(
        params->on_duplicate == REGISTRATION_DEFAULT ? 0 : params->on_duplicate + 1);
    options->handover =
        (enum tributary_handover)(params->handover == REGISTRATION_DEFAULT ? 0 : params->handover + 1);
    return EXITS_OK;
}
