/* stderr_lines.h - the tool's standard error. A thread of its own writes it, so nobody else waits
 * for its reader: a terminal that is stopped, or a pipe that nobody reads, stops neither the client
 * thread nor standard output.
 *
 * A line is written with fprintf(stderr, ...) on any thread. Up to 4 MiB of lines wait. What does
 * not fit is left out, and a line says how many are missing. */
#ifndef TRIBUTARY_TOOL_STDERR_LINES_H
#define TRIBUTARY_TOOL_STDERR_LINES_H

/* Makes `stderr` a stream that never blocks. gRPC core writes its own lines there, too. Before
 * threads start. Where memory runs out, `stderr` stays what it is. */
void stderr_lines_start(void);

/* Waits up to 1 s until what was written so far is printed. For whoever then calls _exit(). */
void stderr_lines_wait(void);

/* Prints what waits. Gives the reader up to 5 s, as `sub` does with the reader of standard output.
 * At the end, on the main thread. Later lines go to the descriptor at once. */
void stderr_lines_stop(void);

#endif
