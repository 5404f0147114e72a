/* test_session_ending.c - which endings lead to a new registration, and which status the user
 * gets. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "client/lib/core/status.h"
#include "client/lib/session/session_ending.h"

struct ending {
    enum tributary_code code;
    const char *reason;
    enum session_closing closing;
    bool finishing;
    bool retry;
    enum tributary_code expected;
    const char *expected_reason;
};

Test(session_ending, only_retryable_endings_lead_to_a_new_registration)
{
    static const struct ending endings[] = {
        {TRIBUTARY_UNAVAILABLE, "", CLOSING_NOT, false, true, TRIBUTARY_UNAVAILABLE, ""},
        {TRIBUTARY_UNAVAILABLE, "DRAINING", CLOSING_NOT, false, true, TRIBUTARY_UNAVAILABLE, "DRAINING"},
        {TRIBUTARY_OK, "", CLOSING_NOT, false, true, TRIBUTARY_UNAVAILABLE, ""},
        {TRIBUTARY_ABORTED, "REPLACED", CLOSING_NOT, false, false, TRIBUTARY_ABORTED, "REPLACED"},
        {TRIBUTARY_FAILED_PRECONDITION, "REMOVED", CLOSING_NOT, false, false, TRIBUTARY_FAILED_PRECONDITION,
         "REMOVED"},
        {TRIBUTARY_ALREADY_EXISTS, "NAME_TAKEN", CLOSING_NOT, false, false, TRIBUTARY_ALREADY_EXISTS,
         "NAME_TAKEN"},
        {TRIBUTARY_INVALID_ARGUMENT, "BAD_NAME", CLOSING_NOT, false, false, TRIBUTARY_INVALID_ARGUMENT,
         "BAD_NAME"},
        {TRIBUTARY_RESOURCE_EXHAUSTED, "", CLOSING_NOT, false, false, TRIBUTARY_RESOURCE_EXHAUSTED, ""},
        {TRIBUTARY_INTERNAL, "", CLOSING_NOT, false, false, TRIBUTARY_INTERNAL, ""},
        /* The server sent a reason before, and its status did not come, or was another one. */
        {TRIBUTARY_OK, "", CLOSING_REPLACED, false, false, TRIBUTARY_ABORTED, "REPLACED"},
        {TRIBUTARY_UNAVAILABLE, "", CLOSING_REPLACED, false, false, TRIBUTARY_ABORTED, "REPLACED"},
        {TRIBUTARY_OK, "", CLOSING_REMOVED, false, false, TRIBUTARY_FAILED_PRECONDITION, "REMOVED"},
        {TRIBUTARY_UNAVAILABLE, "", CLOSING_REMOVED, false, false, TRIBUTARY_FAILED_PRECONDITION, "REMOVED"},
        {TRIBUTARY_OK, "", CLOSING_DRAINING, false, true, TRIBUTARY_UNAVAILABLE, "DRAINING"},
        {TRIBUTARY_DEADLINE_EXCEEDED, "", CLOSING_DRAINING, false, true, TRIBUTARY_UNAVAILABLE, "DRAINING"},
        /* The end was ours. */
        {TRIBUTARY_OK, "", CLOSING_NOT, true, false, TRIBUTARY_OK, ""},
        {TRIBUTARY_UNAVAILABLE, "", CLOSING_NOT, true, false, TRIBUTARY_UNAVAILABLE, ""},
        {TRIBUTARY_OK, "", CLOSING_DRAINING, true, false, TRIBUTARY_OK, ""},
        {TRIBUTARY_OK, "", CLOSING_REPLACED, true, false, TRIBUTARY_ABORTED, "REPLACED"},
    };

    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        const struct ending *ending = &endings[i];
        struct tributary_status status;

        status_set(&status, ending->code, "as it came");
        snprintf(status.reason, sizeof(status.reason), "%s", ending->reason);
        cr_assert_eq(session_should_retry(&status, ending->closing, ending->finishing), ending->retry,
                     "row %zu", i);
        cr_assert_eq(status.code, ending->expected, "row %zu", i);
        cr_assert_str_eq(status.reason, ending->expected_reason, "row %zu", i);
        cr_assert(status.message[0] != '\0');
    }
}

Test(session_ending, the_reason_of_a_closing_decides_whether_emitting_goes_on)
{
    cr_assert_eq(session_closing_of("REPLACED"), CLOSING_REPLACED);
    cr_assert_eq(session_closing_of("REMOVED"), CLOSING_REMOVED);
    cr_assert_eq(session_closing_of("DRAINING"), CLOSING_DRAINING);
    cr_assert_eq(session_closing_of("of a newer server"), CLOSING_DRAINING);
    cr_assert_eq(session_emit_code(CLOSING_NOT), TRIBUTARY_OK);
    cr_assert_eq(session_emit_code(CLOSING_DRAINING), TRIBUTARY_OK);
    cr_assert_eq(session_emit_code(CLOSING_REPLACED), TRIBUTARY_ABORTED);
    cr_assert_eq(session_emit_code(CLOSING_REMOVED), TRIBUTARY_FAILED_PRECONDITION);
}
