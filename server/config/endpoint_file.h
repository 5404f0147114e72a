/* endpoint_file.h - what a file in a folder of --endpoints-dir defines.
 *
 * A mapping is one endpoint: its keys are the fields of Endpoint. Without `name` it is called as
 * the file, less its extension. A list is Prometheus' file_sd: each item has `targets` and maybe
 * `labels`. Each target is an endpoint NAME@TARGET, NAME as above; the rest of it comes from the
 * folder's template.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_CONFIG_ENDPOINT_FILE_H
#define TRIBUTARY_SERVER_CONFIG_ENDPOINT_FILE_H

#include "server/config/tree.h"

/* What all files of all folders may define together. A template may make many large definitions of
 * a short list. */
#define MAX_FILE_PRODUCERS 10000u
#define MAX_DEFINITION_BYTES ((size_t)32 << 20)

/* What files define: so many producers, with so many bytes of definitions. */
struct file_total {
    size_t producers, bytes;
};

struct file_definition {
    char *name;           /* of the endpoint, with a closing NUL */
    struct bytes message; /* an encoded Endpoint, checked; behind the name */
    unsigned line;
};

struct endpoint_file {
    struct file_definition *definitions;
    size_t count, capacity;
    size_t bytes; /* of all definitions */
    struct tree_fault fault;
};

/* The folder's template. */
struct file_template {
    const struct node *map; /* NULL: there is none */
    bool is_bad;            /* there is one, and it cannot be read */
};

/* Whether the name has the extension of a file that is read: .json, .yml or .yaml, and does not
 * begin with a dot. */
bool endpoint_file_is_one(const char *name);
/* Whether it is the folder's template: template.json, template.yml or template.yaml. */
bool endpoint_file_is_template(const char *name);

/* Reads the text of a file by its extension, without a mark of UTF-8 (BOM) at its beginning. False:
 * tree->fault says why. tree_fini() must follow in both cases. */
MUST_CHECK bool endpoint_file_parse(const char *name, struct bytes text, struct tree *tree);

/* The same for a template. */
MUST_CHECK bool endpoint_file_parse_template(const char *name, struct bytes text, struct tree *tree);

/* Reads the text of a file into a zeroed struct. `others`: what all other files define. False:
 * file->fault says why, and there are no definitions. endpoint_file_fini() must follow in both
 * cases. */
MUST_CHECK bool endpoint_file_read(const char *name, struct bytes text, const struct file_template *with,
                                   const struct file_total *others, struct endpoint_file *file);
void endpoint_file_fini(struct endpoint_file *file);

#endif
