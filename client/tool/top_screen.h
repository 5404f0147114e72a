/* top_screen.h - the terminal of `tributary top`: draws a snapshot, and reads keys. Main thread. */
#ifndef TRIBUTARY_TOOL_TOP_SCREEN_H
#define TRIBUTARY_TOOL_TOP_SCREEN_H

#include "client/tool/top_fetch.h"

/* Zeroed but for `views`, whose lists and orders are set, and `server`. */
struct top_screen {
    struct top_view views[TOP_LISTS];
    const char *server; /* its address, for people */
    int64_t every_ns;   /* between two rounds, for people */
    enum top_list list; /* the one that is shown */
    size_t first;       /* the row at the top of the table */
    size_t page;        /* how many rows were drawn */
    bool is_typing;     /* keys go into the filter */
    void *terminal;     /* of curses; NULL: it is not open */
    unsigned silent;    /* how often the terminal could be read and gave no key */
};

/* Takes over the terminal of standard input and output. False: its type ($TERM) is not known, and
 * it is as it was. Call it when the signals that end the program are blocked. */
bool top_screen_open(struct top_screen *screen);
/* Gives the terminal back as it was. A screen that is not open is allowed. */
void top_screen_close(struct top_screen *screen);

/* Draws everything. `snapshot` NULL: nothing was read yet. `trouble` "": there is none. */
void top_screen_draw(struct top_screen *screen, const struct top_snapshot *snapshot, const char *trouble);

/* Reads the keys that are there. False: to quit, or the terminal has ended. */
bool top_screen_keys(struct top_screen *screen);

/* True: the size of the terminal has changed. The screen has the new size; draw it. */
bool top_screen_resized(struct top_screen *screen);

#endif
