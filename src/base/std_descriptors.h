/* std_descriptors.h - standard descriptors that the starter of the process has closed. */
#ifndef TRIBUTARY_BASE_STD_DESCRIPTORS_H
#define TRIBUTARY_BASE_STD_DESCRIPTORS_H

/* Keeps the numbers 0 to 2 from other files: a socket or an eventfd with the number of standard
 * error would get what is written there. Opens /dev/null for each one that is closed, for the other
 * direction: so what uses it fails with EBADF, as before (gnulib's stdopen does the same). */
void std_descriptors_keep(void);

/* Once, in the file with main(): calls it before the initialisers of all libraries. Those of gRPC
 * core open an eventfd. */
#define STD_DESCRIPTORS_KEEP                                                                                 \
    static void (*const std_descriptors_first)(void) __attribute__((section(".preinit_array"), used)) =      \
        std_descriptors_keep

#endif
