/* listen.h - what the servers of the bench do when they start: listen, and say where. */
#ifndef TRIBUTARY_TESTS_BENCH_LISTEN_H
#define TRIBUTARY_TESTS_BENCH_LISTEN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

/* Reads HOST:PORT in numbers, IPv4. False: it is none. */
bool read_address(const char *address, struct sockaddr_in *address_out);

/* Listens at HOST:PORT; port 0: the kernel chooses one. Writes the address and a newline to
 * `bound`. Returns the socket, which does not block; -1, with errno. */
int listen_at(const char *address, char *bound, size_t capacity);

/* Blocks SIGTERM and SIGINT. Returns a descriptor that is readable when one of them has come; -1,
 * with errno. */
int listen_for_end(void);

/* Writes the ready file in one step, so that no reader sees half of it. False, with errno. */
bool write_ready(const char *path, const char *bound);

#endif
