/* descriptors_internal.h - the index as the files see it that make it: descriptor_files.c has the
 * files, descriptor_names.c what they declare. */
#ifndef TRIBUTARY_REFLECT_DESCRIPTORS_INTERNAL_H
#define TRIBUTARY_REFLECT_DESCRIPTORS_INTERNAL_H

#include <stdint.h>

#include "base/map.h"
#include "event/field.h"
#include "reflect/descriptors.h"

struct symbol {
    struct map_node node;
    struct symbol *next; /* of all symbols, to free them */
    uint32_t file;
    bool is_message;
    char name[];
};

struct file {
    struct map_node node; /* by name */
    struct bytes proto, name;
    uint32_t first_import, import_count; /* in `imports` */
    uint32_t missing;                    /* the first import without a place, as far as is known */
    uint32_t place;                      /* in `order` */
    bool is_placed;
};

struct descriptors {
    struct map symbols;
    struct symbol *first;
    size_t symbol_count, name_bytes;
    struct map by_name; /* struct file */
    struct file *files; /* as in the set */
    uint32_t *order;    /* places to files: each after all that it imports */
    size_t file_count;
    uint32_t *imports; /* numbers of files */
    size_t import_count;
    struct descriptors_fault fault;
};

/* Finds the next length-delimited field from *at on, and advances *at behind it. `number` 0: any
 * field. False: there is none, or the bytes are not a message. */
bool descriptors_next(const uint8_t **at, const uint8_t *end, uint32_t number, struct field *field);
/* The first such field. Empty: there is none. */
struct bytes descriptors_text(struct bytes message, uint32_t number);

/* Notes why the set is refused: ERR_INVALID. */
enum err descriptors_refuse(struct descriptors *descriptors, const char *what, struct bytes name);

/* Adds all that a file declares. ERR_INVALID, ERR_NO_MEMORY: the index is to be freed. */
MUST_CHECK enum err descriptors_declare(struct descriptors *descriptors, size_t file);

#endif
