/* test_list.c - the ring of embedded nodes. */
#include "base/list.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct item {
    int number;
    struct list link;
};

static struct item *item(struct list *node)
{
    return container_of(node, struct item, link);
}

Test(list, a_new_head_is_empty)
{
    struct list head;

    list_init(&head);
    cr_assert(list_empty(&head));
    cr_assert_null(list_first(&head));
    list_each(node, safe, &head)
        cr_assert_fail("nothing is in it");
}

Test(list, keeps_the_order_of_appending)
{
    struct list head;
    struct item items[5];
    int next = 0;

    list_init(&head);
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        list_append(&head, &items[i].link);
    }
    cr_assert_eq(item(list_first(&head))->number, 0);
    list_each(node, safe, &head)
        cr_assert_eq(item(node)->number, next++);
    cr_assert_eq(next, 5);
}

Test(list, removing_twice_is_harmless)
{
    struct list head;
    struct item items[3];

    list_init(&head);
    for (int i = 0; i < 3; i++)
        list_append(&head, &items[i].link);
    list_remove(&items[1].link);
    list_remove(&items[1].link);
    cr_assert(list_empty(&items[1].link));
    cr_assert_eq(head.next, &items[0].link);
    cr_assert_eq(items[0].link.next, &items[2].link);
    cr_assert_eq(head.prev, &items[2].link);
}

Test(list, the_body_of_a_walk_may_free_the_node)
{
    struct list head;
    int freed = 0;

    list_init(&head);
    for (int i = 0; i < 4; i++) {
        struct item *made = calloc(1, sizeof(*made));

        list_append(&head, &made->link);
    }
    list_each(node, safe, &head) {
        list_remove(node);
        free(item(node));
        freed++;
    }
    cr_assert_eq(freed, 4);
    cr_assert(list_empty(&head));
}
