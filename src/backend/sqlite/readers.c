/* readers.c - the threads that read, and their gate. */
#include "backend/sqlite/readers.h"

#include "base/threads.h"

void readers_init(struct readers *readers, const char *path)
{
    *readers = (struct readers){.path = path};
    CHECK(pthread_mutex_init(&readers->lock, NULL) == 0);
    cond_init(&readers->changed);
    list_init(&readers->waiting);
}

void readers_fini(struct readers *readers)
{
    CHECK(readers->thread_count == 0 && list_empty(&readers->waiting));
    pthread_cond_destroy(&readers->changed);
    pthread_mutex_destroy(&readers->lock);
}

/* ---- a thread ---- */

/* Under the lock: waits for a step, and goes in. NULL: the end. */
static struct topic_read *next_step(struct readers *readers)
{
    readers->idle++;
    while (!readers->closing && (list_empty(&readers->waiting) || readers->is_closed))
        pthread_cond_wait(&readers->changed, &readers->lock);
    readers->idle--;
    struct list *first = readers->closing ? NULL : list_first(&readers->waiting);
    if (!first)
        return NULL;
    list_remove(first);
    readers->inside++;
    return container_of(first, struct topic_read, node);
}

static void *reader_thread(void *ctx)
{
    struct readers *readers = ctx;
    struct read_connection connection = {.handle = NULL};
    struct topic_read *read;

    pthread_mutex_lock(&readers->lock);
    while ((read = next_step(readers))) {
        pthread_mutex_unlock(&readers->lock);
        if (connection.handle || read_connection_open(&connection, readers->path))
            log_read(&connection, read);
        else
            read->outcome = TOPIC_FAILED;
        pthread_mutex_lock(&readers->lock);
        readers->inside--;
        pthread_cond_broadcast(&readers->changed);
        pthread_mutex_unlock(&readers->lock);
        read->done(read);
        pthread_mutex_lock(&readers->lock);
    }
    pthread_mutex_unlock(&readers->lock);
    read_connection_close(&connection);
    return NULL;
}

/* ---- steps ---- */

/* Under the lock: a step waits. Returns whether there is a thread for it. */
static bool start_thread(struct readers *readers)
{
    if (readers->idle == 0 && readers->thread_count < MAX_READERS &&
        thread_start(&readers->threads[readers->thread_count], reader_thread, readers, "store-read") == 0)
        readers->thread_count++;
    return readers->thread_count > 0;
}

void readers_submit(struct readers *readers, struct topic_read *read)
{
    enum topic_outcome refused = TOPIC_DONE;

    pthread_mutex_lock(&readers->lock);
    if (readers->closing)
        refused = TOPIC_CLOSED;
    else if (!start_thread(readers))
        refused = TOPIC_NO_MEMORY;
    if (refused == TOPIC_DONE) {
        list_append(&readers->waiting, &read->node);
        pthread_cond_broadcast(&readers->changed);
    }
    pthread_mutex_unlock(&readers->lock);
    if (refused == TOPIC_DONE)
        return;
    read->outcome = refused;
    read->count = 0;
    read->done(read);
}

/* ---- the gate ---- */

bool readers_exist(struct readers *readers)
{
    pthread_mutex_lock(&readers->lock);
    const bool exist = readers->thread_count > 0;
    pthread_mutex_unlock(&readers->lock);
    return exist;
}

void readers_keep_out(struct readers *readers)
{
    pthread_mutex_lock(&readers->lock);
    readers->is_closed = true;
    while (readers->inside > 0)
        pthread_cond_wait(&readers->changed, &readers->lock);
    pthread_mutex_unlock(&readers->lock);
}

void readers_let_in(struct readers *readers)
{
    pthread_mutex_lock(&readers->lock);
    readers->is_closed = false;
    pthread_cond_broadcast(&readers->changed);
    pthread_mutex_unlock(&readers->lock);
}

void readers_stop(struct readers *readers)
{
    pthread_mutex_lock(&readers->lock);
    readers->closing = true;
    pthread_cond_broadcast(&readers->changed);
    pthread_mutex_unlock(&readers->lock);
    for (unsigned i = 0; i < readers->thread_count; i++)
        CHECK(pthread_join(readers->threads[i], NULL) == 0);
    readers->thread_count = 0;
    list_each(node, safe, &readers->waiting) {
        struct topic_read *read = container_of(node, struct topic_read, node);

        list_remove(node);
        read->outcome = TOPIC_CLOSED;
        read->count = 0;
        read->done(read);
    }
}
