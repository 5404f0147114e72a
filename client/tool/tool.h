/* tool.h - the program `tributary` but for its main(). */
#ifndef TRIBUTARY_TOOL_TOOL_H
#define TRIBUTARY_TOOL_TOOL_H

/* Finds the verb in the words of the command line, without the program's name, and runs it. Returns
 * the exit code. */
int tool_run(int argc, char **argv);

#endif
