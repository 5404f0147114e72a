/* test_varint.c - varints of every size, and their bounds. */
#include "event/varint.h"

#include <criterion/criterion.h>

Test(varint, decodes_to_its_value_at_every_size)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        const uint64_t values[] = {UINT64_C(1) << bit, (UINT64_C(1) << bit) - 1, (UINT64_C(2) << bit) - 1};
        for (size_t i = 0; i < ARRAY_LEN(values); i++) {
            uint8_t bytes[MAX_VARINT_BYTES];
            size_t size = varint_write(bytes, values[i]);
            uint64_t back = 0;
            cr_assert_eq(varint_size(values[i]), size);
            cr_assert_eq(varint_read(bytes, bytes + size, &back), size);
            cr_assert_eq(back, values[i]);
            cr_assert_eq(varint_read(bytes, bytes + size - 1, &back), 0, "cut short");
        }
    }
}

Test(varint, ends_after_ten_bytes_and_sixty_four_bits)
{
    static const uint8_t max[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
    static const uint8_t above[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 2};
    static const uint8_t padded[] = {129, 128, 128, 128, 128, 128, 128, 128, 128, 0};
    static const uint8_t long_one[] = {129, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0};
    uint64_t value = 7;

    cr_assert_eq(varint_read(above, above + 10, &value), 0);
    cr_assert_eq(varint_read(long_one, long_one + 11, &value), 0);
    cr_assert_eq(value, 7, "a refused varint leaves the value unchanged");
    cr_assert_eq(varint_read(max, max + 10, &value), 10);
    cr_assert_eq(value, UINT64_MAX);
    cr_assert_eq(varint_read(padded, padded + 10, &value), 10);
    cr_assert_eq(value, 1);
}
