/* header_block.c - see header_block.h. */
#include "h2guard/header_block.h"

#include <string.h>

#include <nghttp2/nghttp2.h>

static bool equals(const uint8_t *data, size_t size, const char *text)
{
    return size == strlen(text) && memcmp(data, text, size) == 0;
}

static void note(struct header_block *block, const nghttp2_nv *field)
{
    if (equals(field->name, field->namelen, "grpc-encoding") &&
        (equals(field->value, field->valuelen, "gzip") || equals(field->value, field->valuelen, "deflate")))
        block->names_encoding = true;
}

/* Decodes bytes; `is_final`: the block ends with them. */
static void decode(struct header_block *block, const uint8_t *data, size_t size, bool is_final)
{
    int flags = 0;

    while (!block->is_off) {
        nghttp2_nv field;
        ssize_t used = nghttp2_hd_inflate_hd2(block->inflater, &field, &flags, data, size, is_final);

        if (used < 0) {
            block->is_off = true;
            return;
        }
        data += used;
        size -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            note(block, &field);
        else if ((flags & NGHTTP2_HD_INFLATE_FINAL) || size == 0)
            return;
    }
}

void header_block_fini(struct header_block *block)
{
    if (block->inflater)
        nghttp2_hd_inflate_del(block->inflater);
    *block = (struct header_block){0};
}

void header_block_begin(struct header_block *block)
{
    block->names_encoding = false;
    if (!block->is_off && !block->inflater && nghttp2_hd_inflate_new(&block->inflater) != 0)
        block->is_off = true;
}

void header_block_bytes(struct header_block *block, const uint8_t *data, size_t size)
{
    if (size > 0)
        decode(block, data, size, false);
}

void header_block_end(struct header_block *block)
{
    static const uint8_t nothing[1];

    decode(block, nothing, 0, true);
    if (!block->is_off)
        nghttp2_hd_inflate_end_headers(block->inflater);
    else
        block->names_encoding = false;
}
