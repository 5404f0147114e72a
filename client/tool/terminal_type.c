/* terminal_type.c - see terminal_type.h. A file of its own: <term.h> defines macros with names such
 * as `columns`. */
#include "client/tool/terminal_type.h"

#include <unistd.h>

#include <ncurses.h>
#include <term.h>

bool terminal_type_is_known(void)
{
    int error;

    if (setupterm(NULL, STDOUT_FILENO, &error) != OK)
        return false;
    del_curterm(cur_term);
    return true;
}
