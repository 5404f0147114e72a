/* test_utf8.c - the rules for strings against a naive decoder that goes byte by byte through the
 * table of RFC 3629: all texts of two bytes, all characters in every form, and mixtures of good and
 * bad ones. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "event/text.h"
#include "lib/events.h"

/* The table of RFC 3629, section 4: the bytes that are allowed at each place. */
static const struct row {
    size_t size;
    struct {
        uint8_t min, max;
    } bytes[4];
} rows[] = {
    {1, {{0x00, 0x7f}}},
    {2, {{0xc2, 0xdf}, {0x80, 0xbf}}},
    {3, {{0xe0, 0xe0}, {0xa0, 0xbf}, {0x80, 0xbf}}},
    {3, {{0xe1, 0xec}, {0x80, 0xbf}, {0x80, 0xbf}}},
    {3, {{0xed, 0xed}, {0x80, 0x9f}, {0x80, 0xbf}}},
    {3, {{0xee, 0xef}, {0x80, 0xbf}, {0x80, 0xbf}}},
    {4, {{0xf0, 0xf0}, {0x90, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}}},
    {4, {{0xf1, 0xf3}, {0x80, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}}},
    {4, {{0xf4, 0xf4}, {0x80, 0x8f}, {0x80, 0xbf}, {0x80, 0xbf}}},
};

static bool fits(const struct row *row, struct bytes text)
{
    if (text.size < row->size)
        return false;
    for (size_t i = 0; i < row->size; i++) {
        if (text.data[i] < row->bytes[i].min || text.data[i] > row->bytes[i].max)
            return false;
    }
    return true;
}

static uint32_t value_of(const uint8_t *at, size_t size)
{
    uint32_t value = size == 1 ? at[0] : at[0] & (0xffu >> (size + 1));

    for (size_t i = 1; i < size; i++)
        value = value << 6 | (at[i] & 0x3f);
    return value;
}

/* BAD_UTF8 if it is invalid anywhere; else BAD_NAME if it has a control character; else NONE. */
static enum fault_reason naive(struct bytes text)
{
    enum fault_reason reason = FAULT_NONE;

    for (size_t at = 0; at < text.size;) {
        struct bytes rest = {text.data + at, text.size - at};
        const struct row *row = NULL;

        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            row = fits(&rows[i], rest) ? &rows[i] : row;
        if (!row || rest.data[0] == 0)
            return FAULT_BAD_UTF8;
        uint32_t value = value_of(rest.data, row->size);
        if (value < 0x20 || (value >= 0x7f && value < 0xa0) || value == 0x2028 || value == 0x2029)
            reason = FAULT_BAD_NAME;
        at += row->size;
    }
    return reason;
}

static void agrees(struct bytes text)
{
    enum fault_reason reason = naive(text);

    if (utf8_valid(text) == (reason != FAULT_BAD_UTF8) && text_printable(text) == reason &&
        (!text_plain(text) || reason == FAULT_NONE))
        return;
    for (size_t i = 0; i < text.size; i++)
        cr_log_error("byte %zu: %02x", i, text.data[i]);
    cr_assert_fail("valid %d, printable %d, plain %d; the table says %d", utf8_valid(text),
                   text_printable(text), text_plain(text), reason);
}

Test(utf8, agrees_with_the_table_in_all_texts_of_two_bytes_and_all_of_three_that_begin_a_character)
{
    uint8_t text[3];

    for (uint32_t all = 0; all < 1u << 16; all++) {
        text[0] = (uint8_t)(all >> 8);
        text[1] = (uint8_t)all;
        agrees((struct bytes){text, 1});
        agrees((struct bytes){text, 2});
    }
    for (uint32_t all = 0xc0u << 16; all < 1u << 24; all++) {
        text[0] = (uint8_t)(all >> 16);
        text[1] = (uint8_t)(all >> 8);
        text[2] = (uint8_t)all;
        agrees((struct bytes){text, 3});
    }
}

Test(utf8, agrees_with_the_table_in_texts_of_four_bytes)
{
    static const uint8_t edges[] = {0x00, 0x20, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
                                    0xa8, 0xbf, 0xc0, 0xc2, 0xe0, 0xed, 0xf0, 0xff};
    uint8_t text[4];

    for (uint32_t front = 0xc000; front < 1u << 16; front++) {
        text[0] = (uint8_t)(front >> 8);
        text[1] = (uint8_t)front;
        for (size_t i = 0; i < ARRAY_LEN(edges) * ARRAY_LEN(edges); i++) {
            text[2] = edges[i / ARRAY_LEN(edges)];
            text[3] = edges[i % ARRAY_LEN(edges)];
            agrees((struct bytes){text, 4});
        }
    }
}

/* Encodes `value` in `size` bytes, even if that is not its shortest form. */
static void encode(uint32_t value, size_t size, uint8_t *at)
{
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = size; i-- > 1; value >>= 6)
        at[i] = (uint8_t)(0x80 | (value & 0x3f));
    at[0] = (uint8_t)(leads[size] | value);
}

Test(utf8, accepts_every_character_in_its_shortest_form_only)
{
    static const uint32_t beyond[] = {0, 0x80, 0x800, 0x10000, 0x200000};
    uint8_t text[24];

    for (size_t size = 1; size <= 4; size++) {
        for (uint32_t value = 0; value < beyond[size]; value++) {
            size_t before = value % 9, after = value % 5;
            bool good = value > 0 && value >= beyond[size - 1] && value <= 0x10ffff &&
                        (value < 0xd800 || value > 0xdfff);

            memset(text, 'x', sizeof(text));
            encode(value, size, text + before);
            struct bytes all = {text, before + size + after};
            cr_assert_eq(utf8_valid(all), good, "%x in %zu bytes", value, size);
            agrees(all);
        }
    }
}

/* Writes a random piece of text, a good one more often. Returns its size. */
static size_t put_piece(struct dice *dice, uint8_t *at)
{
    static const char *const good[] = {"x", "plain", "exactly8",         "é",           "ß", "東",
                                       "€", "😀",     "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf"};
    static const char *const control[] = {"\n",       "\x7f",         "\xc2\x80",
                                          "\xc2\x9f", "\xe2\x80\xa8", "\xe2\x80\xa9"};
    uint64_t kind = dice_roll(dice, 100);

    if (kind < 4) {
        at[0] = (uint8_t)(kind == 0 ? 0 : dice_roll(dice, 256));
        return 1;
    }
    if (kind < 6) { /* cut short, overlong, or too large */
        encode((uint32_t)dice_roll(dice, 0x200000), 2 + dice_roll(dice, 3), at);
        return 2;
    }
    const char *text =
        kind < 10 ? control[dice_roll(dice, ARRAY_LEN(control))] : good[dice_roll(dice, ARRAY_LEN(good))];
    memcpy(at, text, strlen(text));
    return strlen(text);
}

/* Each text is in memory of exactly its size, so that AddressSanitizer detects a read past the
 * end. */
Test(utf8, agrees_with_the_table_in_mixtures)
{
    struct dice dice = dice_new("utf8 agrees_with_the_table_in_mixtures");

    for (int round = 0; round < 200000; round++) {
        uint8_t mixed[64];
        size_t size = 0, max = dice_roll(&dice, 40);

        while (size < max)
            size += put_piece(&dice, mixed + size);
        size = MIN_OF(size, max); /* this cuts some inside of a character */
        uint8_t *exact = malloc(MAX_OF(size, 1u));
        cr_assert(exact);
        memcpy(exact, mixed, size);
        agrees((struct bytes){exact, size});
        free(exact);
    }
}
