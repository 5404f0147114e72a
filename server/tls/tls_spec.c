/* tls_spec.c - see tls_spec.h. */
#include "server/tls/tls_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
#define MAX_SERVER_NAME_BYTES 253u

#define WRONG(...) (snprintf(fault, TLS_SPEC_FAULT_CAPACITY, __VA_ARGS__), false)

static const struct {
    const char *key;
    size_t offset;
} keys[] = {{"ca", offsetof(struct tls_spec, roots_file)},
            {"cert", offsetof(struct tls_spec, chain_file)},
            {"key", offsetof(struct tls_spec, key_file)},
            {"server-name", offsetof(struct tls_spec, server_name)}};

static bool read_part(char *part, struct tls_spec *spec, char fault[TLS_SPEC_FAULT_CAPACITY])
{
    char *value = strchr(part, '=');

    if (value)
        *value++ = '\0';
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char **field = (const char **)(void *)((char *)spec + keys[i].offset);

        if (strcmp(part, keys[i].key) != 0)
            continue;
        if (*field)
            return WRONG("'%s' must be given once", part);
        if (!value || *value == '\0')
            return WRONG("'%s' needs a value: %s=VALUE", part, part);
        *field = value;
        return true;
    }
    return WRONG("'%.60s' is none of ca=FILE, cert=FILE, key=FILE, server-name=HOST", part);
}

static bool check(const struct tls_spec *spec, char fault[TLS_SPEC_FAULT_CAPACITY])
{
    const size_t size = strlen(spec->name);

    if (size == 0 || size > MAX_TLS_NAME_BYTES || strspn(spec->name, NAME_LETTERS) != size)
        return WRONG("a name has 1 to %u letters of a-z, A-Z, 0-9, '-', '_', '.'", MAX_TLS_NAME_BYTES);
    if (strcmp(spec->name, TLS_SYSTEM) == 0)
        return WRONG("the setting '" TLS_SYSTEM "' is there already, and cannot be changed");
    if (!spec->chain_file != !spec->key_file)
        return WRONG("cert and key must be given together");
    if (spec->server_name && (strlen(spec->server_name) > MAX_SERVER_NAME_BYTES ||
                              strspn(spec->server_name, NAME_LETTERS) != strlen(spec->server_name)))
        return WRONG("server-name is a host name of 1 to %u bytes", MAX_SERVER_NAME_BYTES);
    return true;
}

/* The next part, up to a comma. One that is written twice is part of it. NULL: there is none. */
static char *next_part(char **rest)
{
    char *const part = *rest;
    char *from = part, *to = part;

    if (!part)
        return NULL;
    for (; *from != '\0' && (*from != ',' || from[1] == ','); from++) {
        if (*from == ',')
            from++;
        *to++ = *from;
    }
    *rest = *from == ',' ? from + 1 : NULL;
    *to = '\0';
    return part;
}

bool tls_spec_read(const char *text, struct tls_spec *spec_out, char fault[TLS_SPEC_FAULT_CAPACITY])
{
    struct tls_spec spec = {.text = strdup(text)};
    bool is_good = spec.text || WRONG("no memory");

    if (is_good) {
        char *parts = strchr(spec.text, ':'), *part;

        if (parts)
            *parts++ = '\0';
        spec.name = spec.text;
        while (is_good && (part = next_part(&parts)))
            is_good = read_part(part, &spec, fault);
        is_good = is_good && check(&spec, fault);
    }
    if (is_good)
        *spec_out = spec;
    else
        tls_spec_fini(&spec);
    return is_good;
}

void tls_spec_fini(struct tls_spec *spec)
{
    free(spec->text);
}
