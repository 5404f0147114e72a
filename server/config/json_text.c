/* json_text.c - see json_text.h. The lists and mappings that are open stand in the tree, so this
 * goes through the text in one loop. */
#include "server/config/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "event/text.h"
#include "server/config/bytes_text.h"

struct reader {
    struct tree *tree;
    const uint8_t *next, *end;
    unsigned line;
    bool after_value; /* of the list or mapping that is open: a comma or its end comes next */
    bool after_comma; /* no end may come next */
    uint8_t *text;    /* of a string: as large as the file */
};

static bool refuse(struct reader *reader, const char *text)
{
    return tree_refuse(&reader->tree->fault, reader->line, NULL, "%s", text);
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static void skip_space(struct reader *reader)
{
    for (; reader->next < reader->end && is_space(*reader->next); reader->next++)
        reader->line += *reader->next == '\n';
}

/* Four hexadecimal digits. False: they are not. */
static bool read_hex(struct reader *reader, uint32_t *value_out)
{
    *value_out = 0;
    for (int i = 0; i < 4; i++) {
        const int digit = reader->next < reader->end ? hex_digit(*reader->next) : -1;

        if (digit < 0)
            return refuse(reader, "\\u needs four hexadecimal digits");
        *value_out = *value_out << 4 | (uint32_t)digit;
        reader->next++;
    }
    return true;
}

static size_t write_utf8(uint8_t *to, uint32_t code)
{
    if (code < 0x80) {
        to[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (uint8_t)(0xc0 | code >> 6);
        to[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (uint8_t)(0xe0 | code >> 12);
        to[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        to[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | code >> 18);
    to[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    to[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    to[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

/* Behind "\u". */
static bool read_code(struct reader *reader, uint32_t *code_out)
{
    uint32_t high, low;

    if (!read_hex(reader, &high))
        return false;
    *code_out = high;
    if (high < 0xd800 || high > 0xdfff)
        return true;
    if (high > 0xdbff || reader->end - reader->next < 2 || memcmp(reader->next, "\\u", 2) != 0)
        return refuse(reader, "half of a pair of surrogates");
    reader->next += 2;
    if (!read_hex(reader, &low))
        return false;
    if (low < 0xdc00 || low > 0xdfff)
        return refuse(reader, "half of a pair of surrogates");
    *code_out = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* Behind a backslash. */
static bool read_escape(struct reader *reader, size_t *size)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const uint8_t letter = reader->next < reader->end ? *reader->next++ : 0;
    const char *name = letter != 0 ? strchr(names, letter) : NULL;
    uint32_t code;

    if (name) {
        reader->text[(*size)++] = (uint8_t)values[name - names];
        return true;
    }
    if (letter != 'u')
        return refuse(reader, "an unknown escape in a string");
    if (!read_code(reader, &code))
        return false;
    *size += write_utf8(reader->text + *size, code);
    return true;
}

/* Behind the first quote. What an escape stands for is never longer than the escape. */
static bool read_string(struct reader *reader)
{
    const unsigned line = reader->line;
    size_t size = 0;

    for (;;) {
        if (reader->next == reader->end)
            return refuse(reader, "a string does not end");

        const uint8_t byte = *reader->next++;

        if (byte == '"')
            return tree_text(reader->tree, (struct bytes){reader->text, size}, line);
        if (byte < 0x20)
            return refuse(reader, "a control character in a string");
        if (byte != '\\')
            reader->text[size++] = byte;
        else if (!read_escape(reader, &size))
            return false;
    }
}

static size_t digits(const uint8_t *at, const uint8_t *end)
{
    size_t count = 0;

    while (at + count < end && at[count] >= '0' && at[count] <= '9')
        count++;
    return count;
}

/* The bytes of a number. 0: it is none. */
static size_t number_size(const uint8_t *from, const uint8_t *end)
{
    const uint8_t *at = from + (*from == '-');
    size_t count = digits(at, end);

    if (count == 0 || (count > 1 && *at == '0'))
        return 0;
    at += count;
    if (at < end && *at == '.') {
        count = digits(at + 1, end);
        at += count > 0 ? count + 1 : 0;
        if (count == 0)
            return 0;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at += 1 + (at + 1 < end && (at[1] == '+' || at[1] == '-'));
        count = digits(at, end);
        at += count;
        if (count == 0)
            return 0;
    }
    return (size_t)(at - from);
}

/* A number, true, false or null. */
static bool read_word(struct reader *reader)
{
    static const char *const words[] = {"true", "false", "null"};
    size_t size = 0;

    if (tree_wants_key(reader->tree))
        return refuse(reader, "a key must be a string");
    for (size_t i = 0; i < ARRAY_LEN(words) && size == 0; i++) {
        if ((size_t)(reader->end - reader->next) >= strlen(words[i]) &&
            memcmp(reader->next, words[i], strlen(words[i])) == 0)
            size = strlen(words[i]);
    }
    if (size == 0)
        size = number_size(reader->next, reader->end);
    if (size == 0)
        return refuse(reader, "this is no value of JSON");

    const struct bytes word = {reader->next, size};

    reader->next += size;
    return word.data[0] == 'n' ? tree_null(reader->tree, reader->line)
                               : tree_text(reader->tree, word, reader->line);
}

static bool read_colon(struct reader *reader)
{
    skip_space(reader);
    if (reader->next == reader->end || *reader->next != ':')
        return refuse(reader, "':' must follow a key");
    reader->next++;
    return true;
}

static const struct node *open_node(const struct reader *reader)
{
    return reader->tree->depth > 0 ? reader->tree->open[reader->tree->depth - 1] : NULL;
}

static bool read_end(struct reader *reader, enum node_kind kind)
{
    const struct node *open = open_node(reader);

    if (!open || open->kind != kind || reader->after_comma)
        return refuse(reader, "this end of a list or an object does not fit here");
    reader->next++;
    reader->after_value = true;
    return tree_end(reader->tree, reader->line);
}

static bool read_begin(struct reader *reader, enum node_kind kind)
{
    reader->next++;
    reader->after_value = reader->after_comma = false;
    return tree_begin(reader->tree, kind, reader->line);
}

/* A value, or a key and its colon. */
static bool read_value(struct reader *reader)
{
    const bool is_key = tree_wants_key(reader->tree);

    reader->after_comma = false;
    if (*reader->next != '"') {
        reader->after_value = true;
        return read_word(reader);
    }
    reader->next++;
    if (!read_string(reader))
        return false;
    reader->after_value = !is_key;
    return !is_key || read_colon(reader);
}

static bool read_next(struct reader *reader)
{
    const uint8_t byte = *reader->next;

    if (byte == ']' || byte == '}')
        return read_end(reader, byte == ']' ? NODE_LIST : NODE_MAP);
    if (reader->after_value) {
        if (byte != ',' || !open_node(reader))
            return refuse(reader,
                          open_node(reader) ? "',' must follow a value" : "something follows the end");
        reader->next++;
        reader->after_value = false;
        reader->after_comma = true;
        return true;
    }
    if (byte == '[' || byte == '{')
        return read_begin(reader, byte == '[' ? NODE_LIST : NODE_MAP);
    return read_value(reader);
}

static unsigned line_of_bad_utf8(struct bytes bytes)
{
    unsigned line = 1;

    for (size_t from = 0, to = 0; to < bytes.size; to++) {
        if (bytes.data[to] != '\n')
            continue;
        if (!utf8_valid((struct bytes){bytes.data + from, to - from}))
            break;
        from = to + 1;
        line++;
    }
    return line;
}

bool json_text_read(struct bytes bytes, struct tree *tree)
{
    struct reader reader = {.tree = tree, .next = bytes.data, .end = bytes.data + bytes.size, .line = 1};
    bool is_good = true;

    if (!utf8_valid(bytes))
        return tree_refuse(&tree->fault, line_of_bad_utf8(bytes), NULL, "not valid UTF-8, or a NUL");
    reader.text = malloc(bytes.size + 4);
    if (!reader.text)
        return tree_refuse(&tree->fault, 0, NULL, "out of memory");
    while (is_good) {
        skip_space(&reader);
        if (reader.next == reader.end)
            break;
        is_good = read_next(&reader);
    }
    free(reader.text);
    return is_good && tree_complete(tree);
}
