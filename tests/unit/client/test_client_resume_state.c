/* test_client_resume_state.c - a later stream starts with the newest token, and with the positions
 * that followed it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "client/lib/core/bytes.h"
#include "client/lib/subscribe/resume_state.h"
#include "tributary/v1/subscriber.pb-c.h"

static struct resume_state state;

static void fini(void)
{
    resume_state_fini(&state);
}

TestSuite(client_resume_state, .fini = fini);

/* An encoded Progress with one position. */
static void fold(const char *source, uint64_t epoch, uint64_t sequence)
{
    Tributary__V1__Position position = TRIBUTARY__V1__POSITION__INIT, *positions[] = {&position};
    Tributary__V1__Progress progress = TRIBUTARY__V1__PROGRESS__INIT;
    uint8_t bytes[512];

    position.source = (char *)source;
    position.epoch = epoch;
    position.sequence = sequence;
    progress.n_positions = 1;
    progress.positions = positions;
    progress.delivered = 7;
    cr_assert(resume_state_progress(&state,
                                    (struct bytes){bytes, tributary__v1__progress__pack(&progress, bytes)}));
}

/* What a request starts with, such as "token + web:5@9". One position at most. */
static const char *start(void)
{
    static char text[512];
    struct buf request = {0};
    Tributary__V1__SubscribeRequest *read;
    Tributary__V1__Start *start;

    resume_state_write(&state, &request);
    read = tributary__v1__subscribe_request__unpack(NULL, request.size, request.data);
    cr_assert_not_null(read);
    start = read->start;
    if (!start)
        snprintf(text, sizeof(text), "live");
    else if (start->at_case == TRIBUTARY__V1__START__AT_RESUME)
        snprintf(text, sizeof(text), "%.*s", (int)start->resume.len, (char *)start->resume.data);
    else
        snprintf(text, sizeof(text), "%.*s + %s:%llu@%llu", (int)start->positions->resume_token.len,
                 (char *)start->positions->resume_token.data, start->positions->positions[0]->source,
                 (unsigned long long)start->positions->positions[0]->epoch,
                 (unsigned long long)start->positions->positions[0]->sequence);
    tributary__v1__subscribe_request__free_unpacked(read, NULL);
    buf_fini(&request);
    return text;
}

Test(client_resume_state, without_anything_a_stream_starts_live)
{
    cr_assert_str_eq(start(), "live");
}

Test(client_resume_state, a_token_alone_is_sent_as_before)
{
    resume_state_token(&state, text_bytes("one"));
    cr_assert_str_eq(start(), "one");
    cr_assert(state.token_is_ours);
    resume_state_token(&state, text_bytes(""));
    cr_assert_str_eq(start(), "one", "an empty one is none");
}

Test(client_resume_state, positions_continue_the_token_and_a_newer_token_replaces_them)
{
    resume_state_token(&state, text_bytes("one"));
    fold("web", 5, 9);
    cr_assert_str_eq(start(), "one + web:5@9");
    fold("web", 5, 12);
    cr_assert_str_eq(start(), "one + web:5@12");
    resume_state_token(&state, text_bytes("two"));
    cr_assert_str_eq(start(), "two");
    fold("web", 5, 13);
    resume_state_clear(&state);
    cr_assert_str_eq(start(), "live");
}

Test(client_resume_state, the_later_epoch_of_a_source_counts)
{
    resume_state_token(&state, text_bytes("one"));
    fold("web", 6, 2);
    fold("web", 5, 90);
    cr_assert_str_eq(start(), "one + web:6@2");
}

Test(client_resume_state, the_later_position_of_an_epoch_counts)
{
    fold("web", 5, 90);
    fold("web", 5, 60);
    cr_assert_str_eq(start(), " + web:5@90");
    fold("web", 6, 1);
    cr_assert_str_eq(start(), " + web:6@1");
}

Test(client_resume_state, many_sources_are_bounded)
{
    char name[200];

    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "%0199d", i);
        fold(name, 1, 1);
    }
    cr_assert_leq(state.bytes, 700000);
    cr_assert_gt(state.positions.count, 3000);
    snprintf(name, sizeof(name), "%0199d", 7);
    fold(name, 1, 2);
    cr_assert_leq(state.bytes, 700000, "a source that is known stays known");
}

/* The server refuses more. */
Test(client_resume_state, at_most_16384_positions_are_kept)
{
    char name[8];

    for (int i = 0; i < 16385; i++) {
        snprintf(name, sizeof(name), "%d", i);
        fold(name, 1, 1);
    }
    cr_assert_eq(state.positions.count, 16384);
}

Test(client_resume_state, a_malformed_position_is_a_fault)
{
    static const uint8_t not_bytes[] = {0x08, 0x01}, unfinished[] = {0x0a, 0x05, 0x0a};

    cr_assert_not(resume_state_progress(&state, (struct bytes){not_bytes, sizeof(not_bytes)}));
    cr_assert_not(resume_state_progress(&state, (struct bytes){unfinished, sizeof(unfinished)}));
    cr_assert_str_eq(start(), "live");
}
