/* test_orders.c - what a server orders a worker to do, as bytes. */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "client/lib/processor/orders.h"

struct seen {
    struct order orders[8];
    size_t count;
};

static void on_order(void *ctx, const struct order *order)
{
    struct seen *seen = ctx;

    seen->orders[seen->count++] = *order;
}

static bool read_orders(const char *bytes, size_t size, struct seen *seen)
{
    *seen = (struct seen){.count = 0};
    return orders_read((struct bytes){(const uint8_t *)bytes, size}, on_order, seen);
}

Test(orders, a_packed_message_has_many)
{
    static const char message[] = "\x3a\x0c\x12\x0a\x08\x07\x12\x01k\x1a\x03\x08\x01\x7a" /* bad tail */;
    static const char good[] = "\x3a\x0d\x12\x0b\x08\x07\x12\x01k\x1a\x04\x08\x01\x10\x02" /* begin */
                               "\x3a\x0c\x1a\x0a\x08\x07\x10\x01\x1a\x01i\x22\x01"
                               "d"                         /* operation */
                               "\x3a\x04\x22\x02\x08\x07"  /* finish */
                               "\x3a\x04\x7a\x02\x08\x07"; /* unknown */
    struct seen seen;

    cr_assert(!read_orders(message, sizeof(message) - 1, &seen));
    cr_assert(read_orders(good, sizeof(good) - 1, &seen));
    cr_assert_eq(seen.count, 5);
    cr_assert_eq(seen.orders[0].kind, ORDER_UNKNOWN);
    cr_assert_eq(seen.orders[1].kind, ORDER_BEGIN);
    cr_assert_eq(seen.orders[1].batch, 7);
    cr_assert_eq(seen.orders[1].content.data[0], 'k');
    cr_assert_eq(seen.orders[1].deadline_ns, NS_PER_S + 2);
    cr_assert_eq(seen.orders[2].kind, ORDER_OPERATION);
    cr_assert_eq(seen.orders[2].id, 1);
    cr_assert_eq(seen.orders[2].operation_id.data[0], 'i');
    cr_assert_eq(seen.orders[2].content.data[0], 'd');
    cr_assert_eq(seen.orders[3].kind, ORDER_FINISH);
    cr_assert_eq(seen.orders[4].kind, ORDER_UNKNOWN);
}

Test(orders, a_negative_or_huge_deadline_is_bounded)
{
    struct seen seen;

    cr_assert(read_orders("\x12\x0d\x1a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 15, &seen));
    cr_assert_eq(seen.orders[0].deadline_ns, 0);
    cr_assert(read_orders("\x12\x0c\x1a\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 14, &seen));
    cr_assert_eq(seen.orders[0].deadline_ns, 86400 * NS_PER_S);
}
