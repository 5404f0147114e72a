/* seats.c - the table behind seats.h: an array by descriptor, under one lock. */
#include "server/wire/connection_table.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/counters.h"
#include "server/wire/address.h"

struct connection_slot {
    ino_t inode; /* all sockets live in one file system, so the number alone tells them apart */
    char peer[ADDRESS_CAPACITY];
};

struct connection_table {
    pthread_mutex_t lock;
    struct connection_slot **by_fd; /* NULL: empty */
    size_t capacity;
    uint32_t taken;
};

static bool lives(const struct connection_slot *slot, int fd)
{
    struct stat now;

    return fstat(fd, &now) == 0 && S_ISSOCK(now.st_mode) && now.st_ino == slot->inode;
}

/* Under lock, as all below it. */
static void clear(struct connection_table *table, size_t number)
{
    free(table->by_fd[number]);
    table->by_fd[number] = NULL;
    table->taken--;
    count_add(COUNT_LIVE_CONNECTIONS, -1);
}

static bool grow(struct connection_table *table, size_t number)
{
    size_t capacity = MAX_OF(number + 1, MAX_OF(64u, table->capacity * 2));
    struct connection_slot **by_fd = reallocarray(table->by_fd, capacity, sizeof(struct connection_slot *));

    if (by_fd == NULL)
        return false;
    memset(by_fd + table->capacity, 0, (capacity - table->capacity) * sizeof(struct connection_slot *));
    table->by_fd = by_fd;
    table->capacity = capacity;
    return true;
}

static bool put(struct connection_table *table, size_t number, struct connection_slot *slot)
{
    if (number >= table->capacity && !grow(table, number))
        return false;
    if (table->by_fd[number] != NULL)
        clear(table, number);
    table->by_fd[number] = slot;
    table->taken++;
    count_add(COUNT_LIVE_CONNECTIONS, 1);
    return true;
}

struct connection_table *connection_table_new(void)
{
    struct connection_table *table = calloc(1, sizeof(*table));

    if (table != NULL)
        pthread_mutex_init(&table->lock, NULL);
    return table;
}

void connection_table_free(struct connection_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->by_fd[i] != NULL)
            clear(table, i);
    }
    free(table->by_fd);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

bool connection_table_add(struct connection_table *table, int fd, const char *peer)
{
    struct connection_slot *slot = calloc(1, sizeof(*slot));
    struct stat about;
    bool taken;

    if (slot == NULL || fstat(fd, &about) != 0) {
        free(slot);
        return false;
    }
    slot->inode = about.st_ino;
    snprintf(slot->peer, sizeof(slot->peer), "%s", peer);
    pthread_mutex_lock(&table->lock);
    taken = put(table, (size_t)fd, slot);
    pthread_mutex_unlock(&table->lock);
    if (!taken)
        free(slot);
    return taken;
}

uint32_t connection_table_upper_bound(struct connection_table *table)
{
    uint32_t taken;

    pthread_mutex_lock(&table->lock);
    taken = table->taken;
    pthread_mutex_unlock(&table->lock);
    return taken;
}

uint32_t connection_table_count(struct connection_table *table)
{
    uint32_t taken;

    pthread_mutex_lock(&table->lock);
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->by_fd[i] != NULL && !lives(table->by_fd[i], (int)i))
            clear(table, i);
    }
    taken = table->taken;
    pthread_mutex_unlock(&table->lock);
    return taken;
}

void connection_table_shutdown(struct connection_table *table)
{
    pthread_mutex_lock(&table->lock);
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->by_fd[i] != NULL && lives(table->by_fd[i], (int)i))
            shutdown((int)i, SHUT_RDWR);
    }
    pthread_mutex_unlock(&table->lock);
}

void connection_table_peer(struct connection_table *table, int fd, char *text, size_t capacity)
{
    const struct connection_slot *slot = NULL;

    pthread_mutex_lock(&table->lock);
    if (fd >= 0 && (size_t)fd < table->capacity)
        slot = table->by_fd[fd];
    snprintf(text, capacity, "%s", slot != NULL && lives(slot, fd) ? slot->peer : "unknown");
    pthread_mutex_unlock(&table->lock);
}
