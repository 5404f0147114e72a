/* topic_log.h - the topics of a store and their logs, as the store's thread keeps them. For the
 * files of this room.
 *
 * DESIGN. A topic's log is a table of its own. Sequences rise, so each insert is at its end.
 * What is known of a log (where it begins and ends, its size) follows from its first and its last
 * row. So an append writes rows, and nothing else. Only where a log becomes empty, or the settings
 * change, `topic` is written: the next sequence must survive that.
 *
 * Within a transaction `next` of each topic that it touched is ahead of `kept`. After the commit
 * both are the same; after a failure `next` goes back.
 *
 * Threads: the store's. `kept`, `settings` and the maps change under the store's lock only, so
 * others may read them with that lock. */
#ifndef TRIBUTARY_BACKEND_SQLITE_TOPIC_LOG_H
#define TRIBUTARY_BACKEND_SQLITE_TOPIC_LOG_H

#include "backend/sqlite/database.h"
#include "backend/sqlite/stored_topic.h"
#include "base/map.h"
#include "topic/topic_port.h"

struct store;

/* How often publishers that were silent are looked for. */
#define PUBLISHERS_EVERY_NS (3600 * INT64_C(1000000000))
/* At most so many rows leave in one commit, of all topics together. */
#define MAX_TRIM_ROWS 400u

struct topic_log {
    struct map by_id, by_name;
    struct list touched; /* by the open transaction */
    struct list deleted; /* topics that are gone, and whose tables are not yet */
    struct list gone;    /* whose ancestors somebody may still read */
    /* By the open transaction: a topic that is made, which the maps have space for; one of
     * `deleted` whose table is gone. */
    struct stored_topic *created, *dropped;
    struct map publishers; /* that the open transaction has seen */
    /* Rows in the table, with new ones of the open transaction; those that left in it, and count
     * still; the highest time of use of them all. */
    uint64_t publisher_count, publishers_gone, publisher_used_ns;
    uint64_t last_id;
    int64_t now_ns; /* wall clock, of the open transaction */
    uint32_t trim_left;
    int64_t due_ns;            /* monotonic: when log_tidy() is due; INT64_MAX: never */
    int64_t publishers_due_ns; /* the part of it that looks for silent publishers */
    struct buf row;
    uint64_t id_key[2], id_count; /* id_table.h: of all topics */
    struct list due;              /* due_table.h: events that the open transaction appends */
    uint64_t delayed_bytes, next_delayed_bytes;
    bool holds_due;                 /* what is due waits all the same */
    int64_t kept_at_ns, next_at_ns; /* wall clock: of the first that waits; INT64_MAX: none */
};

/* ---- log_state.c ---- */

void log_init(struct topic_log *log);
/* Frees everything. Before the database is closed. */
void log_fini(struct topic_log *log);

/* Reads all topics, and checks their logs (log_check.c). */
MUST_CHECK bool log_open(struct database *database, struct topic_log *log, struct refusal *refusal);

struct stored_topic *log_find(const struct topic_log *log, uint64_t id);
struct stored_topic *log_find_name(const struct topic_log *log, struct bytes name);
void log_touch(struct topic_log *log, struct stored_topic *topic);

/* Lets log_tidy() come when the topic's first row is too old. */
void log_note_age(struct topic_log *log, const struct stored_topic *topic);

/* Around a transaction: before its first work; after its last one; after its commit, with the
 * store's lock; after its failure, with the lock. */
void log_begin(struct topic_log *log);
enum db_result log_end(struct store *store);
void log_committed(struct store *store);
void log_rolled_back(struct store *store);

/* A topic that is in no map. NULL: out of memory. */
struct stored_topic *stored_topic_new(struct bytes name, uint64_t id);
void stored_topic_free(struct stored_topic *topic);
/* Makes it part of the maps. False: out of memory. */
MUST_CHECK bool log_add(struct topic_log *log, struct stored_topic *topic);

/* ---- topic_table.c: the table of topics ---- */

enum db_result topic_insert(struct database *database, const struct stored_topic *topic);
/* Name, settings, and where an empty log goes on; as they are after the commit. */
enum db_result topic_update(struct database *database, const struct stored_topic *topic);
/* Reads the table into the maps and `deleted`. */
MUST_CHECK bool topic_read_all(struct database *database, struct topic_log *log, struct refusal *refusal);

/* ---- log_write.c ---- */

extern const struct work_kind append_work;

/* Writes the row that has been begun. */
enum db_result log_flush(struct store *store, struct stored_topic *topic);
/* Appends events, whose bytes must stay until the end of the transaction. */
enum db_result log_add_piece(struct store *store, struct stored_topic *topic, const struct topic_run *piece,
                             uint64_t *first_seq_out);

/* ---- log_split.c ---- */

enum topic_outcome log_check_delays(const struct topic_log *log, const struct topic_append *append,
                                    bool *has_delayed_out);
/* Leaves out of part->rest what is there already or is not due yet. */
enum db_result log_split(struct store *store, struct stored_topic *topic, struct topic_part *part);
/* After the commit: if one part is split, all are. */
void log_notify_split(struct store *store, struct topic_append *append);

/* ---- log_trim.c ---- */

/* Removes rows that are no longer kept, as many as may still leave. */
enum db_result log_trim(struct store *store, struct stored_topic *topic);
/* Whether rows that are no longer kept are left, after a commit. */
bool log_wants_trim(const struct stored_topic *topic);
/* What is due without any append: rows that are too old, tables of topics that are gone, publishers
 * that were silent. At log->due_ns. */
enum db_result log_tidy(struct store *store);

/* ---- log_check.c ---- */

/* Reads where a log begins and ends, and checks its last rows: at most `bytes` of them, and the
 * last one in any case. */
MUST_CHECK bool log_check(struct database *database, struct stored_topic *topic, uint64_t bytes,
                          struct refusal *refusal);

/* ---- topic_change.c ---- */

extern const struct work_kind change_work;

#endif
