/* descriptors.h - the .proto files of this program, as protoc described them, and an index of what
 * they declare. For reflection.
 *
 * Threads: the index does not change once it is made; any thread may read it. */
#ifndef TRIBUTARY_SERVER_RPC_DESCRIPTORS_H
#define TRIBUTARY_SERVER_RPC_DESCRIPTORS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"

struct descriptors;

/* The FileDescriptorSet that was embedded when this program was built. */
struct bytes descriptors_embedded(void);

/* Indexes a serialized FileDescriptorSet by full names: services, methods, messages (nested ones
 * too), fields, oneofs, enums and enum values. The set must outlive the index.
 *
 *   ERR_INVALID    it is no such set, or it names a file that is not in it; nothing was made
 *   ERR_NO_MEMORY  nothing was made */
MUST_CHECK enum err descriptors_new(struct bytes set, struct descriptors **descriptors_out);
void descriptors_free(struct descriptors *descriptors); /* NULL allowed */
OWNED_BY(descriptors_free, struct descriptors);

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
