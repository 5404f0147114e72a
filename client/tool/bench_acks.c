/* bench_acks.c - see bench_acks.h. */
#include "client/tool/bench_acks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

bool bench_acks_init(struct bench_acks *acks, uint32_t window)
{
    acks->size = 2 * (size_t)window + 1;
    acks->due_ns = calloc(acks->size, sizeof(*acks->due_ns));
    return !!acks->due_ns;
}

void bench_acks_fini(struct bench_acks *acks)
{
    free(acks->due_ns);
    acks->due_ns = NULL;
}

void bench_acks_confirmed(struct bench_acks *acks, const struct tributary_confirmed *confirmed)
{
    const int64_t now_ns = clock_mono_ns();

    if (!acks->due_ns)
        return;
    for (uint64_t i = confirmed->first_event - 1; i < confirmed->last_event; i++)
        histogram_add(&acks->latency, now_ns - acks->due_ns[i % acks->size]);
}

static bool is_server(uint32_t pid)
{
    char path[64];
    char name[32] = "";

    snprintf(path, sizeof(path), "/proc/%u/comm", pid);
    FILE *file = fopen(path, "re");

    if (!file)
        return false;
    if (!fgets(name, sizeof(name), file))
        name[0] = '\0';
    fclose(file);
    return strcmp(name, "tributaryd\n") == 0;
}

int64_t bench_server_cpu_ns(uint32_t pid)
{
    char path[64];
    char text[1024] = "";
    unsigned long user = 0;
    unsigned long system = 0;

    if (pid == 0 || !is_server(pid))
        return -1;
    snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    FILE *file = fopen(path, "re");

    if (!file)
        return -1;
    if (!fgets(text, sizeof(text), file))
        text[0] = '\0';
    fclose(file);

    const char *after = strrchr(text, ')'); /* the name may hold spaces */

    if (!after ||
        sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return -1;
    return (int64_t)(user + system) * (NS_PER_S / sysconf(_SC_CLK_TCK));
}

static void on_info(void *ctx, const struct tributary_info *info)
{
    *(uint32_t *)ctx = info->pid;
}

uint32_t bench_server_pid(struct tributary *client)
{
    uint32_t pid = 0;

    if (tributary_info(client, 5 * NS_PER_S, on_info, &pid, NULL) != TRIBUTARY_OK)
        return 0;
    return pid;
}
