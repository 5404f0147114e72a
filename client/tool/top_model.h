/* top_model.h - the rows of `tributary top`: totals of two rounds become rates; rows are sorted and
 * filtered. It knows no server, no clock and no terminal. One thread at a time; a round that is
 * complete may be read by several. */
#ifndef TRIBUTARY_TOOL_TOP_MODEL_H
#define TRIBUTARY_TOOL_TOP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum top_list { TOP_PRODUCERS, TOP_CONSUMERS, TOP_LISTS };

enum { TOP_MAX_COLUMNS = 9, TOP_MAX_TOTALS = 2, TOP_MAX_ROWS = 10000, TOP_TEXT_CAPACITY = 512 };

enum top_kind {
    TOP_TEXT,
    TOP_COUNT,
    TOP_BYTES,
    TOP_RATE,      /* of a total, per second */
    TOP_BYTE_RATE, /* the same, in bytes */
};

struct top_column {
    const char *name; /* its head */
    const char *word; /* what --sort calls it */
    const char *json; /* its member in JSON */
    char key;         /* a capital letter: sorts by it */
    enum top_kind kind;
    unsigned total; /* of a rate: the index of its total */
    unsigned flags; /* of text_table.h */
};
const struct top_column *top_columns(enum top_list list, size_t *count_out);

#define TOP_BY_EVENTS 3u /* the column events/s of both lists */
/* The words of all columns, for --sort. */
#define TOP_SORT_WORDS                                                                                       \
    "events|name|kind|state|bytes|consumers|blocked|paused|id|peer|queued|queued-bytes|lost|lost-rate"

#define TOP_UNKNOWN (-1.0) /* a rate before the second round */

struct top_row {
    const char *texts[TOP_MAX_COLUMNS]; /* of columns of texts; else NULL. The first is the key. */
    double values[TOP_MAX_COLUMNS];     /* of the other columns; not negative, or TOP_UNKNOWN */
    uint64_t epoch;                     /* totals of different epochs are not compared */
    uint64_t totals[TOP_MAX_TOTALS];
    int64_t at_ns; /* when the totals were read, on the monotonic clock */
};

/* What was read of one list. A zeroed round is empty. */
struct top_round {
    struct top_row *rows;
    size_t count, capacity;
    uint64_t left_out; /* rows beyond TOP_MAX_ROWS */
    bool broken;       /* memory ran out: rows are missing */
};

/* Adds a row to a round. It copies the texts; what is beyond TOP_TEXT_CAPACITY is left out. Rows
 * beyond TOP_MAX_ROWS are only counted. */
void top_round_add(struct top_round *round, const struct top_row *row);

/* Completes a round: computes the rates of the columns of this list. The rate is the growth since
 * the same row of `before`, which is complete. It is TOP_UNKNOWN where there is none, where its
 * epoch differs, where a total fell, and where no time has passed. */
void top_round_complete(struct top_round *round, enum top_list list, const struct top_round *before);
void top_round_fini(struct top_round *round);

/* What is shown of a list, and in which order. */
struct top_view {
    enum top_list list;
    unsigned sort; /* a column. Texts begin with the smallest, numbers with the largest. */
    bool is_reversed;
    char filter[128]; /* rows with this in a text, small and capital ASCII letters alike; "": all */
};

/* The rows that the view shows, in its order; equal ones in the order of their keys. The caller
 * frees the array; the rows stay those of the round. NULL: memory ran out. */
const struct top_row **top_view_rows(const struct top_view *view, const struct top_round *round,
                                     size_t *count_out);

/* Writes a cell for people. "-" stands for what is not known, and for an empty text. */
void top_cell(const struct top_column *column, const struct top_row *row, unsigned index, char *text,
              size_t capacity);

/* The column of this list that has this word. False: it has none. */
bool top_column_find(enum top_list list, const char *word, unsigned *index_out);
/* The same for a key. */
bool top_column_of_key(enum top_list list, int key, unsigned *index_out);

#endif
