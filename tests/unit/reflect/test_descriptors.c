/* test_descriptors.c - the index of what the .proto files declare: over the embedded set, and over
 * sets that are wrong. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/events.h"
#include "reflect/descriptors.h"
#include "server/rpc/embedded_descriptors.h"

static struct descriptors *built_in(void)
{
    struct descriptors *descriptors = NULL;
    struct descriptors_fault fault;

    cr_assert_eq(descriptors_new(embedded_descriptors(), &descriptors, &fault), ERR_OK);
    return descriptors;
}

static size_t file_named(const struct descriptors *descriptors, const char *name)
{
    size_t file = 999;

    cr_assert(descriptors_file(descriptors, text_of(name), &file), "%s", name);
    return file;
}

Test(descriptors, finds_every_kind_of_symbol_in_its_file)
{
    static const struct {
        const char *symbol, *file;
    } known[] = {
        {"tributary.v1.Publisher", "tributary/v1/publisher.proto"},
        {"tributary.v1.Publisher.Publish", "tributary/v1/publisher.proto"},
        {"tributary.v1.Event", "tributary/v1/event.proto"},
        {"tributary.v1.Event.topic", "tributary/v1/event.proto"},
        {"tributary.v1.Event.HeadersEntry", "tributary/v1/event.proto"},
        {"tributary.v1.Subscription.LossOfSource", "tributary/v1/admin.proto"},
        {"tributary.v1.Subscription.LossOfSource.epoch", "tributary/v1/admin.proto"},
        {"tributary.v1.Overflow", "tributary/v1/event.proto"},
        {"tributary.v1.OVERFLOW_BLOCK", "tributary/v1/event.proto"},
        {"tributary.v1.Producer.Kind", "tributary/v1/admin.proto"},
        {"tributary.v1.Producer.TRANSIENT", "tributary/v1/admin.proto"},
        {"tributary.v1.Start.at", "tributary/v1/subscriber.proto"},
        {"grpc.health.v1.Health.Watch", "grpc/health/v1/health.proto"},
        {"grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"},
        {"google.rpc.ErrorInfo", "google/rpc/error_details.proto"},
        {"google.protobuf.Duration", "google/protobuf/duration.proto"},
    };
    struct descriptors *descriptors = built_in();

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t file = 999;

        cr_expect(descriptors_symbol(descriptors, text_of(known[i].symbol), &file), "%s", known[i].symbol);
        cr_expect_eq(file, file_named(descriptors, known[i].file), "%s", known[i].symbol);
    }
    descriptors_free(descriptors);
}

Test(descriptors, finds_nothing_that_is_not_declared)
{
    static const char *const unknown[] = {
        "",
        "tributary",
        "tributary.v1",
        "tributary.v1.",
        ".tributary.v1.Event",
        "tributary.v1.event",
        "Event",
        "tributary.v1.Event.topic.x",
        "tributary.v1.Overflow.OVERFLOW_BLOCK",
    };
    struct descriptors *descriptors = built_in();
    size_t file = 7;

    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        cr_expect_not(descriptors_symbol(descriptors, text_of(unknown[i]), &file), "%s", unknown[i]);
    cr_expect_not(descriptors_file(descriptors, text_of("tributary/v1/none.proto"), &file));
    cr_expect_not(descriptors_file(descriptors, text_of(""), &file));
    cr_expect_eq(file, 7);
    descriptors_free(descriptors);
}

/* A file whose message has a message of its own, and names of these lengths. */
static enum err names_of_sizes(size_t package, size_t outer, size_t inner)
{
    static uint8_t letters[2000];
    OWNED(buf_fini) struct buf nested = {0};
    OWNED(buf_fini) struct buf message = {0};
    OWNED(buf_fini) struct buf file = {0};
    OWNED(buf_fini) struct buf set = {0};
    struct descriptors *descriptors = NULL;
    struct descriptors_fault fault;

    memset(letters, 'a', sizeof(letters));
    put_field(&nested, 1, (struct bytes){letters, inner});
    put_field(&message, 1, (struct bytes){letters, outer});
    if (inner > 0)
        put_field(&message, 3, (struct bytes){nested.data, nested.size});
    put_field(&file, 1, text_of("a.proto"));
    put_field(&file, 2, (struct bytes){letters, package});
    put_field(&file, 4, (struct bytes){message.data, message.size});
    put_field(&set, 1, (struct bytes){file.data, file.size});
    enum err err = descriptors_new((struct bytes){set.data, set.size}, &descriptors, &fault);
    descriptors_free(descriptors);
    return err;
}

/* A full name has at most 512 bytes, the dots included. */
Test(descriptors, refuses_full_names_that_are_too_long)
{
    cr_expect_eq(names_of_sizes(0, 512, 0), ERR_OK);
    cr_expect_eq(names_of_sizes(510, 1, 0), ERR_OK);
    cr_expect_eq(names_of_sizes(500, 5, 5), ERR_OK);
    for (size_t name = 1; name < 1500; name += 7) {
        cr_expect_neq(names_of_sizes(512, name, 0), ERR_OK, "%zu", name);
        cr_expect_neq(names_of_sizes(511, name, 0), ERR_OK, "%zu", name);
        cr_expect_neq(names_of_sizes(300, 211, name), ERR_OK, "%zu", name);
        cr_expect_neq(names_of_sizes(0, 512, name), ERR_OK, "%zu", name);
    }
    cr_expect_neq(names_of_sizes(0, 513, 0), ERR_OK);
}

Test(descriptors, tells_messages_from_other_symbols)
{
    struct descriptors *descriptors = built_in();

    cr_expect(descriptors_is_message(descriptors, text_of("tributary.v1.Event")));
    cr_expect(descriptors_is_message(descriptors, text_of("tributary.v1.Selector.Pair")));
    cr_expect_not(descriptors_is_message(descriptors, text_of("tributary.v1.Publisher")));
    cr_expect_not(descriptors_is_message(descriptors, text_of("tributary.v1.Overflow")));
    cr_expect_not(descriptors_is_message(descriptors, text_of("tributary.v1.Event.topic")));
    descriptors_free(descriptors);
}

/* The files in the order in which they come, by the name in their first field. */
struct seen {
    char names[16][64];
    size_t count;
};

static void note_file(void *ctx, struct bytes proto)
{
    struct seen *seen = ctx;

    cr_assert_lt(seen->count, 16);
    cr_assert_eq(proto.data[0], 0x0a);
    memcpy(seen->names[seen->count], proto.data + 2, proto.data[1]);
    seen->names[seen->count++][proto.data[1]] = '\0';
}

Test(descriptors, a_file_comes_first_and_then_all_its_imports)
{
    struct descriptors *descriptors = built_in();
    struct seen alone = {0};
    struct seen admin = {0};

    descriptors_needs(descriptors, file_named(descriptors, "tributary/v1/event.proto"), note_file, &alone);
    cr_assert_eq(alone.count, 1);
    cr_expect_str_eq(alone.names[0], "tributary/v1/event.proto");
    descriptors_needs(descriptors, file_named(descriptors, "tributary/v1/admin.proto"), note_file, &admin);
    cr_assert_eq(admin.count, 3);
    cr_expect_str_eq(admin.names[0], "tributary/v1/admin.proto");
    cr_expect_neq(strcmp(admin.names[1], "google/protobuf/duration.proto") == 0,
                  strcmp(admin.names[2], "google/protobuf/duration.proto") == 0);
    cr_expect_neq(strcmp(admin.names[1], "tributary/v1/event.proto") == 0,
                  strcmp(admin.names[2], "tributary/v1/event.proto") == 0);
    descriptors_free(descriptors);
}

static void add_file(struct buf *set, const char *name, const char *import)
{
    struct buf file = {0};

    put_field(&file, 1, text_of(name));
    if (import)
        put_field(&file, 3, text_of(import));
    put_field(set, 1, (struct bytes){file.data, file.size});
    buf_fini(&file);
}

Test(descriptors, indirect_imports_are_included_and_each_file_comes_once)
{
    struct descriptors *descriptors = NULL;
    struct descriptors_fault fault;
    struct buf set = {0};
    struct seen seen = {0};

    add_file(&set, "a", NULL);
    add_file(&set, "other", "a");
    add_file(&set, "b", "a");
    add_file(&set, "c", "b");
    cr_assert_eq(descriptors_new((struct bytes){set.data, set.size}, &descriptors, &fault), ERR_OK);
    descriptors_needs(descriptors, file_named(descriptors, "c"), note_file, &seen);
    cr_assert_eq(seen.count, 3);
    cr_expect_str_eq(seen.names[0], "c");
    cr_expect_str_eq(seen.names[1], "b");
    cr_expect_str_eq(seen.names[2], "a");
    descriptors_free(descriptors);
    buf_fini(&set);
}

Test(descriptors, files_may_stand_in_any_order_and_twice)
{
    struct descriptors *descriptors = NULL;
    struct descriptors_fault fault;
    struct buf set = {0};
    struct seen seen = {0};

    add_file(&set, "c", "b");
    add_file(&set, "b", "a");
    add_file(&set, "c", "b");
    add_file(&set, "a", NULL);
    cr_assert_eq(descriptors_new((struct bytes){set.data, set.size}, &descriptors, &fault), ERR_OK);
    descriptors_needs(descriptors, file_named(descriptors, "c"), note_file, &seen);
    cr_assert_eq(seen.count, 3);
    cr_expect_str_eq(seen.names[0], "c");
    cr_expect_str_eq(seen.names[2], "a");
    descriptors_free(descriptors);
    buf_fini(&set);
}

/* A file that declares `count` messages with names of `size` bytes. */
static void add_messages(struct buf *set, unsigned count, size_t size)
{
    struct buf file = {0};
    char name[1024];

    put_field(&file, 1, text_of("f"));
    for (unsigned i = 0; i < count; i++) {
        struct buf message = {0};

        snprintf(name, sizeof(name), "%0*u", (int)size, i);
        put_field(&message, 1, text_of(name));
        put_field(&file, 4, (struct bytes){message.data, message.size});
        buf_fini(&message);
    }
    put_field(set, 1, (struct bytes){file.data, file.size});
    buf_fini(&file);
}

Test(descriptors, refuses_what_is_over_a_bound)
{
    struct descriptors *descriptors = NULL;
    struct descriptors_fault fault;
    struct buf set = {0};
    static const struct {
        unsigned count;
        size_t size;
    } wrong[] = {{MAX_DESCRIPTOR_SYMBOLS + 1, 6}, {9000, 500}, {1, 513}};

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        add_messages(&set, wrong[i].count, wrong[i].size);
        cr_expect_eq(descriptors_new((struct bytes){set.data, set.size}, &descriptors, &fault), ERR_INVALID,
                     "%u names of %zu bytes", wrong[i].count, wrong[i].size);
        buf_clear(&set);
    }
    add_messages(&set, MAX_DESCRIPTOR_SYMBOLS, 6);
    cr_assert_eq(descriptors_new((struct bytes){set.data, set.size}, &descriptors, &fault), ERR_OK);
    cr_expect_gt(descriptors_bytes(descriptors), MAX_DESCRIPTOR_SYMBOLS * 6);
    descriptors_free(descriptors);
    buf_fini(&set);
}

Test(descriptors, refuses_a_set_that_is_wrong)
{
    struct descriptors *descriptors = NULL;
    struct descriptors_fault fault;
    struct bytes whole = embedded_descriptors();
    struct buf set = {0};

    add_file(&set, "b", "a");
    add_file(&set, "c", NULL);
    cr_expect_eq(descriptors_new((struct bytes){set.data, set.size}, &descriptors, &fault), ERR_INVALID,
                 "an import is missing");
    cr_expect(bytes_same(fault.name, text_of("a")));
    add_file(&set, "a", "b");
    cr_expect_eq(descriptors_new((struct bytes){set.data, set.size}, &descriptors, &fault), ERR_INVALID,
                 "a circle");
    buf_clear(&set);
    add_file(&set, "", NULL);
    cr_expect_eq(descriptors_new((struct bytes){set.data, set.size}, &descriptors, &fault), ERR_INVALID,
                 "a file without a name");
    buf_fini(&set);
    for (size_t missing = 1; missing < 2000; missing += 7)
        cr_expect_eq(descriptors_new((struct bytes){whole.data, whole.size - missing}, &descriptors, &fault),
                     ERR_INVALID, "without its last %zu bytes", missing);
    cr_expect_null(descriptors);
}
