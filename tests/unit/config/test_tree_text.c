/* test_tree_text.c - JSON and YAML as a tree; which texts are refused, with line and reason. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "server/config/bytes_text.h"
#include "server/config/json_text.h"
#include "server/config/yaml_text.h"

/* Writes a tree on one line: {k:v}, [a b], <null>. */
static void show(const struct node *node, struct buf *buf)
{
    static const char *const begins[] = {"<null>", "", "[", "{"}, *const ends[] = {"", "", "]", "}"};

    buf_text(buf, begins[node->kind]);
    buf_bytes(buf, node->text.data, node->text.size);
    for (const struct node *child = node->first; child; child = child->next) {
        buf_bytes(buf, child->key.data, child->key.size);
        buf_text(buf, child->key.size > 0 ? ":" : "");
        show(child, buf);
        buf_text(buf, child->next ? " " : "");
    }
    buf_text(buf, ends[node->kind]);
}

static void expect_tree(bool json, const char *text, const char *shown)
{
    struct buf buf = {0};
    struct tree tree;

    tree_init(&tree);
    cr_assert(json ? json_text_read(text_bytes(text), &tree) : yaml_text_read(text_bytes(text), &tree),
              "%s: line %u: %s", text, tree.fault.line, tree.fault.text);
    show(tree.root, &buf);
    buf_byte(&buf, 0);
    cr_assert_str_eq((const char *)buf.data, shown);
    buf_fini(&buf);
    tree_fini(&tree);
}

static void expect_refused(bool json, struct bytes text, unsigned line, const char *reason)
{
    struct tree tree;

    tree_init(&tree);
    cr_assert_not(json ? json_text_read(text, &tree) : yaml_text_read(text, &tree), "%.*s", (int)text.size,
                  (const char *)text.data);
    cr_assert(strstr(tree.fault.text, reason), "%.*s: %s", (int)text.size, (const char *)text.data,
              tree.fault.text);
    cr_assert_eq(tree.fault.line, line, "%s: line %u", reason, tree.fault.line);
    tree_fini(&tree);
}

Test(json_text, reads_every_kind_of_value)
{
    expect_tree(true, "{\"a\":[1,-0.5e+3,true,false,null,\"x\"],\"b\":{}}",
                "{a:[1 -0.5e+3 true false <null> x] b:{}}");
    expect_tree(true, " [\t\"a\"\r\n,\n\t[ ] ]\n", "[a []]");
    expect_tree(true, "{\"a\"\n:\n1}", "{a:1}");
    expect_tree(true, "\"only\"", "only");
}

Test(json_text, reads_every_escape)
{
    expect_tree(true, "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u20AC\\ud83d\\ude00\"", "\"\\/\b\f\n\r\tä€😀");
}

Test(json_text, refuses_what_is_no_json_with_its_line)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *reason;
    } cases[] = {
        {"", 0, "empty"},
        {"[1,]", 1, "does not fit"},
        {"[1 2]", 1, "',' must follow"},
        {"[1,,2]", 1, "no value"},
        {"[1]]", 1, "does not fit"},
        {"[1}", 1, "does not fit"},
        {"{\"a\":1", 0, "too early"},
        {"{\"a\"", 1, "':' must follow"},
        {"{\"a\" 1}", 1, "':' must follow"},
        {"{\"a\":}", 1, "value is missing"},
        {"{\"a\":1,}", 1, "does not fit"},
        {"{1:2}", 1, "a key must be a string"},
        {"{[]:2}", 1, "a key must be a text"},
        {"{\n\"a\":1,\n\"a\":2}", 3, "in line 2 already"},
        {"[\n01]", 2, "no value"},
        {"[1.]", 1, "no value"},
        {"[1e]", 1, "no value"},
        {"[+1]", 1, "no value"},
        {"[-]", 1, "no value"},
        {"[NaN]", 1, "no value"},
        {"[tru]", 1, "no value"},
        {"[truex]", 1, "',' must follow"},
        {"'a'", 1, "no value"},
        {"\"a", 1, "does not end"},
        {"\"a\nb\"", 1, "control character"},
        {"\"\\x\"", 1, "unknown escape"},
        {"\"\\u12g4\"", 1, "four hexadecimal"},
        {"\"\\ud800\"", 1, "half of a pair"},
        {"\"\\udc00\"", 1, "half of a pair"},
        {"\"\\ud800\\u0041\"", 1, "half of a pair"},
        {"1 2", 1, "follows the end"},
        {"[1]\n{}", 2, "follows the end"},
        {"// c\n1", 1, "no value"},
        {"[\n\n\"\xff\"\n]", 3, "UTF-8"},
        {"\"\xed\xa0\x80\"", 1, "UTF-8"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_refused(true, text_bytes(cases[i].text), cases[i].line, cases[i].reason);
    expect_refused(true, (struct bytes){(const uint8_t *)"\"a\0b\"", 5}, 1, "NUL");
}

Test(json_text, no_part_of_a_good_text_is_taken_for_a_whole)
{
    const char text[] = "{\"a\":[1,{\"b\":\"\\ud83d\\ude00\"}],\"c\":true}";

    for (size_t size = 0; size + 1 < sizeof(text); size++) {
        struct bytes part = {(const uint8_t *)text, size};
        struct tree tree;

        tree_init(&tree);
        cr_assert_not(json_text_read(part, &tree), "%.*s", (int)size, text);
        cr_assert(tree.fault.text[0] != '\0');
        tree_fini(&tree);
    }
}

Test(yaml_text, reads_both_styles_and_null)
{
    expect_tree(false, "a: 1\nb:\n- x\n- [y, {z: ~}]\nc: null\nd:\ne: 'null'\nf: \"\"\n",
                "{a:1 b:[x [y {z:<null>}]] c:<null> d:<null> e:null f:}");
    expect_tree(false, "{\"a\":\t\"\\/\\u20ac\", \"b\": [1, true]}", "{a:/€ b:[1 true]}");
    expect_tree(false, "a: |\n  two\n  lines\n", "{a:two\nlines\n}");
}

Test(yaml_text, refuses_what_could_grow_or_means_more_than_text)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *reason;
    } cases[] = {
        {"", 0, "empty"},
        {"# nothing\n", 0, "empty"},
        {"a: &x 1\nb: *x\n", 1, "anchor (&x)"},
        {"b: *x\n", 1, "alias (*x)"},
        {"a: 1\nb: !!int 1\n", 2, "a tag"},
        {"%TAG !a! x\n--- {}\n", 1, "a directive (%TAG)"},
        {"--- {}\n...\n\xe2\x80\xa8%TAG !a! x\n--- {}\n", 3, "a directive (%TAG)"},
        {"# x\r%TAG !a! x\r--- {}\r", 1, "a directive (%TAG)"},
        {"a: 1\na: 2\n", 2, "in line 1 already"},
        {"a: 1\n--- \nb: 2\n", 2, "second document"},
        {"? [a]\n: b\n", 1, "a key must be a text"},
        {"~: b\n", 1, "a key must be a text"},
        {"a: \"x\\0y\"\n", 1, "a NUL"},
        {"a: [1\nb: 2", 2, "flow sequence"},
        {"a:\n\t- b\n", 2, "cannot start any token"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_refused(false, text_bytes(cases[i].text), cases[i].line, cases[i].reason);
    expect_refused(false, text_bytes("a: \xff\n"), 1, "UTF-8");
}

/* `count` times `unit`. The caller frees it. */
static char *repeated(const char *unit, size_t count)
{
    const size_t size = strlen(unit);
    char *text = malloc(size * count + 1);

    cr_assert(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * size, unit, size);
    text[size * count] = '\0';
    return text;
}

static void expect_refused_both(char *text, const char *reason)
{
    expect_refused(true, text_bytes(text), 1, reason);
    expect_refused(false, text_bytes(text), 1, reason);
    free(text);
}

Test(tree, has_bounds_for_depth_values_keys_and_their_length)
{
    char *key = repeated("k", MAX_TREE_KEY_BYTES + 1), text[MAX_TREE_KEY_BYTES + 16];
    struct buf keys = {0};

    expect_refused_both(repeated("[", 400000), "more than 16 levels");
    expect_refused_both(repeated("[", MAX_TREE_DEPTH + 1), "more than 16 levels");
    snprintf(text, sizeof(text), "{\"%s\":1}", key);
    expect_refused_both(strdup(text), "at most 256 bytes");
    free(key);
    buf_byte(&keys, '{');
    for (unsigned i = 0; i <= MAX_TREE_KEYS; i++)
        buf_format(&keys, "\"%u\":1,", i);
    buf_byte(&keys, 0);
    expect_refused_both(strdup((const char *)keys.data), "at most 256 keys");
    buf_fini(&keys);

    char *values = repeated("1,", MAX_TREE_NODES + 1);

    values[0] = '[';
    values[1] = ' ';
    expect_refused(true, text_bytes(values), 1, "more than 100000 values");
    free(values);
}

Test(bytes_text, reads_hex_and_base64_and_nothing_else)
{
    static const struct {
        bool hex;
        const char *text, *bytes; /* NULL: refused */
    } cases[] = {
        {true, "", ""},        {true, "6aFf", "j\xff"}, {true, "6", NULL},
        {true, "6g", NULL},    {false, "", ""},         {false, "YQ==", "a"},
        {false, "YWI=", "ab"}, {false, "YWJj", "abc"},  {false, "+/8=", "\xfb\xff"},
        {false, "YQ", NULL},   {false, "YQ=a", NULL},   {false, "Y===", NULL},
        {false, "====", NULL}, {false, "YW Jj", NULL},  {false, "YWJj\n", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct bytes text = text_bytes(cases[i].text);
        struct buf bytes = {0};
        const bool is_good = cases[i].hex ? hex_read(text, &bytes) : base64_read(text, &bytes);

        cr_assert_eq(is_good, !!cases[i].bytes, "%s", cases[i].text);
        if (is_good)
            cr_assert(bytes_same((struct bytes){bytes.data, bytes.size}, text_bytes(cases[i].bytes)), "%s",
                      cases[i].text);
        buf_fini(&bytes);
    }
}
