/* yaml_text.c - see yaml_text.h. libyaml gives one event after the other; nothing is expanded. */
#include "server/config/yaml_text.h"

#include <string.h>

#include <yaml.h>

#include "event/text.h"

static bool is_null(const yaml_event_t *event, struct bytes text)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};

    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (bytes_same(text, text_bytes(words[i])))
            return true;
    }
    return false;
}

static bool add_scalar(struct tree *tree, const yaml_event_t *event, unsigned line)
{
    const struct bytes text = {event->data.scalar.value, event->data.scalar.length};

    if (memchr(text.data, 0, text.size))
        return tree_refuse(&tree->fault, line, NULL, "a NUL in a text");
    return is_null(event, text) ? tree_null(tree, line) : tree_text(tree, text, line);
}

static const char *anchor_of(const yaml_event_t *event)
{
    const yaml_char_t *anchor = event->type == YAML_SCALAR_EVENT           ? event->data.scalar.anchor
                                : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.anchor
                                : event->type == YAML_MAPPING_START_EVENT  ? event->data.mapping_start.anchor
                                                                           : NULL;

    return (const char *)anchor;
}

static const char *tag_of(const yaml_event_t *event)
{
    const yaml_char_t *tag = event->type == YAML_SCALAR_EVENT           ? event->data.scalar.tag
                             : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.tag
                             : event->type == YAML_MAPPING_START_EVENT  ? event->data.mapping_start.tag
                                                                        : NULL;

    return (const char *)tag;
}

static bool add(struct tree *tree, const yaml_event_t *event)
{
    const unsigned line = (unsigned)event->start_mark.line + 1;

    if (anchor_of(event))
        return tree_refuse(&tree->fault, line, NULL, "an anchor (&%.40s) is not supported", anchor_of(event));
    if (tag_of(event))
        return tree_refuse(&tree->fault, line, NULL, "a tag (%.60s) is not supported", tag_of(event));
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return add_scalar(tree, event, line);
    case YAML_SEQUENCE_START_EVENT:
        return tree_begin(tree, NODE_LIST, line);
    case YAML_MAPPING_START_EVENT:
        return tree_begin(tree, NODE_MAP, line);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return tree_end(tree, line);
    case YAML_ALIAS_EVENT:
        return tree_refuse(&tree->fault, line, NULL, "an alias (*%.40s) is not supported",
                           (const char *)event->data.alias.anchor);
    case YAML_DOCUMENT_START_EVENT:
        return !tree->root || tree_refuse(&tree->fault, line, NULL, "a second document");
    default:
        return true;
    }
}

/* An error of the bytes themselves has an offset, and no line. */
static unsigned line_of(const yaml_parser_t *parser, struct bytes bytes)
{
    unsigned line = 1;

    if (parser->error != YAML_READER_ERROR)
        return (unsigned)parser->problem_mark.line + 1;
    for (size_t i = 0; i < MIN_OF(parser->problem_offset, bytes.size); i++)
        line += bytes.data[i] == '\n';
    return line;
}

static bool refuse_syntax(struct tree *tree, const yaml_parser_t *parser, struct bytes bytes)
{
    return tree_refuse(&tree->fault, line_of(parser, bytes), NULL, "%s%s%s",
                       parser->context ? parser->context : "", parser->context ? ": " : "",
                       parser->problem ? parser->problem : "out of memory");
}

/* libyaml ends lines with CR, LF, NEL, LS and PS. */
static bool begins_line(struct bytes bytes, size_t at)
{
    static const char *const breaks[] = {"\n", "\r", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};

    for (size_t i = 0; i < ARRAY_LEN(breaks); i++) {
        const size_t size = strlen(breaks[i]);

        if (at >= size && memcmp(bytes.data + at - size, breaks[i], size) == 0)
            return true;
    }
    return at == 0;
}

/* libyaml compares each %TAG with all before it, at once: a MiB of them takes it a minute. 0: there
 * is none. */
static unsigned line_of_tag_directive(struct bytes bytes)
{
    static const char directive[] = "%TAG";
    const size_t size = sizeof(directive) - 1;
    unsigned line = 1;

    for (size_t i = 0; i + size <= bytes.size; i++) {
        if (bytes.data[i] == '%' && begins_line(bytes, i) && memcmp(bytes.data + i, directive, size) == 0)
            return line;
        line += bytes.data[i] == '\n';
    }
    return 0;
}

bool yaml_text_read(struct bytes bytes, struct tree *tree)
{
    const unsigned tag_line = line_of_tag_directive(bytes);
    bool is_good = true, is_over = false;
    yaml_parser_t parser;

    if (tag_line > 0)
        return tree_refuse(&tree->fault, tag_line, NULL, "a directive (%%TAG) is not supported");
    if (!yaml_parser_initialize(&parser))
        return tree_refuse(&tree->fault, 0, NULL, "out of memory");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, bytes.data, bytes.size);
    while (is_good && !is_over) {
        yaml_event_t event;

        if (!yaml_parser_parse(&parser, &event)) {
            is_good = refuse_syntax(tree, &parser, bytes);
            break;
        }
        is_over = event.type == YAML_STREAM_END_EVENT;
        is_good = add(tree, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return is_good && tree_complete(tree);
}
