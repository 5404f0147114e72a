/* completion_fish.h - the completion of command lines for the shell fish. Main thread. */
#ifndef TRIBUTARY_TOOL_COMPLETION_FISH_H
#define TRIBUTARY_TOOL_COMPLETION_FISH_H

/* Prints the script, written from the tables of the verbs. */
void completion_put_fish(void);

#endif
