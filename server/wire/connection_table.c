/* connection_table.c - an array by descriptor, under one lock. */
#include "server/wire/connection_table.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/counters.h"
#include "server/wire/address.h"

struct connection_entry {
    ino_t inode; /* all sockets live in one file system, so the inode alone identifies a socket */
    char peer[ADDRESS_CAPACITY];
};

struct connection_table {
    pthread_mutex_t lock;
    struct connection_entry **by_fd; /* an element is NULL where there is no entry */
    size_t capacity;
    uint32_t entries;
};

static bool is_live(const struct connection_entry *entry, int fd)
{
    struct stat now;

    return fstat(fd, &now) == 0 && S_ISSOCK(now.st_mode) && now.st_ino == entry->inode;
}

/* Removes an entry. Under the lock, as the two functions below. */
static void remove_entry(struct connection_table *table, size_t number)
{
    free(table->by_fd[number]);
    table->by_fd[number] = NULL;
    table->entries--;
    count_add(COUNT_LIVE_CONNECTIONS, -1);
}

static bool grow(struct connection_table *table, size_t number)
{
    size_t capacity = MAX_OF(number + 1, MAX_OF(64u, table->capacity * 2));
    struct connection_entry **by_fd = reallocarray(table->by_fd, capacity, sizeof(struct connection_entry *));

    if (!by_fd)
        return false;
    memset(by_fd + table->capacity, 0, (capacity - table->capacity) * sizeof(struct connection_entry *));
    table->by_fd = by_fd;
    table->capacity = capacity;
    return true;
}

static bool put_entry(struct connection_table *table, size_t number, struct connection_entry *entry)
{
    if (number >= table->capacity && !grow(table, number))
        return false;
    if (table->by_fd[number])
        remove_entry(table, number);
    table->by_fd[number] = entry;
    table->entries++;
    count_add(COUNT_LIVE_CONNECTIONS, 1);
    return true;
}

struct connection_table *connection_table_new(void)
{
    struct connection_table *table = calloc(1, sizeof(*table));

    if (table)
        pthread_mutex_init(&table->lock, NULL);
    return table;
}

void connection_table_free(struct connection_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->by_fd[i])
            remove_entry(table, i);
    }
    free(table->by_fd);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

bool connection_table_add(struct connection_table *table, int fd, const char *peer)
{
    struct connection_entry *entry = calloc(1, sizeof(*entry));
    struct stat about;
    bool added;

    if (!entry || fstat(fd, &about) != 0) {
        free(entry);
        return false;
    }
    entry->inode = about.st_ino;
    snprintf(entry->peer, sizeof(entry->peer), "%s", peer);
    pthread_mutex_lock(&table->lock);
    added = put_entry(table, (size_t)fd, entry);
    pthread_mutex_unlock(&table->lock);
    if (!added)
        free(entry);
    return added;
}

uint32_t connection_table_size(struct connection_table *table)
{
    uint32_t entries;

    pthread_mutex_lock(&table->lock);
    entries = table->entries;
    pthread_mutex_unlock(&table->lock);
    return entries;
}

uint32_t connection_table_recount(struct connection_table *table)
{
    uint32_t entries;

    pthread_mutex_lock(&table->lock);
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->by_fd[i] && !is_live(table->by_fd[i], (int)i))
            remove_entry(table, i);
    }
    entries = table->entries;
    pthread_mutex_unlock(&table->lock);
    return entries;
}

void connection_table_shutdown_all(struct connection_table *table)
{
    pthread_mutex_lock(&table->lock);
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->by_fd[i] && is_live(table->by_fd[i], (int)i))
            shutdown((int)i, SHUT_RDWR);
    }
    pthread_mutex_unlock(&table->lock);
}

void connection_table_peer(struct connection_table *table, int fd, char *text, size_t capacity)
{
    const struct connection_entry *entry = NULL;

    pthread_mutex_lock(&table->lock);
    if (fd >= 0 && (size_t)fd < table->capacity)
        entry = table->by_fd[fd];
    snprintf(text, capacity, "%s", entry && is_live(entry, fd) ? entry->peer : "unknown");
    pthread_mutex_unlock(&table->lock);
}
