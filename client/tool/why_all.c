/* why_all.c - see why_all.h. */
#include "client/tool/why_all.h"

#include <stdio.h>

#include "client/tool/explanation.h"
#include "client/tool/link.h"
#include "client/tool/table.h"

struct listing {
    struct text_table table;
    bool is_json;
};

/* Of two with the same limit the one where more events wait comes first. */
static void begin_row(struct listing *listing, const struct tributary_explanation *explanation)
{
    char rank[16];

    snprintf(rank, sizeof(rank), "%03u", explanation_rank(explanation->limit));
    text_table_row(&listing->table, rank, (uint64_t)MAX_OF(explanation_stat(explanation, "waiting"), 0));
}

static void on_each(void *ctx, const struct tributary_explanation *explanation)
{
    struct listing *listing = ctx;

    begin_row(listing, explanation);
    if (listing->is_json) {
        list_json_cell(&listing->table, explanation_json(explanation));
        return;
    }
    text_table_cell(&listing->table, tributary_limit_name(explanation->limit));
    text_table_cell(&listing->table, explanation->subscription_id);
    text_table_cell(&listing->table, explanation->name);
    text_table_cell(&listing->table, explanation->sentence);
}

int why_all(struct tributary *client, int64_t window_ns, int64_t timeout_ns, bool is_json)
{
    static const struct text_column columns[] = {
        {"limit", 0}, {"subscription", 0}, {"name", 0}, {"what limits it", 0}};
    struct listing listing = {.is_json = is_json};
    const struct tributary_explain_query query = {
        .window_ns = window_ns, .timeout_ns = timeout_ns, .all = true, .each = on_each, .ctx = &listing};
    struct tributary_status status;
    int result;

    list_init(&listing.table, columns, ARRAY_LEN(columns), is_json ? LIST_JSON : LIST_WIDE);
    if (tributary_explain(client, &query, &status) == TRIBUTARY_OK) {
        result = list_print(&listing.table, stdout, (struct display_size){0}, "there is no subscription");
    } else {
        if (listing.table.row_count > 0)
            (void)list_print(&listing.table, stdout, (struct display_size){0}, "");
        result = link_failed("explaining all subscriptions", &status);
    }
    text_table_fini(&listing.table);
    return result;
}
