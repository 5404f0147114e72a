/* read_turns.c - see read_turns.h.
 *
 * A turn is given by the thread that has just ended another one, or by the loop. Only one thread
 * gives turns at a time: a backend that answers at once cannot make it call itself. */
#include "topic/read_turns.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/budget.h"
#include "loop/loop.h"

/* What a turn keeps of its memory for the next one. */
#define KEPT_BYTES (2u << 20)

struct turn {
    struct topic_read read;
    struct read_turns *turns;
    struct turn_wait *wait;
    struct turn *next; /* in turns->free */
};

struct read_turns {
    _Atomic uint32_t refs;
    struct loop *loop;
    struct topic_port port;
    struct task task;

    pthread_mutex_t lock;
    struct peer_queue waiting;
    struct turn *free;
    bool is_giving, is_posted;
    struct turn turns[READ_TURNS];
};

struct read_turns *read_turns_retain(struct read_turns *turns)
{
    (void)atomic_fetch_add_explicit(&turns->refs, 1, memory_order_relaxed);
    return turns;
}

void read_turns_release(struct read_turns *turns)
{
    if (!turns || atomic_fetch_sub_explicit(&turns->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (unsigned i = 0; i < READ_TURNS; i++)
        buf_fini(&turns->turns[i].read.data);
    peer_queue_fini(&turns->waiting);
    pthread_mutex_destroy(&turns->lock);
    free(turns);
}

static void give_turns(struct read_turns *turns);

/* Under the lock. */
static void put_back(struct turn *turn)
{
    turn->next = turn->turns->free;
    turn->turns->free = turn;
}

/* The backend's thread. */
static void on_done(struct topic_read *read)
{
    struct turn *turn = container_of(read, struct turn, read);
    struct read_turns *turns = turn->turns;

    turn->wait->done(turn->wait, read);
    buf_rest(&read->data, KEPT_BYTES);
    pthread_mutex_lock(&turns->lock);
    put_back(turn);
    pthread_mutex_unlock(&turns->lock);
    give_turns(turns);
    read_turns_release(turns);
}

/* Under the lock. Whose turn it is; NULL: nobody waits, or all turns are given. */
static struct turn *next_turn(struct read_turns *turns)
{
    struct peer_entry *first = turns->free ? peer_queue_first(&turns->waiting) : NULL;
    struct turn *turn = turns->free;

    if (!first)
        return NULL;
    peer_queue_serve(&turns->waiting, first);
    turns->free = turn->next;
    turn->wait = container_of(first, struct turn_wait, entry);
    return turn;
}

/* Whether the backend has it. */
static bool give(struct turn *turn)
{
    struct read_turns *turns = turn->turns;

    turn->read.done = on_done;
    if (!turn->wait->fill(turn->wait, &turn->read))
        return false;
    (void)read_turns_retain(turns);
    turns->port.read(turns->port.ctx, &turn->read);
    return true;
}

static void give_turns(struct read_turns *turns)
{
    struct turn *turn;

    pthread_mutex_lock(&turns->lock);
    if (turns->is_giving) {
        pthread_mutex_unlock(&turns->lock);
        return;
    }
    turns->is_giving = true;
    while ((turn = next_turn(turns))) {
        pthread_mutex_unlock(&turns->lock);
        const bool given = give(turn);
        pthread_mutex_lock(&turns->lock);
        if (!given)
            put_back(turn);
    }
    turns->is_giving = false;
    pthread_mutex_unlock(&turns->lock);
}

static void run(struct task *task)
{
    struct read_turns *turns = container_of(task, struct read_turns, task);

    pthread_mutex_lock(&turns->lock);
    turns->is_posted = false;
    pthread_mutex_unlock(&turns->lock);
    give_turns(turns);
    read_turns_release(turns);
}

struct read_turns *read_turns_new(struct loop *loop, const struct topic_port *port)
{
    struct read_turns *turns = calloc(1, sizeof(*turns));

    if (!turns)
        return NULL;
    atomic_init(&turns->refs, 1);
    turns->loop = loop;
    turns->port = *port;
    turns->task.run = run;
    CHECK(pthread_mutex_init(&turns->lock, NULL) == 0);
    peer_queue_init(&turns->waiting);
    for (unsigned i = 0; i < READ_TURNS; i++) {
        turns->turns[i].turns = turns;
        put_back(&turns->turns[i]);
    }
    return turns;
}

void read_turns_add(struct read_turns *turns, struct turn_wait *wait)
{
    bool posts;

    pthread_mutex_lock(&turns->lock);
    peer_queue_add(&turns->waiting, &wait->entry);
    posts = turns->free && !turns->is_giving && !turns->is_posted;
    turns->is_posted |= posts;
    pthread_mutex_unlock(&turns->lock);
    if (!posts)
        return;
    (void)read_turns_retain(turns);
    loop_post(turns->loop, &turns->task);
}

bool read_turns_remove(struct read_turns *turns, struct turn_wait *wait)
{
    bool waited;

    pthread_mutex_lock(&turns->lock);
    waited = peer_entry_waits(&wait->entry);
    peer_queue_remove(&turns->waiting, &wait->entry);
    pthread_mutex_unlock(&turns->lock);
    return waited;
}
