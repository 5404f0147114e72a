/* test_text.c - the rules for strings, at every place of a word. */
#include <criterion/criterion.h>
#include <string.h>

#include "event/text.h"
#include "lib/events.h"

#define TEXT(literal) ((struct bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

static const struct {
    struct bytes text;
    bool valid;
} texts[] = {
    {TEXT(""), true},
    {TEXT("a"), true},
    {TEXT("\x01\x7f"), true},
    {TEXT("\xc2\x80"), true},          /* the first of two bytes */
    {TEXT("\xc1\xbf"), false},         /* overlong */
    {TEXT("\xc0\x80"), false},         /* the NUL of some languages */
    {TEXT("\xdf\xbf"), true},          /* the last of two */
    {TEXT("\xe0\xa0\x80"), true},      /* the first of three */
    {TEXT("\xe0\x9f\xbf"), false},     /* overlong */
    {TEXT("\xed\x9f\xbf"), true},      /* the last before the surrogates */
    {TEXT("\xed\xa0\x80"), false},     /* the first surrogate */
    {TEXT("\xed\xbf\xbf"), false},     /* the last surrogate */
    {TEXT("\xee\x80\x80"), true},      /* the first after them */
    {TEXT("\xef\xbf\xbf"), true},      /* the last of three: a noncharacter, and still valid */
    {TEXT("\xf0\x90\x80\x80"), true},  /* the first of four */
    {TEXT("\xf0\x8f\xbf\xbf"), false}, /* overlong */
    {TEXT("\xf4\x8f\xbf\xbf"), true},  /* the last of all */
    {TEXT("\xf4\x90\x80\x80"), false}, /* one above */
    {TEXT("\xf5\x80\x80\x80"), false}, /* no such lead */
    {TEXT("\xff"), false},
    {TEXT("\x80"), false}, /* a stray continuation */
    {TEXT("\xc3"), false}, /* cut short */
    {TEXT("\xe2\x82"), false},
    {TEXT("\xf0\x9f\x98"), false},
    {TEXT("\xc3("), false}, /* no continuation */
    {TEXT("\xe2\x82("), false},
    {TEXT("\xf0\x9f\x98("), false},
    {TEXT("\0"), false},
    {TEXT("a\0b"), false},
};

Test(utf8, is_what_rfc_3629_says_at_every_place_of_a_word)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (size_t before = 0; before < 18; before++) {
            for (size_t after = 0; after < 18; after++) {
                uint8_t all[48];
                memset(all, 'x', sizeof(all));
                memcpy(all + before, texts[i].text.data, texts[i].text.size);
                struct bytes text = {all, before + texts[i].text.size + after};
                cr_assert_eq(utf8_valid(text), texts[i].valid, "text %zu, %zu before, %zu after", i, before,
                             after);
            }
        }
    }
}

Test(text, is_plain_between_space_and_tilde_only)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t size = 1; size < 20; size++) {
            for (size_t place = 0; place < size; place++) {
                uint8_t all[20];
                memset(all, '~', sizeof(all));
                memset(all, ' ', size / 2);
                all[place] = (uint8_t)byte;
                cr_assert_eq(text_plain((struct bytes){all, size}), byte >= 0x20 && byte < 0x7f,
                             "byte %u at %zu of %zu", byte, place, size);
            }
        }
    }
    cr_assert(text_plain((struct bytes){NULL, 0}));
}

static const struct {
    struct bytes name;
    enum fault_reason reason;
} names[] = {
    {TEXT("web-1"), FAULT_NONE},
    {TEXT(" ~"), FAULT_NONE},
    {TEXT("größe 漢字 😀"), FAULT_NONE},
    {TEXT("\xc2\xa0"), FAULT_NONE},
    {TEXT(""), FAULT_EMPTY},
    {TEXT("a\nb"), FAULT_BAD_NAME},
    {TEXT("a\x1f"), FAULT_BAD_NAME},
    {TEXT("a\x7f"), FAULT_BAD_NAME},
    {TEXT("a\xc2\x80"), FAULT_BAD_NAME},
    {TEXT("a\xc2\x9f"), FAULT_BAD_NAME},
    {TEXT("\xe2\x80\xa8"), FAULT_BAD_NAME},
    {TEXT("\xe2\x80\xa9"), FAULT_BAD_NAME},
    {TEXT("\xe2\x80\xa7"), FAULT_NONE},
    {TEXT("\xe2\x80\xaa"), FAULT_NONE},
    {TEXT("a\0"), FAULT_BAD_UTF8},
    {TEXT("\n\xff"), FAULT_BAD_UTF8},
};

Test(name, is_printable_and_not_empty)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct fault fault = {.reason = FAULT_NONE};
        cr_assert_eq(name_check(names[i].name, "producer", 256, &fault), names[i].reason, "name %zu", i);
        cr_assert_eq(fault.reason, names[i].reason);
        cr_assert_str_eq(fault.field, names[i].reason == FAULT_NONE ? "" : "producer");
    }
}

Test(name, has_at_most_its_bound_in_bytes)
{
    uint8_t all[257];
    struct fault fault;

    memset(all, 'n', sizeof(all));
    cr_assert_eq(name_check((struct bytes){all, 256}, "name", 256, &fault), FAULT_NONE);
    cr_assert_eq(name_check((struct bytes){all, 257}, "name", 256, &fault), FAULT_TOO_LONG);
    cr_assert_str_eq(fault.bound, "at most 256 bytes");
    cr_assert_eq(name_check((struct bytes){all, 1}, "name", 1, &fault), FAULT_NONE);
}
