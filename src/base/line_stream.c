/* line_stream.c - gathers what is written until a line has ended. */
#include "base/line_stream.h"

static void emit(struct line_stream *stream)
{
    if (stream->size > 0)
        stream->line(stream->text, stream->size);
    stream->size = 0;
}

static ssize_t on_write(void *cookie, const char *text, size_t size)
{
    struct line_stream *stream = cookie;

    for (size_t i = 0; i < size; i++) {
        stream->text[stream->size++] = text[i];
        if (text[i] == '\n' || stream->size == sizeof(stream->text))
            emit(stream);
    }
    return (ssize_t)size;
}

static int on_close(void *cookie)
{
    emit(cookie);
    return 0;
}

FILE *line_stream_open(struct line_stream *stream, line_stream_line *line)
{
    const cookie_io_functions_t functions = {.write = on_write, .close = on_close};
    FILE *file = fopencookie(stream, "w", functions);

    if (!file)
        return NULL;
    stream->line = line;
    stream->size = 0;
    setvbuf(file, NULL, _IONBF, 0);
    return file;
}
