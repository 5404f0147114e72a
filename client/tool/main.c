/* main.c - the program `tributary`. */
#include <errno.h>
#include <stdio.h>

#include "base/std_descriptors.h"
#include "client/tool/exits.h"
#include "client/tool/stderr_lines.h"
#include "client/tool/tool.h"

STD_DESCRIPTORS_KEEP;

/* Fails where output was lost, except when the reader of standard output went away. */
int main(int argc, char **argv)
{
    int lost = 0;

    stderr_lines_start();
    const int result = tool_run(argc - 1, argv + 1);

    if (fflush(stdout) != 0)
        lost = errno;
    stderr_lines_stop();
    return lost != 0 && lost != EPIPE && result == EXITS_OK ? EXITS_ERROR : result;
}
