/* test_peer_words.c - a text that a peer wrote, for people to read. */
#include <criterion/criterion.h>
#include <string.h>

#include "event/text.h"
#include "server/dial/peer_words.h"

static const char *copied(const char *text, size_t size)
{
    static char words[PEER_WORDS_BYTES + 1];

    peer_words_copy(words, (struct bytes){(const uint8_t *)text, size});
    return words;
}

Test(peer_words, printable_text_stays)
{
    cr_assert_str_eq(copied("disk on fire \xc3\xa4", 15), "disk on fire \xc3\xa4");
    cr_assert_str_eq(copied(NULL, 0), "");
}

Test(peer_words, other_bytes_become_question_marks)
{
    cr_assert_str_eq(copied("a\x1b[31mb\xff", 8), "a?[31mb?");
    cr_assert_str_eq(copied("a\0b", 3), "a?b");
}

Test(peer_words, a_long_text_ends_at_a_character)
{
    char text[300];

    memset(text, 'x', sizeof(text));
    memcpy(text + 255, "\xe2\x82\xac", 3); /* over the end */
    cr_assert_eq(strlen(copied(text, sizeof(text))), 255);
    cr_assert(utf8_valid((struct bytes){(const uint8_t *)copied(text, sizeof(text)), 255}));
}
