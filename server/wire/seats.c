/* seats.c - the table behind seats.h: an array by descriptor, under one lock. */
#include "server/wire/seats.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/counters.h"
#include "server/wire/address.h"

struct seat {
    ino_t inode; /* all sockets live in one file system, so the number alone tells them apart */
    char peer[ADDRESS_ROOM];
};

struct seats {
    pthread_mutex_t lock;
    struct seat **by_fd; /* NULL: empty */
    size_t room;
    uint32_t taken;
};

static bool lives(const struct seat *seat, int fd)
{
    struct stat now;

    return fstat(fd, &now) == 0 && S_ISSOCK(now.st_mode) && now.st_ino == seat->inode;
}

/* Under lock, as all below it. */
static void clear(struct seats *seats, size_t number)
{
    free(seats->by_fd[number]);
    seats->by_fd[number] = NULL;
    seats->taken--;
    count_add(COUNT_LIVE_CONNECTIONS, -1);
}

static bool grow(struct seats *seats, size_t number)
{
    size_t room = MAX_OF(number + 1, MAX_OF(64u, seats->room * 2));
    struct seat **by_fd = reallocarray(seats->by_fd, room, sizeof(struct seat *));

    if (by_fd == NULL)
        return false;
    memset(by_fd + seats->room, 0, (room - seats->room) * sizeof(struct seat *));
    seats->by_fd = by_fd;
    seats->room = room;
    return true;
}

static bool put(struct seats *seats, size_t number, struct seat *seat)
{
    if (number >= seats->room && !grow(seats, number))
        return false;
    if (seats->by_fd[number] != NULL)
        clear(seats, number);
    seats->by_fd[number] = seat;
    seats->taken++;
    count_add(COUNT_LIVE_CONNECTIONS, 1);
    return true;
}

struct seats *seats_new(void)
{
    struct seats *seats = calloc(1, sizeof(*seats));

    if (seats != NULL)
        pthread_mutex_init(&seats->lock, NULL);
    return seats;
}

void seats_free(struct seats *seats)
{
    if (seats == NULL)
        return;
    for (size_t i = 0; i < seats->room; i++) {
        if (seats->by_fd[i] != NULL)
            clear(seats, i);
    }
    free(seats->by_fd);
    pthread_mutex_destroy(&seats->lock);
    free(seats);
}

bool seats_take(struct seats *seats, int fd, const char *peer)
{
    struct seat *seat = calloc(1, sizeof(*seat));
    struct stat about;
    bool taken;

    if (seat == NULL || fstat(fd, &about) != 0) {
        free(seat);
        return false;
    }
    seat->inode = about.st_ino;
    snprintf(seat->peer, sizeof(seat->peer), "%s", peer);
    pthread_mutex_lock(&seats->lock);
    taken = put(seats, (size_t)fd, seat);
    pthread_mutex_unlock(&seats->lock);
    if (!taken)
        free(seat);
    return taken;
}

uint32_t seats_known(struct seats *seats)
{
    uint32_t taken;

    pthread_mutex_lock(&seats->lock);
    taken = seats->taken;
    pthread_mutex_unlock(&seats->lock);
    return taken;
}

uint32_t seats_count(struct seats *seats)
{
    uint32_t taken;

    pthread_mutex_lock(&seats->lock);
    for (size_t i = 0; i < seats->room; i++) {
        if (seats->by_fd[i] != NULL && !lives(seats->by_fd[i], (int)i))
            clear(seats, i);
    }
    taken = seats->taken;
    pthread_mutex_unlock(&seats->lock);
    return taken;
}

void seats_cut(struct seats *seats)
{
    pthread_mutex_lock(&seats->lock);
    for (size_t i = 0; i < seats->room; i++) {
        if (seats->by_fd[i] != NULL && lives(seats->by_fd[i], (int)i))
            shutdown((int)i, SHUT_RDWR);
    }
    pthread_mutex_unlock(&seats->lock);
}

void seats_peer(struct seats *seats, int fd, char *text, size_t room)
{
    const struct seat *seat = NULL;

    pthread_mutex_lock(&seats->lock);
    if (fd >= 0 && (size_t)fd < seats->room)
        seat = seats->by_fd[fd];
    snprintf(text, room, "%s", seat != NULL && lives(seat, fd) ? seat->peer : "unknown");
    pthread_mutex_unlock(&seats->lock);
}
