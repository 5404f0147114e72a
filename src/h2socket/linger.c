/* linger.c - see linger.h. */
#include "h2socket/linger.h"

#include <pthread.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "h2socket/h2socket.h"
#include "h2socket/libc_calls.h"

/* A ring, in the order in which they came, which is that of their times. */
static struct {
    pthread_mutex_t lock;
    struct lingering {
        int fd;
        int64_t until_ns;
    } of[MAX_LINGERING];
    unsigned first, count;
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Under the lock. */
static void close_first(void)
{
    (void)libc_close(ring.of[ring.first].fd);
    ring.first = (ring.first + 1) % MAX_LINGERING;
    ring.count--;
}

void linger_add(int fd, int64_t now_ns)
{
    const int least_memory = 1; /* the kernel rounds it up */

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least_memory, sizeof(least_memory));
    pthread_mutex_lock(&ring.lock);
    if (ring.count == MAX_LINGERING)
        close_first();
    ring.of[(ring.first + ring.count) % MAX_LINGERING] =
        (struct lingering){.fd = fd, .until_ns = clock_add_ns(now_ns, LINGER_NS)};
    ring.count++;
    pthread_mutex_unlock(&ring.lock);
}

void linger_close(int64_t now_ns)
{
    pthread_mutex_lock(&ring.lock);
    while (ring.count > 0 && ring.of[ring.first].until_ns <= now_ns)
        close_first();
    pthread_mutex_unlock(&ring.lock);
}

bool linger_is_used(void)
{
    pthread_mutex_lock(&ring.lock);
    bool is_used = ring.count > 0;
    pthread_mutex_unlock(&ring.lock);
    return is_used;
}
