/* exits.c - what the exit codes mean, in words. */
#include "client/tool/exits.h"

#include "base/base.h"

static const struct exit_meaning exit_codes[] = {
    {EXITS_OK, "done; also when the reader of standard output went away"},
    {EXITS_ERROR, "something failed: a file, a command, a refused event"},
    {EXITS_USAGE, "the command line is at fault; nothing was done"},
    {EXITS_UNAVAILABLE, "the server cannot be reached, or is going away"},
    {EXITS_NOT_FOUND, "no such producer, subscription or service"},
    {EXITS_LOSS, "sub --fail-on-loss, bench: events were lost, or came out of order"},
    {EXITS_DEADLINE, "--max-time passed, or there was no answer in time"},
    {EXITS_PRODUCER, "sub --until ended: a producer ended with an error, or was lost"},
};

const struct exit_meaning *exits_all(size_t *count_out)
{
    *count_out = ARRAY_LEN(exit_codes);
    return exit_codes;
}
