/* embedded_descriptors.h - the .proto files of this program.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_RPC_EMBEDDED_DESCRIPTORS_H
#define TRIBUTARY_SERVER_RPC_EMBEDDED_DESCRIPTORS_H

#include "base/base.h"

/* The FileDescriptorSet that was embedded when this program was built. */
struct bytes embedded_descriptors(void);

#endif
