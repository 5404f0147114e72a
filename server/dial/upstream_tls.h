/* upstream_tls.h - the credentials of one TLS setting, as connections use them. All endpoints that
 * name the setting share them: they are made when the first endpoint names it, and made anew when
 * its files have changed. A connection keeps those with which it was made.
 *
 * Threads: as each function says. */
#ifndef TRIBUTARY_SERVER_DIAL_UPSTREAM_TLS_H
#define TRIBUTARY_SERVER_DIAL_UPSTREAM_TLS_H

#include <pthread.h>
#include <stdbool.h>

#include "base/base.h"
#include "server/tls/tls_settings.h"

#include <grpc/grpc_security.h>

struct upstream_tls {
    const struct tls_setting *setting;
    pthread_mutex_t lock;
    grpc_channel_credentials *credentials; /* NULL: nobody has asked for them */
    _Atomic uint64_t version;              /* of them; 0: none */
};

/* Loop. The setting must outlive it. */
void upstream_tls_init(struct upstream_tls *tls, const struct tls_setting *setting);
void upstream_tls_fini(struct upstream_tls *tls);

/* Loop. Makes the credentials where they are not made yet. False: the setting has no content. */
MUST_CHECK bool upstream_tls_prepare(struct upstream_tls *tls);
/* Loop. The setting has other content. */
void upstream_tls_renew(struct upstream_tls *tls);

/* Any thread. The version of the credentials that a new channel gets. */
uint64_t upstream_tls_version(const struct upstream_tls *tls);
/* Any thread, after upstream_tls_prepare(). A channel with the present credentials. */
grpc_channel *upstream_tls_channel(struct upstream_tls *tls, const char *target,
                                   const grpc_channel_args *args, uint64_t *version_out);

#endif
