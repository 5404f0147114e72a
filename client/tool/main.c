/* main.c - the program `tributary`. */
#include <errno.h>
#include <stdio.h>

#include "client/tool/exits.h"
#include "client/tool/tool.h"

/* Fails where output was lost, except when the reader of standard output went away. */
int main(int argc, char **argv)
{
    const int result = tool_run(argc - 1, argv + 1);
    int lost = 0;

    if (fflush(stdout) != 0)
        lost = errno;
    return lost != 0 && lost != EPIPE && result == EXITS_OK ? EXITS_ERROR : result;
}
