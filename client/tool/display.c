/* display.c - widths by wcwidth() of the C library. */
#include "client/tool/display.h"

#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define DEFAULT_COLUMNS 80
#define DEFAULT_ROWS 24

/* Made once, and kept until the process ends. */
static struct {
    pthread_once_t once;
    locale_t utf8;        /* for wcwidth(); 0: there is none */
    const char *ellipsis; /* in the encoding of the user */
    unsigned ellipsis_width;
} display = {.once = PTHREAD_ONCE_INIT};

static void init(void)
{
    locale_t users = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    const bool is_utf8 = users && strcmp(nl_langinfo_l(CODESET, users), "UTF-8") == 0;

    if (users)
        freelocale(users);
    display.utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    display.ellipsis = is_utf8 ? "\xe2\x80\xa6" : "..";
    display.ellipsis_width = is_utf8 ? 1 : 2;
}

struct display_size display_size(int fd)
{
    struct winsize size = {0};

    if (!isatty(fd))
        return (struct display_size){0, 0};
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
        return (struct display_size){DEFAULT_COLUMNS, DEFAULT_ROWS};
    return (struct display_size){size.ws_col, size.ws_row};
}

/* Reads the character that `data` begins with. Returns its size. */
static size_t read_character(const uint8_t *data, size_t left, wchar_t *character_out)
{
    const size_t size = *data < 0x80 ? 1 : *data >= 0xf0 ? 4 : *data >= 0xe0 ? 3 : 2;
    uint32_t character = *data & (0xffu >> (size > 1 ? size + 1 : 0));

    if (size > left)
        return left; /* not valid UTF-8: what is left counts as one */
    for (size_t i = 1; i < size; i++)
        character = character << 6 | (data[i] & 0x3fu);
    *character_out = (wchar_t)character;
    return size;
}

/* The width of the character that `data` begins with. *size_out is how many bytes it has. */
static unsigned character_width(const uint8_t *data, size_t left, size_t *size_out)
{
    wchar_t character = L'?';
    int width = 1;

    *size_out = read_character(data, left, &character);
    if (character >= 0x80 && display.utf8) {
        const locale_t before = uselocale(display.utf8);

        width = wcwidth(character);
        uselocale(before);
    }
    return width < 0 ? 1 : (unsigned)width; /* a tab, or one that the C library does not know */
}

unsigned display_width(struct tributary_bytes text)
{
    const uint8_t *data = text.data;
    unsigned width = 0;
    size_t size = 0;

    pthread_once(&display.once, init);
    for (size_t i = 0; i < text.size; i += size)
        width += character_width(data + i, text.size - i, &size);
    return width;
}

/* The bytes of the longest beginning that takes at most `width` columns, with the combining
 * characters behind it. *width_out is how many it takes. */
static size_t head_of(struct tributary_bytes text, unsigned width, unsigned *width_out)
{
    const uint8_t *data = text.data;
    size_t size = 0;
    size_t i = 0;

    for (*width_out = 0; i < text.size; i += size) {
        const unsigned one = character_width(data + i, text.size - i, &size);

        if (*width_out + one > width)
            break;
        *width_out += one;
    }
    return i;
}

void display_fit(struct buf *buf, struct tributary_bytes text, unsigned width)
{
    const unsigned full = display_width(text);
    const uint8_t *data = text.data;
    unsigned before = 0;
    unsigned behind = full;
    size_t i = 0;
    size_t size = 0;

    if (full <= width || width <= display.ellipsis_width) {
        buf_bytes(buf, text.data, full <= width ? text.size : head_of(text, width, &before));
        return;
    }
    width -= display.ellipsis_width;
    buf_bytes(buf, text.data, head_of(text, (width + 1) / 2, &before));
    buf_text(buf, display.ellipsis);
    for (i = 0; i < text.size && behind > width - before; i += size)
        behind -= character_width(data + i, text.size - i, &size);
    for (; i < text.size && character_width(data + i, text.size - i, &size) == 0; i += size)
        continue; /* a combining character without its base */
    buf_bytes(buf, data + i, text.size - i);
}

void display_fit_head(struct buf *buf, struct tributary_bytes text, unsigned width)
{
    const bool fits = display_width(text) <= width; /* it also finds out how wide an ellipsis is */
    const bool has_ellipsis = !fits && width > display.ellipsis_width;
    unsigned before = 0;

    buf_bytes(buf, text.data,
              fits ? text.size
                   : head_of(text, has_ellipsis ? width - display.ellipsis_width : width, &before));
    buf_text(buf, has_ellipsis ? display.ellipsis : "");
}
