/* tls_roots.h - certificates that are trusted, and whether the certificate of a server follows from
 * them. gRPC core could check that itself. But it reads all roots anew for each connection, which
 * takes 30 ms of a thread with those of a system, and it does not say what is wrong.
 *
 * The checks are those of OpenSSL for a TLS client: a chain to a root, times, purpose, strength of
 * the keys, and the name.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_TLS_TLS_ROOTS_H
#define TRIBUTARY_SERVER_TLS_TLS_ROOTS_H

#include <stdbool.h>

#include "base/base.h"
#include "server/tls/pem_check.h"

struct tls_roots;

/* Reads roots in PEM. NULL: `fault` says what is wrong with them. */
struct tls_roots *tls_roots_new(struct bytes pem, char fault[PEM_FAULT_CAPACITY]);
/* The same, but they are read at the first tls_roots_check(): those of a system take 22 ms. NULL:
 * out of memory. */
struct tls_roots *tls_roots_later(struct bytes pem);
struct tls_roots *tls_roots_retain(struct tls_roots *roots);
void tls_roots_release(struct tls_roots *roots); /* NULL is allowed */

/* Whether both were made of the same text. NULL is allowed. */
bool tls_roots_same(const struct tls_roots *a, const struct tls_roots *b);

/* The first of the roots, in PEM; "" where there is none. For gRPC core, which needs some root:
 * else it reads those of the system. Valid as long as the roots. */
const char *tls_roots_first(const struct tls_roots *roots);

/* Begins every fault of tls_roots_check(). */
#define TLS_ROOTS_FAULT "the upstream's certificate "

/* Whether a server with this certificate is `host`, a name or an IP address. `chain` is in PEM: the
 * server's certificate, then others that lead to a root. False: `fault` says why not. */
MUST_CHECK bool tls_roots_check(struct tls_roots *roots, struct bytes chain, const char *host,
                                char fault[PEM_FAULT_CAPACITY]);

#endif
