/* heavy_queue.c - see heavy_queue.h.
 *
 * DESIGN. Two levels of one kind of line: peers, and the connections of each peer. A line may use
 * time while its credit is above 0. When its turn comes it gets credit for a turn, and goes to the
 * end when it has used it. A line without work stays while it has used too much, and is freed when
 * it has made up for it. When nothing waits, all of them are freed: nobody is there to whom
 * something would be owed. */
#include "server/wire/heavy_queue.h"

#include <stdlib.h>

#include "base/clock.h"

struct line_key {
    struct peer_key peer;
    uint64_t is_connection;
    uint64_t connection;
};

struct heavy_line {
    struct map_node node;
    struct line_key key;
    struct heavy_line *peer; /* of a connection; NULL: it is a peer's */
    struct list link;        /* in queue->peers, or in the peer's `waiting` */
    struct list waiting;     /* of a peer: lines; of a connection: work */
    uint64_t count;          /* work that waits in it */
    int64_t credit_ns;
};

void heavy_queue_init(struct heavy_queue *queue)
{
    map_init(&queue->lines);
    list_init(&queue->peers);
    queue->count = 0;
}

static void free_all(struct heavy_queue *queue)
{
    CHECK(queue->count == 0);
    map_each(node, following, &queue->lines) free(container_of(node, struct heavy_line, node));
    map_fini(&queue->lines);
    heavy_queue_init(queue);
}

void heavy_queue_fini(struct heavy_queue *queue)
{
    free_all(queue);
}

/* The line with this key. Where there is none, a new one at the end of `lines`. NULL: out of
 * memory. */
static struct heavy_line *line_of(struct heavy_queue *queue, const struct line_key *key,
                                  struct heavy_line *peer, struct list *lines)
{
    struct map_node *node = map_find(&queue->lines, (struct bytes){(const uint8_t *)key, sizeof(*key)});
    struct heavy_line *line = node ? container_of(node, struct heavy_line, node) : NULL;

    if (line)
        return line;
    line = calloc(1, sizeof(*line));
    if (!line)
        return NULL;
    line->key = *key;
    line->node.key = (struct bytes){(const uint8_t *)&line->key, sizeof(line->key)};
    line->peer = peer;
    list_init(&line->waiting);
    if (map_add(&queue->lines, &line->node) != ERR_OK) {
        free(line);
        return NULL;
    }
    list_append(lines, &line->link);
    return line;
}

enum err heavy_queue_add(struct heavy_queue *queue, struct heavy_work *work, struct peer_key peer,
                         const void *connection)
{
    struct line_key key = {.peer = peer};
    struct heavy_line *of_peer = line_of(queue, &key, NULL, &queue->peers);

    if (!of_peer)
        return ERR_NO_MEMORY;
    key.is_connection = 1;
    key.connection = (uint64_t)(uintptr_t)connection;

    struct heavy_line *line = line_of(queue, &key, of_peer, &of_peer->waiting);

    if (!line)
        return ERR_NO_MEMORY; /* a peer without work is freed at its turn */
    list_append(&line->waiting, &work->link);
    work->line = line;
    line->count++;
    of_peer->count++;
    queue->count++;
    return ERR_OK;
}

static void take_out(struct heavy_queue *queue, struct heavy_work *work)
{
    list_remove(&work->link);
    work->line->count--;
    work->line->peer->count--;
    work->line = NULL;
    queue->count--;
}

void heavy_queue_remove(struct heavy_queue *queue, struct heavy_work *work)
{
    if (work->line)
        take_out(queue, work);
}

/* Frees a line without work: that of a peer with those of its connections. */
static void free_line(struct heavy_queue *queue, struct heavy_line *line)
{
    struct list *below = NULL;

    while (!line->peer && (below = list_first(&line->waiting)))
        free_line(queue, container_of(below, struct heavy_line, link));
    list_remove(&line->link);
    map_remove(&queue->lines, &line->node);
    free(line);
}

/* Whose turn it is. Work waits in at least one of the lines. */
static struct heavy_line *next_line(struct heavy_queue *queue, struct list *lines)
{
    for (;;) {
        struct heavy_line *line = container_of(list_first(lines), struct heavy_line, link);

        if (line->count > 0 && line->credit_ns > 0)
            return line;
        if (line->count == 0 && line->credit_ns >= 0) {
            free_line(queue, line);
            continue;
        }
        list_remove(&line->link);
        list_append(lines, &line->link);
        line->credit_ns = MIN_OF(line->credit_ns + HEAVY_TURN_NS, HEAVY_TURN_NS);
    }
}

int64_t heavy_queue_run(struct heavy_queue *queue)
{
    struct heavy_line *peer = next_line(queue, &queue->peers);
    struct heavy_line *line = next_line(queue, &peer->waiting);
    struct heavy_work *work = container_of(list_first(&line->waiting), struct heavy_work, link);
    const int64_t began_ns = clock_mono_ns();

    take_out(queue, work);
    work->run(work); /* lines are freed by this function only, so these two stay */

    const int64_t took_ns = clock_mono_ns() - began_ns;

    line->credit_ns -= took_ns;
    peer->credit_ns -= took_ns;
    if (queue->count == 0)
        free_all(queue);
    return took_ns;
}
