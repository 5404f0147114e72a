/* main.c - the program `tributary`. */
#include "client/tool/verbs.h"

int main(int argc, char **argv)
{
    return tool_run(argc - 1, argv + 1);
}
