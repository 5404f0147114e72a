/* bench_mark.c - makes the numbers of runs and of machines. */
#include "client/tool/bench_mark.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

uint64_t mark_run(void)
{
    uint16_t random = 0;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        random = (uint16_t)getpid();
    return ((uint64_t)clock_wall_ns() & ~UINT64_C(0xffff)) | random;
}

/* The FNV-1a hash of the kernel's boot id, folded to 16 bits. Where the id cannot be read it is the
 * hash of nothing. */
uint16_t mark_host(void)
{
    const int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    uint8_t text[64];
    ssize_t size = 0;

    if (fd >= 0) {
        size = read(fd, text, sizeof(text));
        close(fd);
    }
    for (ssize_t i = 0; i < size; i++)
        hash = (hash ^ text[i]) * UINT64_C(0x100000001b3);
    return (uint16_t)(hash ^ hash >> 16 ^ hash >> 32 ^ hash >> 48);
}
