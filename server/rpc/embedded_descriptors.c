/* embedded_descriptors.c - the assembler includes the file as it is. TRIBUTARY_DESCRIPTORS is its
 * path. */
#include "server/rpc/embedded_descriptors.h"

__asm__(".pushsection .rodata\n"
        ".balign 8\n"
        "descriptors_begin:\n"
        ".incbin \"" TRIBUTARY_DESCRIPTORS "\"\n"
        "descriptors_end:\n"
        ".byte 0\n"
        ".popsection\n");
extern const uint8_t descriptors_begin[] __attribute__((visibility("hidden")));
extern const uint8_t descriptors_end[] __attribute__((visibility("hidden")));

struct bytes embedded_descriptors(void)
{
    return (struct bytes){descriptors_begin, (size_t)(descriptors_end - descriptors_begin)};
}
