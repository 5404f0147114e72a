/* top_model.c - a complete round is sorted by key and epoch, so that two rounds are compared in one
 * pass. */
#include "client/tool/top_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/clock.h"
#include "client/tool/text_table.h"
#include "client/tool/value.h"

static const struct top_column producer_columns[] = {
    {"producer", "name", "name", 'N', TOP_TEXT, 0, COLUMN_FLEXIBLE},
    {"kind", "kind", "kind", 'K', TOP_TEXT, 0, 0},
    {"state", "state", "state", 'S', TOP_TEXT, 0, 0},
    {"events/s", "events", "events_per_s", 'E', TOP_RATE, 0, COLUMN_RIGHT},
    {"bytes/s", "bytes", "bytes_per_s", 'B', TOP_BYTE_RATE, 1, COLUMN_RIGHT},
    {"consumers", "consumers", "consumers", 'C', TOP_COUNT, 0, COLUMN_RIGHT},
    {"blocked", "blocked", "blocked_calls", 'L', TOP_COUNT, 0, COLUMN_RIGHT},
    {"paused", "paused", "paused_activations", 'P', TOP_COUNT, 0, COLUMN_RIGHT},
};

static const struct top_column consumer_columns[] = {
    {"subscription", "id", "id", 'I', TOP_TEXT, 0, COLUMN_FLEXIBLE},
    {"name", "name", "name", 'N', TOP_TEXT, 0, COLUMN_FLEXIBLE},
    {"peer", "peer", "peer", 'P', TOP_TEXT, 0, COLUMN_FLEXIBLE},
    {"events/s", "events", "events_per_s", 'E', TOP_RATE, 0, COLUMN_RIGHT},
    {"queued", "queued", "queued_events", 'W', TOP_COUNT, 0, COLUMN_RIGHT},
    {"queue size", "queued-bytes", "queued_bytes", 'B', TOP_BYTES, 0, COLUMN_RIGHT},
    {"lost", "lost", "lost_events", 'L', TOP_COUNT, 0, COLUMN_RIGHT},
    {"lost/s", "lost-rate", "lost_per_s", 'R', TOP_RATE, 1, COLUMN_RIGHT},
    {"state", "state", "state", 'S', TOP_TEXT, 0, 0},
};

const struct top_column *top_columns(enum top_list list, size_t *count_out)
{
    *count_out = list == TOP_PRODUCERS ? ARRAY_LEN(producer_columns) : ARRAY_LEN(consumer_columns);
    return list == TOP_PRODUCERS ? producer_columns : consumer_columns;
}

bool top_column_find(enum top_list list, const char *word, unsigned *index_out)
{
    size_t count = 0;
    const struct top_column *columns = top_columns(list, &count);

    for (unsigned i = 0; i < count; i++) {
        if (strcmp(columns[i].word, word) == 0) {
            *index_out = i;
            return true;
        }
    }
    return false;
}

bool top_column_of_key(enum top_list list, int key, unsigned *index_out)
{
    size_t count = 0;
    const struct top_column *columns = top_columns(list, &count);

    for (unsigned i = 0; i < count; i++) {
        if (columns[i].key == key) {
            *index_out = i;
            return true;
        }
    }
    return false;
}

/* Makes place for one more row. */
static bool grow(struct top_round *round)
{
    const size_t capacity = MAX_OF(2 * round->capacity, 64);
    struct top_row *rows = NULL;

    if (round->count < round->capacity)
        return true;
    rows = realloc(round->rows, capacity * sizeof(*rows));
    if (!rows)
        return false;
    round->rows = rows;
    round->capacity = capacity;
    return true;
}

/* Copies the texts of a row into one block, which its first text begins. */
static bool copy_texts(struct top_row *row)
{
    size_t sizes[TOP_MAX_COLUMNS] = {0};
    size_t size = 0;
    char *block = NULL;

    for (size_t i = 0; i < TOP_MAX_COLUMNS; i++) {
        sizes[i] = row->texts[i] ? strnlen(row->texts[i], TOP_TEXT_CAPACITY - 1) : 0;
        size += sizes[i] + 1;
    }
    block = calloc(1, size);
    if (!block)
        return false;
    for (size_t i = 0; i < TOP_MAX_COLUMNS; i++) {
        if (!row->texts[i])
            continue;
        memcpy(block, row->texts[i], sizes[i]);
        row->texts[i] = block;
        block += sizes[i] + 1;
    }
    return true;
}

void top_round_add(struct top_round *round, const struct top_row *row)
{
    struct top_row copy = *row;

    CHECK(row->texts[0]);
    if (round->count == TOP_MAX_ROWS) {
        round->left_out++;
        return;
    }
    if (!grow(round) || !copy_texts(&copy)) {
        round->broken = true;
        return;
    }
    round->rows[round->count++] = copy;
}

void top_round_fini(struct top_round *round)
{
    for (size_t i = 0; i < round->count; i++)
        free((void *)(uintptr_t)round->rows[i].texts[0]);
    free(round->rows);
    *round = (struct top_round){.count = 0};
}

static int compare_keys(const struct top_row *left, const struct top_row *right)
{
    const int by_key = strcmp(left->texts[0], right->texts[0]);

    if (by_key != 0)
        return by_key;
    return left->epoch < right->epoch ? -1 : left->epoch > right->epoch;
}

static int compare_rows(const void *left, const void *right)
{
    return compare_keys(left, right);
}

/* The growth of a total per second. */
static double rate_of(const struct top_row *row, const struct top_row *before, unsigned total)
{
    const double seconds = (double)(row->at_ns - before->at_ns) / (double)NS_PER_S;

    return seconds > 0 ? (double)(row->totals[total] - before->totals[total]) / seconds : TOP_UNKNOWN;
}

static bool has_fallen(const struct top_row *row, const struct top_row *before)
{
    for (size_t i = 0; i < TOP_MAX_TOTALS; i++) {
        if (row->totals[i] < before->totals[i])
            return true;
    }
    return false;
}

/* `before` NULL: there is none to compare with. */
static void put_rates(struct top_row *row, enum top_list list, const struct top_row *before)
{
    size_t count = 0;
    const struct top_column *columns = top_columns(list, &count);
    const bool is_known = before && !has_fallen(row, before);

    for (size_t i = 0; i < count; i++) {
        if (columns[i].kind == TOP_RATE || columns[i].kind == TOP_BYTE_RATE)
            row->values[i] = is_known ? rate_of(row, before, columns[i].total) : TOP_UNKNOWN;
    }
}

void top_round_complete(struct top_round *round, enum top_list list, const struct top_round *before)
{
    const size_t before_count = before ? before->count : 0;
    size_t at = 0;

    if (round->count > 1)
        qsort(round->rows, round->count, sizeof(*round->rows), compare_rows);
    for (size_t i = 0; i < round->count; i++) {
        struct top_row *row = &round->rows[i];

        while (at < before_count && compare_keys(&before->rows[at], row) < 0)
            at++;
        put_rates(row, list,
                  at < before_count && compare_keys(&before->rows[at], row) == 0 ? &before->rows[at] : NULL);
    }
}

static bool is_shown(const struct top_view *view, const struct top_row *row)
{
    if (view->filter[0] == '\0')
        return true;
    for (size_t i = 0; i < TOP_MAX_COLUMNS; i++) {
        if (row->texts[i] && strcasestr(row->texts[i], view->filter))
            return true;
    }
    return false;
}

static int compare_in_view(const void *left_row, const void *right_row, void *ctx)
{
    const struct top_view *view = ctx;
    const struct top_row *left = *(const struct top_row *const *)left_row;
    const struct top_row *right = *(const struct top_row *const *)right_row;
    const double left_value = left->values[view->sort];
    const double right_value = right->values[view->sort];
    int result = 0;

    if (left->texts[view->sort])
        result = strcmp(left->texts[view->sort], right->texts[view->sort]);
    else
        result = left_value > right_value ? -1 : left_value < right_value;
    if (result == 0)
        return compare_keys(left, right);
    return view->is_reversed ? -result : result;
}

const struct top_row **top_view_rows(const struct top_view *view, const struct top_round *round,
                                     size_t *count_out)
{
    const struct top_row **rows = calloc(round->count + 1, sizeof(struct top_row *));
    struct top_view order = *view;
    size_t count = 0;

    for (size_t i = 0; rows && i < round->count; i++) {
        if (is_shown(view, &round->rows[i]))
            rows[count++] = &round->rows[i];
    }
    if (count > 1)
        qsort_r(rows, count, sizeof(struct top_row *), compare_in_view, &order);
    *count_out = count;
    return rows;
}

void top_cell(const struct top_column *column, const struct top_row *row, unsigned index, char *text,
              size_t capacity)
{
    const double value = row->values[index];

    if (column->kind == TOP_TEXT)
        snprintf(text, capacity, "%s",
                 row->texts[index] && row->texts[index][0] != '\0' ? row->texts[index] : "-");
    else if (value < 0)
        snprintf(text, capacity, "-");
    else if (column->kind == TOP_RATE)
        snprintf(text, capacity, value > 0 && value < 100 ? "%.1f" : "%.0f", value);
    else if (column->kind == TOP_COUNT)
        snprintf(text, capacity, "%.0f", value);
    else
        bytes_text((uint64_t)value, text, capacity);
}
