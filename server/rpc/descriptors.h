/* descriptors.h - the .proto files of this program, as protoc described them, and an index of what
 * they declare. For reflection.
 *
 * Threads: made by one; afterwards it does not change and any thread may ask it. */
#ifndef TRIBUTARY_SERVER_RPC_DESCRIPTORS_H
#define TRIBUTARY_SERVER_RPC_DESCRIPTORS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/status.h"

struct descriptors;

/* The FileDescriptorSet that was embedded when this program was built. */
struct bytes descriptors_embedded(void);

/* Indexes a serialized FileDescriptorSet, which must outlive the index: packages' services,
 * methods, messages (nested ones too), fields,
 * oneofs, enums and enum values, by their full names. ERR_INVALID    it is no such set, or names a file that is not in it ERR_NO_MEMORY
 * nothing was made */
MUST_CHECK enum err descriptors_new(struct bytes set, struct descriptors **descriptors_out);
void descriptors_free(struct descriptors *descriptors); /* NULL allowed */
OWNED_BY(descriptors_free, struct descriptors);

/* Files are numbered from 0. False: no such file, nothing of this name. */
bool descriptors_file(const struct descriptors *descriptors, struct bytes name, size_t *file_out);
bool descriptors_symbol(const struct descriptors *descriptors, struct bytes name, size_t *file_out);
bool descriptors_is_message(const struct descriptors *descriptors, struct bytes name);

/* Calls `each` with the serialized FileDescriptorProto of a file, then with those of everything it
 * needs, each once; what needs others comes before them. */
void descriptors_needs(const struct descriptors *descriptors, size_t file,
                       void (*each)(void *ctx, struct bytes proto), void *ctx);

#endif
