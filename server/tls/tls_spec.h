/* tls_spec.h - one TLS setting as the command line names it:
 *
 *   NAME[:KEY=VALUE[,KEY=VALUE]...]   with the keys ca, cert, key and server-name
 *
 * A comma of a value is written twice.
 *
 * Threads: any. */
#ifndef TRIBUTARY_SERVER_TLS_TLS_SPEC_H
#define TRIBUTARY_SERVER_TLS_TLS_SPEC_H

#include <stdbool.h>

#include "base/base.h"

#define MAX_TLS_SETTINGS 32u /* besides the one that is always there */
#define MAX_TLS_NAME_BYTES 64u
#define TLS_SPEC_FAULT_CAPACITY 192u

/* It is always there: the roots of the system, and no certificate of our own. */
#define TLS_SYSTEM "system"

struct tls_spec {
    const char *name;
    /* Each may be NULL: the roots of the system; no certificate of our own, and then no key; the
     * name that the address has. */
    const char *roots_file, *chain_file, *key_file, *server_name;
    char *text; /* what they point into */
};

/* Reads a text. False: `fault` says how it must be, and nothing needs to be freed. */
MUST_CHECK bool tls_spec_read(const char *text, struct tls_spec *spec_out,
                              char fault[TLS_SPEC_FAULT_CAPACITY]);
void tls_spec_fini(struct tls_spec *spec); /* a zeroed one is allowed */

#endif
