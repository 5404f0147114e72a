/* test_buf.c - the growing buffer, also when memory runs out. */
#include "base/buf.h"

#include <criterion/criterion.h>
#include <string.h>

Test(buf, a_zeroed_buffer_is_empty_and_may_be_freed_twice)
{
    struct buf buf = {0};

    cr_assert_eq(buf.size, 0u);
    buf_fini(&buf);
    buf_fini(&buf);
}

Test(buf, keeps_every_byte_while_it_grows)
{
    struct buf buf = {0};

    for (unsigned i = 0; i < 1000; i++)
        buf_byte(&buf, (uint8_t)i);
    cr_assert_eq(buf.size, 1000u);
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(buf.data[i], (uint8_t)i);
    cr_assert_not(buf.broken);
    buf_fini(&buf);
    cr_assert_null(buf.data);
    cr_assert_eq(buf.size, 0u);
}

Test(buf, writes_text_bytes_and_formats_end_to_end)
{
    struct buf buf = {0};

    buf_text(&buf, "one");
    buf_bytes(&buf, "\0two", 4);
    buf_bytes(&buf, NULL, 0);
    buf_format(&buf, "%s=%d", "three", 3);
    buf_format(&buf, "%s", "");
    cr_assert_eq(buf.size, 14u);
    cr_assert_eq(memcmp(buf.data, "one\0twothree=3", 14), 0);
    buf_fini(&buf);
}

Test(buf, a_formatted_text_needs_capacity_for_its_nul)
{
    struct buf buf = {0};

    for (int i = 0; i < 8; i++)
        buf_format(&buf, "%s", "12345678");
    cr_assert_eq(buf.size, 64u);
    cr_assert_geq(buf.capacity, 65u);
    cr_assert_eq(memcmp(buf.data + 56, "12345678", 8), 0);
    buf_fini(&buf);
}

Test(buf, extend_counts_its_bytes_at_once_and_is_null_only_without_memory)
{
    struct buf buf = {0};
    uint8_t *data = buf_extend(&buf, 0);

    cr_assert_not_null(data);
    cr_assert_eq(buf.size, 0u);
    data = buf_extend(&buf, 100);
    cr_assert_not_null(data);
    memset(data, 7, 100);
    cr_assert_eq(buf.size, 100u);
    buf_fini(&buf);
}

Test(buf, clearing_keeps_the_memory)
{
    struct buf buf = {0};
    uint8_t *data;

    buf_text(&buf, "something");
    data = buf.data;
    buf_clear(&buf);
    cr_assert_eq(buf.size, 0u);
    buf_text(&buf, "else");
    cr_assert_eq(buf.data, data);
    buf_fini(&buf);
}

Test(buf, rest_frees_memory_beyond_its_bound)
{
    struct buf buf = {0};
    uint8_t *data;

    buf_text(&buf, "little");
    data = buf.data;
    buf_rest(&buf, 100);
    buf_text(&buf, "again");
    cr_assert_eq(buf.data, data);
    cr_assert_not_null(buf_extend(&buf, 200));
    buf_rest(&buf, 100);
    cr_assert_null(buf.data);
    cr_assert_eq(buf.size + buf.capacity, 0u);
    cr_assert_null(buf_extend(&buf, SIZE_MAX));
    buf_rest(&buf, 100);
    cr_assert_not(buf.broken);
    buf_text(&buf, "again");
    cr_assert_eq(buf.size, 5u);
    buf_fini(&buf);
}

Test(buf, a_failed_growth_sets_broken_until_the_buffer_is_cleared)
{
    struct buf buf = {0};

    buf_text(&buf, "kept");
    cr_assert_null(buf_extend(&buf, SIZE_MAX));
    cr_assert(buf.broken);
    cr_assert_null(buf_extend(&buf, SIZE_MAX / 2));
    buf_text(&buf, "ignored");
    buf_format(&buf, "%d", 1);
    cr_assert_eq(buf.size, 4u);
    buf_clear(&buf);
    cr_assert_not(buf.broken);
    buf_text(&buf, "again");
    cr_assert_eq(buf.size, 5u);
    buf_fini(&buf);
}
