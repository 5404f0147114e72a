/* fake_resolver.c - a library for LD_PRELOAD: the names in the file $FAKE_HOSTS have the addresses
 * that stand there. It is read at each call. A line is
 *
 *   NAME ADDRESS...   the answer, in this order; may be none
 *   NAME !fail N      getaddrinfo() returns N
 *   NAME !hang        it does not return, until the line changes
 *
 * Other names are the real resolver's. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANG_STEP_US 20000

typedef int getaddrinfo_function(const char *node, const char *service, const struct addrinfo *hints,
                                 struct addrinfo **infos);

static getaddrinfo_function *real(void)
{
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    getaddrinfo_function *function;

    memcpy(&function, &symbol, sizeof(function));
    return function;
}

/* The rest of the name's line. NULL: there is none. The caller frees it. */
static char *read_line(const char *node)
{
    const char *path = getenv("FAKE_HOSTS");
    FILE *file = path && node ? fopen(path, "re") : NULL;
    char *line = NULL, *rest = NULL;
    size_t capacity = 0;

    while (file && !rest && getline(&line, &capacity, file) > 0) {
        const size_t size = strcspn(line, " \n");

        if (strlen(node) == size && strncmp(line, node, size) == 0)
            rest = strdup(line + size);
    }
    free(line);
    if (file)
        fclose(file);
    return rest;
}

static int resolve(char *line, const char *service, const struct addrinfo *hints, struct addrinfo **infos)
{
    struct addrinfo numeric = hints ? *hints : (struct addrinfo){.ai_family = AF_UNSPEC};
    struct addrinfo **end = infos;
    char *state = NULL;

    numeric.ai_flags |= AI_NUMERICHOST;
    *infos = NULL;
    for (char *word = strtok_r(line, " \n", &state); word; word = strtok_r(NULL, " \n", &state)) {
        if (strcmp(word, "!fail") == 0)
            return atoi(strtok_r(NULL, " \n", &state));
        if (real()(word, service, &numeric, end) != 0)
            return EAI_FAIL;
        while (*end)
            end = &(*end)->ai_next;
    }
    return 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **infos)
{
    char *line = read_line(node);

    while (line && strstr(line, "!hang")) {
        free(line);
        usleep(HANG_STEP_US);
        line = read_line(node);
    }
    if (!line)
        return real()(node, service, hints, infos);
    const int result = resolve(line, service, hints, infos);
    free(line);
    return result;
}
