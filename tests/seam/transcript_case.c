/* transcript_case.c - the name of the test case that runs, where Criterion runs it. */
#include <criterion/criterion.h>

#include <stdio.h>

#include "seam/transcript.h"

const char *transcript_case(void)
{
    static char name[512];

    snprintf(name, sizeof(name), "%s.%s", criterion_current_test->category, criterion_current_test->name);
    return name;
}
