/* terminal_type.h - whether a terminal can be drawn on.
 *
 * Threads: the main thread. */
#ifndef TRIBUTARY_TOOL_TERMINAL_TYPE_H
#define TRIBUTARY_TOOL_TERMINAL_TYPE_H

#include <stdbool.h>

/* Whether curses knows the terminal type of $TERM. newterm() would keep memory for one that it does
 * not know. */
bool terminal_type_is_known(void);

#endif
