/* test_relayed_name.c - the names of inner sources. */
#include <criterion/criterion.h>

#include <string.h>

#include "event/text.h"
#include "hub/relayed_name.h"
#include "lib/events.h"

static struct bytes name_of(const char *endpoint, const char *inner)
{
    static uint8_t name[4][MAX_RELAYED_NAME_BYTES];
    static unsigned next;
    uint8_t *at = name[next++ % 4];

    return (struct bytes){at, relayed_name(text_of(endpoint), text_of(inner), at)};
}

static bool same(struct bytes one, struct bytes other)
{
    return one.size == other.size && memcmp(one.data, other.data, one.size) == 0;
}

Test(relayed_name, is_the_endpoint_and_the_inner_name)
{
    cr_assert(same(name_of("up", "web"), text_of("up/web")));
    cr_assert(same(name_of("eu", "site-7/web"), text_of("eu/site-7/web")));
}

Test(relayed_name, is_truncated_between_characters_and_stays_itself)
{
    char inner[257] = "", other[257] = "", endpoint[201] = "";

    for (size_t i = 0; i < 128; i++)
        strcat(inner, "\xc3\xa9");
    memcpy(other, inner, sizeof(inner));
    memcpy(other + 254, "ab", 2);
    memset(endpoint, 'e', 200);
    for (size_t size = 1; size <= 200; size++) {
        char part[201] = "";

        memcpy(part, endpoint, size);
        const struct bytes name = name_of(part, inner);
        cr_assert_leq(name.size, 256u);
        cr_assert_geq(name.size, 255u);
        cr_assert(utf8_valid(name));
        cr_assert(same(name, name_of(part, inner)));
        cr_assert_not(same(name, name_of(part, other)));
    }
}
