/* test_endpoint_file.c - what a file defines: its names, what comes from the template, and that
 * what says the same has the same bytes. */
#include "server/config/endpoint_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const struct file_template no_template = {NULL, false};
static const struct file_total nothing = {0, 0};

static void read_file(const char *name, const char *text, const struct file_template *with,
                      struct endpoint_file *file)
{
    cr_assert(endpoint_file_read(name, text_bytes(text), with, &nothing, file), "%s: line %u: %s: %s", name,
              file->fault.line, file->fault.key, file->fault.text);
}

/* All but two producers are defined by others. */
static const struct file_total nearly_all = {MAX_FILE_PRODUCERS - 2, 0};

static void expect_refused(const char *name, const char *text, unsigned line, const char *reason)
{
    struct endpoint_file file = {.count = 0};

    cr_assert_not(endpoint_file_read(name, text_bytes(text), &no_template, &nearly_all, &file), "%s", text);
    cr_assert(strstr(file.fault.text, reason), "%s: %s", text, file.fault.text);
    cr_assert_eq(file.fault.line, line, "%s: line %u", text, file.fault.line);
    cr_assert_eq(file.count, 0);
    endpoint_file_fini(&file);
}

Test(endpoint_file, knows_which_names_are_files_and_templates)
{
    cr_assert(endpoint_file_is_one("a.json") && endpoint_file_is_one("a.b.yml") &&
              endpoint_file_is_one("x.yaml"));
    cr_assert_not(endpoint_file_is_one(".a.yml") || endpoint_file_is_one("a.yml~") ||
                  endpoint_file_is_one("yml") || endpoint_file_is_one("a.txt") ||
                  endpoint_file_is_one(".yml") || endpoint_file_is_one("..data"));
    cr_assert(endpoint_file_is_template("template.yaml") && endpoint_file_is_template("template.json"));
    cr_assert_not(endpoint_file_is_template("templates.yml") || endpoint_file_is_template("a.template.yml"));
}

Test(endpoint_file, a_mapping_is_one_endpoint_named_as_the_file_unless_it_says_so)
{
    struct endpoint_file plain = {.count = 0}, named = {.count = 0};

    read_file("my.feed.yml", "address: h:1\n", &no_template, &plain);
    read_file("a.json", "{\"name\":\"other\",\"address\":\"h:1\"}", &no_template, &named);
    cr_assert_eq(plain.count, 1);
    cr_assert_str_eq(plain.definitions[0].name, "my.feed");
    cr_assert_str_eq(named.definitions[0].name, "other");
    endpoint_file_fini(&plain);
    endpoint_file_fini(&named);
}

Test(endpoint_file, what_says_the_same_has_the_same_bytes)
{
    struct endpoint_file yaml = {.count = 0}, json = {.count = 0};

    read_file("x.yml", "labels: {b: 2, a: 1}\naddress: h:1\nbackoff: 90s\n", &no_template, &yaml);
    read_file("x.json", "{\"backoff\":\"1m30s\",\"address\":\"h:1\",\"labels\":{\"a\":\"1\",\"b\":\"2\"}}",
              &no_template, &json);
    cr_assert(bytes_same(yaml.definitions[0].message, json.definitions[0].message));
    endpoint_file_fini(&yaml);
    endpoint_file_fini(&json);
}

Test(endpoint_file, a_list_is_targets_and_the_template_has_the_rest)
{
    struct endpoint_file file = {.count = 0}, alone = {.count = 0};
    struct tree tree;

    tree_init(&tree);
    cr_assert(endpoint_file_parse_template("template.yml", text_bytes("labels: {a: t, b: t}\n"), &tree), "%s",
              tree.fault.text);
    const struct file_template with = {tree.root, false};
    read_file("w.yml", "- targets: [h:1, 'i:2']\n  labels: {a: g, __x: y}\n- targets: []\n- labels: {}\n",
              &with, &file);
    cr_assert_eq(file.count, 2);
    cr_assert_str_eq(file.definitions[0].name, "w@h:1");
    cr_assert_str_eq(file.definitions[1].name, "w@i:2");
    read_file("x.yml", "name: w@h:1\naddress: h:1\nlabels: {a: g, b: t}\n", &no_template, &alone);
    cr_assert(bytes_same(file.definitions[0].message, alone.definitions[0].message));
    endpoint_file_fini(&file);
    endpoint_file_fini(&alone);
    tree_fini(&tree);
}

Test(endpoint_file, a_template_must_be_good_by_itself)
{
    static const char *const texts[] = {"- a\n", "name: x\n", "address: h:1\n", "backoff: 1ns\n", "x: y\n"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct tree tree;

        tree_init(&tree);
        cr_assert_not(endpoint_file_parse_template("template.yml", text_bytes(texts[i]), &tree), "%s",
                      texts[i]);
        cr_assert_eq(tree.fault.line, 1);
        tree_fini(&tree);
    }
}

Test(endpoint_file, the_bytes_of_all_definitions_have_a_bound)
{
    static const char text[] = "- targets: [h:1]\n- targets: [h:2]\n";
    struct endpoint_file file = {.count = 0}, again = {.count = 0};

    read_file("a.yml", text, &no_template, &file);
    const struct file_total fits = {0, MAX_DEFINITION_BYTES - file.bytes},
                            too_many = {0, MAX_DEFINITION_BYTES - file.bytes + 1};
    cr_assert(file.bytes > 0);
    cr_assert(endpoint_file_read("a.yml", text_bytes(text), &no_template, &fits, &again));
    cr_assert_eq(again.bytes, file.bytes);
    endpoint_file_fini(&again);
    cr_assert_not(endpoint_file_read("a.yml", text_bytes(text), &no_template, &too_many, &again));
    cr_assert(strstr(again.fault.text, "more than 33554432 bytes"), "%s", again.fault.text);
    cr_assert_eq(again.fault.line, 2);
    cr_assert_eq(again.count, 0);
    cr_assert_eq(again.bytes, 0);
    endpoint_file_fini(&again);
    endpoint_file_fini(&file);
}

Test(endpoint_file, a_mark_of_UTF_8_at_the_beginning_is_left_out)
{
    struct endpoint_file yaml = {.count = 0}, json = {.count = 0};

    read_file("x.yml",
              "\xef\xbb\xbf"
              "address: h:1\n",
              &no_template, &yaml);
    read_file("x.json",
              "\xef\xbb\xbf"
              "{\"address\": \"h:1\"}",
              &no_template, &json);
    cr_assert(bytes_same(yaml.definitions[0].message, json.definitions[0].message));
    expect_refused("x.json",
                   "\xef\xbb\xbf\xef\xbb\xbf"
                   "{}",
                   1, "no value of JSON");
    endpoint_file_fini(&yaml);
    endpoint_file_fini(&json);
}

Test(endpoint_file, refuses_with_line_and_reason)
{
    expect_refused("a.yml", "x", 1, "a list or a mapping");
    expect_refused("a.yml", "- x\n", 1, "a mapping with targets");
    expect_refused("a.yml", "- targets: x\n", 1, "a list is wanted");
    expect_refused("a.yml", "- targets: [[x]]\n", 1, "HOST:PORT");
    expect_refused("a.yml", "- targets: []\n  label: {}\n", 2, "only the keys");
    expect_refused("a.yml", "- targets: ['h']\n", 1, "a port must be given");
    expect_refused("a.yml", "- targets: []\n- targets:\n  - h:1\n  - h:0\n", 4, "port 1 to 65535");
    expect_refused("a.yml", "- targets: [h:1]\n  labels: [a]\n", 2, "a mapping is wanted");
    expect_refused("a.yml", "- targets: [h:1, h:2, h:3]\n", 1, "more than 10000 producers");
    expect_refused("a.yml", "address: h:1\nrequests: x\n", 2, "a list is wanted");
    expect_refused("a.yml", "address: h:1\nrequests: [{text: a, hex: aa}]\n", 2, "each is one of");
    expect_refused("a.yml", "address: h:1\nlabels: {a: [b]}\n", 2, "texts are wanted");
    expect_refused("a.yml", "address: h:1\nmethod: [b]\n", 2, "a text is wanted");
    expect_refused("a.yml", "address: h:1\nlabels: {a: \"\x01\"}\n", 2, "control");
}
