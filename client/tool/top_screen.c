/* top_screen.c - by curses.
 *
 * DESIGN. The first line says what is shown. The second says what is wrong, or what the filter is,
 * or which letters sort. The last one says which other keys there are. The table is between them.
 * Every text went through escape_text(), so no name controls the terminal. */
#include "client/tool/top_screen.h"

#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "client/tool/display.h"
#include "client/tool/printer.h"
#include "client/tool/terminal_type.h"
#include "client/tool/top_text.h"
#include "client/tool/value.h"

enum {
    TABLE_LINE = 2,   /* the line of the head of the table */
    OTHER_LINES = 4,  /* lines that show no row */
    KEY_ESCAPE = 27,  /* not in curses */
    KEY_DELETE = 127, /* what most terminals send for Backspace */
    ESCAPE_WAIT_MS = 25,
    MAX_SILENT = 10,
};

bool top_screen_open(struct top_screen *screen)
{
    SCREEN *terminal = NULL;

    /* All verbs write UTF-8. */
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    if (!terminal_type_is_known())
        return false;
    terminal = newterm(NULL, stdout, stdin);
    if (!terminal)
        return false;
    screen->terminal = terminal;
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, true);
    nodelay(stdscr, true);
    set_escdelay(ESCAPE_WAIT_MS);
    curs_set(0);
    return true;
}

void top_screen_close(struct top_screen *screen)
{
    if (!screen->terminal)
        return;
    curs_set(1);
    endwin();
    delscreen(screen->terminal);
    screen->terminal = NULL;
}

bool top_screen_resized(struct top_screen *screen)
{
    const struct display_size size = display_size(STDOUT_FILENO);

    (void)screen;
    if (size.rows == 0 || !is_term_resized((int)size.rows, (int)size.columns))
        return false;
    resizeterm((int)size.rows, (int)size.columns);
    return true;
}

/* Puts a line of printable text, as much as fits. */
static void put_line(int line, const char *text, size_t size, attr_t attributes)
{
    struct buf fitted = {0};

    if (line >= LINES)
        return;
    display_fit_head(&fitted, (struct tributary_bytes){text, size}, (unsigned)COLS);
    attrset((int)attributes);
    if (fitted.size > 0)
        mvaddnstr(line, 0, (const char *)fitted.data, (int)fitted.size);
    attrset((int)A_NORMAL);
    buf_fini(&fitted);
}

/* The same for a text that may hold anything. */
static void put_text(int line, const char *text, attr_t attributes)
{
    struct buf escaped = {0};

    escape_text(&escaped, tributary_text(text));
    if (escaped.size > 0)
        put_line(line, (const char *)escaped.data, escaped.size, attributes);
    buf_fini(&escaped);
}

static void draw_title(const struct top_screen *screen, const struct top_round *round, size_t count)
{
    const struct top_view *view = &screen->views[screen->list];
    struct buf title = {0};
    char every[32];

    duration_text(screen->every_ns, every, sizeof(every));
    buf_format(&title, "tributary top  %s  %s: %zu", screen->server,
               screen->list == TOP_PRODUCERS ? "producers" : "consumers", count);
    if (round && count != round->count)
        buf_format(&title, " of %zu", round->count);
    if (round && round->left_out > 0)
        buf_format(&title, " (%llu more are not shown)", (unsigned long long)round->left_out);
    buf_format(&title, "  every %s%s", every, view->is_reversed ? "  reversed" : "");
    buf_byte(&title, 0);
    if (!title.broken)
        put_text(0, (const char *)title.data, A_BOLD);
    buf_fini(&title);
}

/* The keys of the columns, as they stand in the table. */
static void draw_column_keys(enum top_list list)
{
    size_t count = 0;
    const struct top_column *columns = top_columns(list, &count);
    struct buf text = {0};

    buf_text(&text, "sort:");
    for (size_t i = 0; i < count; i++)
        buf_format(&text, "  %c %s", columns[i].key, columns[i].name);
    buf_byte(&text, 0);
    if (!text.broken)
        put_text(1, (const char *)text.data, A_DIM);
    buf_fini(&text);
}

/* The second line: the filter while it is typed, else what is wrong, else the filter, else the keys
 * of the columns. */
static void draw_state(const struct top_screen *screen, const char *trouble)
{
    const struct top_view *view = &screen->views[screen->list];
    char text[sizeof(view->filter) + 16];

    if (trouble[0] != '\0' && !screen->is_typing) {
        put_text(1, trouble, A_REVERSE);
    } else if (view->filter[0] != '\0' || screen->is_typing) {
        snprintf(text, sizeof(text), "filter: %s%s", view->filter, screen->is_typing ? "_" : "");
        put_text(1, text, A_NORMAL);
    } else {
        draw_column_keys(screen->list);
    }
}

static void draw_table(const struct top_screen *screen, const struct top_row *const *rows, size_t count)
{
    char *text = NULL;
    size_t size = 0;
    int line = TABLE_LINE;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    top_print(out, &screen->views[screen->list], rows, count, true, (unsigned)COLS);
    if (fclose(out) == 0 && text) {
        const char *at = text;

        for (const char *end = NULL; (end = strchr(at, '\n')) && line < LINES - 1; at = end + 1, line++)
            put_line(line, at, (size_t)(end - at), line == TABLE_LINE ? A_REVERSE : A_NORMAL);
    }
    free(text);
}

void top_screen_draw(struct top_screen *screen, const struct top_snapshot *snapshot, const char *trouble)
{
    const struct top_view *view = &screen->views[screen->list];
    const struct top_round *round = snapshot ? &snapshot->rounds[screen->list] : NULL;
    size_t count = 0;
    const struct top_row **rows = round ? top_view_rows(view, round, &count) : NULL;

    screen->page = LINES > OTHER_LINES ? (size_t)(LINES - OTHER_LINES) : 1;
    if (screen->first + screen->page > count)
        screen->first = count > screen->page ? count - screen->page : 0;
    erase();
    draw_title(screen, round, count);
    draw_state(screen, trouble);
    if (rows && LINES > OTHER_LINES)
        draw_table(screen, rows + screen->first, MIN_OF(screen->page, count - screen->first));
    if (LINES > OTHER_LINES)
        put_text(LINES - 1, "q quit  p/c producers/consumers  </> sort  r reverse  / filter  Esc clear",
                 A_DIM);
    refresh();
    free(rows);
}

/* Takes away the last character of the filter. */
static void shorten(char *filter)
{
    size_t size = strlen(filter);

    while (size > 0 && ((uint8_t)filter[size - 1] & 0xc0) == 0x80)
        size--;
    filter[size > 0 ? size - 1 : 0] = '\0';
}

/* A key of a filter that is typed. */
static void type(struct top_screen *screen, int key)
{
    struct top_view *view = &screen->views[screen->list];
    const size_t size = strlen(view->filter);

    if (key == '\n' || key == '\r' || key == KEY_ENTER) {
        screen->is_typing = false;
    } else if (key == KEY_ESCAPE) {
        screen->is_typing = false;
        view->filter[0] = '\0';
    } else if (key == KEY_BACKSPACE || key == KEY_DELETE || key == '\b') {
        shorten(view->filter);
    } else if (key >= ' ' && key <= UINT8_MAX && size + 1 < sizeof(view->filter)) {
        view->filter[size] = (char)key;
        view->filter[size + 1] = '\0';
    }
    screen->first = 0;
}

static void show_list(struct top_screen *screen, enum top_list list)
{
    screen->list = list;
    screen->first = 0;
}

static void sort_by_next(struct top_view *view, bool forward)
{
    size_t count = 0;

    top_columns(view->list, &count);
    view->sort = (unsigned)((view->sort + (forward ? 1 : count - 1)) % count);
}

/* The key of the column that rows are sorted by already reverses their order. False: it is of no
 * column. */
static bool sort_by_key(struct top_view *view, int key)
{
    unsigned column = 0;

    if (!top_column_of_key(view->list, key, &column))
        return false;
    view->is_reversed = column == view->sort && !view->is_reversed;
    view->sort = column;
    return true;
}

static void scroll_to(struct top_screen *screen, int key)
{
    const size_t page = screen->page;

    switch (key) {
    case KEY_UP:
        screen->first -= screen->first > 0;
        break;
    case KEY_DOWN:
        screen->first++; /* drawing bounds it */
        break;
    case KEY_PPAGE:
        screen->first -= MIN_OF(screen->first, page);
        break;
    case KEY_NPAGE:
        screen->first += page;
        break;
    case KEY_HOME:
        screen->first = 0;
        break;
    case KEY_END:
        screen->first = TOP_MAX_ROWS;
        break;
    default:
        break;
    }
}

/* False: to quit. */
static bool handle(struct top_screen *screen, int key)
{
    struct top_view *view = &screen->views[screen->list];

    switch (key) {
    case 'q':
    case 'Q':
        return false;
    case 'p':
        show_list(screen, TOP_PRODUCERS);
        break;
    case 'c':
        show_list(screen, TOP_CONSUMERS);
        break;
    case '\t':
        show_list(screen, screen->list == TOP_PRODUCERS ? TOP_CONSUMERS : TOP_PRODUCERS);
        break;
    case '<':
    case KEY_LEFT:
        sort_by_next(view, false);
        break;
    case '>':
    case KEY_RIGHT:
        sort_by_next(view, true);
        break;
    case 'r':
        view->is_reversed = !view->is_reversed;
        break;
    case '/':
        screen->is_typing = true;
        break;
    case KEY_ESCAPE:
        view->filter[0] = '\0';
        break;
    default:
        if (!sort_by_key(view, key))
            scroll_to(screen, key);
    }
    return true;
}

bool top_screen_keys(struct top_screen *screen)
{
    bool goes_on = true;
    bool any = false;

    for (int key = 0; goes_on && (key = getch()) != ERR; any = true) {
        if (key == '\f') /* Ctrl-L: draw everything anew */
            clearok(stdscr, true);
        else if (screen->is_typing)
            type(screen, key);
        else
            goes_on = handle(screen, key);
    }
    screen->silent = any ? 0 : screen->silent + 1;
    return goes_on && screen->silent < MAX_SILENT;
}
