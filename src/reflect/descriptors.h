/* descriptors.h - a set of .proto files, as protoc describes them, and an index of what they
 * declare. For reflection.
 *
 * Threads: the index does not change once it is made; any thread may read it. */
#ifndef TRIBUTARY_REFLECT_DESCRIPTORS_H
#define TRIBUTARY_REFLECT_DESCRIPTORS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"

/* Of one set. */
#define MAX_DESCRIPTOR_FILES 1024u
#define MAX_DESCRIPTOR_IMPORTS 8192u /* of all files */
#define MAX_DESCRIPTOR_SYMBOLS 65536u
#define MAX_DESCRIPTOR_NAME_BYTES (4u << 20) /* of all symbols */

struct descriptors;

/* Why a set is refused. */
struct descriptors_fault {
    const char *what;  /* static */
    struct bytes name; /* the file that it is about, in the set; may be empty */
};

/* Indexes a serialized FileDescriptorSet by full names: services, methods, messages (nested ones
 * too), fields, oneofs, enums and enum values. The set must outlive the index. Its files may stand
 * in any order.
 *
 *   ERR_INVALID    it is no such set, it lacks a file that another one imports, or it is over a
 *                  bound: *fault_out says which; nothing was made
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err descriptors_new(struct bytes set, struct descriptors **descriptors_out,
                                    struct descriptors_fault *fault_out);
void descriptors_free(struct descriptors *descriptors); /* NULL allowed */
OWNED_BY(descriptors_free, struct descriptors);

/* About what the index takes, without the set. */
size_t descriptors_bytes(const struct descriptors *descriptors);

/* Finds a file by its name. Files are numbered from 0. False: there is none. */
bool descriptors_file(const struct descriptors *descriptors, struct bytes name, size_t *file_out);
/* Finds the file that declares a full name. False: none does. */
bool descriptors_symbol(const struct descriptors *descriptors, struct bytes name, size_t *file_out);
/* Whether a full name is that of a message. */
bool descriptors_is_message(const struct descriptors *descriptors, struct bytes name);

/* Calls `each` with the serialized FileDescriptorProto of a file, then with those of all files that
 * it imports, directly or not. Each comes once, and before the files that it imports. */
void descriptors_needs(const struct descriptors *descriptors, size_t file,
                       void (*each)(void *ctx, struct bytes proto), void *ctx);

#endif
