/* pem_check.h - whether texts in PEM are what TLS needs. gRPC core takes any text, and then every
 * connection fails with words that do not say why.
 *
 * Threads: any. The functions keep nothing. */
#ifndef TRIBUTARY_SERVER_TLS_PEM_CHECK_H
#define TRIBUTARY_SERVER_TLS_PEM_CHECK_H

#include <stdbool.h>

#include "base/base.h"

#define PEM_FAULT_CAPACITY 256u

struct pem_summary {
    unsigned certificates;
    int64_t ends_s; /* when the first of them expires, in seconds of Unix time */
};

/* Whether it holds certificates, at least one, and nothing that is damaged. False: `fault` says
 * what is wrong. */
MUST_CHECK bool pem_check_certificates(struct bytes pem, struct pem_summary *summary_out,
                                       char fault[PEM_FAULT_CAPACITY]);

/* Whether this side can identify itself with them: `chain` begins with the certificate of the
 * private key, and both are strong enough for TLS. False: `fault` says what is wrong. */
MUST_CHECK bool pem_check_identity(struct bytes chain, struct bytes key, char fault[PEM_FAULT_CAPACITY]);

#endif
