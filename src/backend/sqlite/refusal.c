/* refusal.c - why a store cannot be opened. */
#include "backend/sqlite/refusal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

bool refuse(struct refusal *refusal, const char *format, ...)
{
    const int kept = errno;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(refusal->text, sizeof(refusal->text), format, arguments);
    va_end(arguments);
    errno = kept;
    return false;
}
