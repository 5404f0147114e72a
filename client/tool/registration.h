/* registration.h - the options with which `pub --name` and `serve` register a session. Main thread.
 */
#ifndef TRIBUTARY_TOOL_REGISTRATION_H
#define TRIBUTARY_TOOL_REGISTRATION_H

#include "tributary/tributary.h"
#include "client/tool/option.h"

#define MAX_PAIRS 64u

/* The values of the options. */
struct registration_params {
    const char *name;
    struct text_list labels;
    unsigned on_duplicate, handover; /* REGISTRATION_DEFAULT: not given */
};
#define REGISTRATION_DEFAULT UINT32_MAX

/* Rows for a verb's table of options. `base` is the offset of a struct registration_params in its
 * settings. */
#define REGISTRATION_OPTIONS(base)                                                                           \
    {0,                                                                                                      \
     "label",                                                                                                \
     OPTION_LIST,                                                                                            \
     "NAME=VALUE",                                                                                           \
     (base) + offsetof(struct registration_params, labels),                                                  \
     "a label of the session, which selectors may ask for; may be repeated"},                                \
        {0,                                                                                                  \
         "on-duplicate",                                                                                     \
         OPTION_CHOICE,                                                                                      \
         "replace|reject",                                                                                   \
         (base) + offsetof(struct registration_params, on_duplicate),                                        \
         "where a session has the name: take it, or fail (default: replace)"},                               \
    {                                                                                                        \
        0, "handover", OPTION_CHOICE, "stop-first|start-first",                                              \
            (base) + offsetof(struct registration_params, handover),                                         \
            "when replacing: whether the older session ends before this one starts (default: stop-first)"    \
    }

/* Splits texts of the form NAME=VALUE. The pairs point into the list. False: *wrong_out is the text
 * that has another form, or says that there are too many. */
bool pairs_read(const struct text_list *list, struct tributary_header pairs[MAX_PAIRS], size_t *count_out,
                const char **wrong_out);

/* Fills in name, labels and the two choices. `options` points into `labels` and `params`. Returns
 * EXITS_OK, or EXITS_USAGE after cli_wrong(). */
int registration_fill(const struct verb *verb, const struct registration_params *params,
                      struct tributary_header labels[MAX_PAIRS], struct tributary_session_options *options);

#endif
