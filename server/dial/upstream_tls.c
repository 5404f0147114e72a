/* upstream_tls.c - see upstream_tls.h. */
#include "server/dial/upstream_tls.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <grpc/support/string_util.h>

void upstream_tls_init(struct upstream_tls *tls, const struct tls_setting *setting)
{
    *tls = (struct upstream_tls){.setting = setting};
    CHECK(pthread_mutex_init(&tls->lock, NULL) == 0);
}

void upstream_tls_fini(struct upstream_tls *tls)
{
    if (tls->credentials)
        grpc_channel_credentials_release(tls->credentials);
    pthread_mutex_destroy(&tls->lock);
}

/* ---- the check of a server's certificate ---- */

struct verifier {
    grpc_tls_certificate_verifier_external base;
    struct tls_roots *roots;
};

/* A thread of the core, after the handshake, and before anything is sent. */
static int verify(void *ctx, grpc_tls_custom_verification_check_request *request,
                  grpc_tls_on_custom_verification_check_done_cb unused, void *unused_ctx,
                  grpc_status_code *status_out, char **text_out)
{
    struct verifier *verifier = ctx;
    const char *chain = request->peer_info.peer_cert_full_chain;
    const char *host = request->target_name;
    char fault[PEM_FAULT_CAPACITY];

    (void)unused;
    (void)unused_ctx;
    if (!chain)
        chain = request->peer_info.peer_cert;
    *status_out = GRPC_STATUS_OK;
    if (!tls_roots_check(verifier->roots, text_bytes(chain ? chain : ""), host ? host : "", fault)) {
        *status_out = GRPC_STATUS_UNAUTHENTICATED;
        *text_out = gpr_strdup(fault);
    }
    return 1; /* it is done */
}

static void cancel(void *ctx, grpc_tls_custom_verification_check_request *request)
{
    (void)ctx;
    (void)request; /* none is under way */
}

static void destruct(void *ctx)
{
    struct verifier *verifier = ctx;

    tls_roots_release(verifier->roots);
    free(verifier);
}

static grpc_tls_certificate_verifier *verifier_new(struct tls_roots *roots)
{
    struct verifier *verifier = calloc(1, sizeof(*verifier));

    CHECK(verifier);
    verifier->base = (grpc_tls_certificate_verifier_external){
        .user_data = verifier, .verify = verify, .cancel = cancel, .destruct = destruct};
    verifier->roots = tls_roots_retain(roots);
    return grpc_tls_certificate_verifier_external_create(&verifier->base);
}

/* ---- the credentials ---- */

/* The core copies the texts. It does not use the root, but would read those of the system without
 * one. */
static void set_content(grpc_tls_credentials_options *options, const struct tls_content *content)
{
    grpc_tls_identity_pairs *pairs = NULL;

    if (content->key) {
        pairs = grpc_tls_identity_pairs_create();
        grpc_tls_identity_pairs_add_pair(pairs, content->key, content->chain);
        grpc_tls_credentials_options_watch_identity_key_cert_pairs(options);
    }
    grpc_tls_certificate_provider *provider =
        grpc_tls_certificate_provider_static_data_create(tls_roots_first(content->roots), pairs);
    grpc_tls_credentials_options_set_certificate_provider(options, provider);
    grpc_tls_credentials_options_watch_root_certs(options);
    grpc_tls_certificate_provider_release(provider);
}

/* The core checks nothing itself: verify() does. */
static grpc_channel_credentials *credentials_new(const struct tls_content *content)
{
    grpc_tls_credentials_options *options = grpc_tls_credentials_options_create();
    grpc_tls_certificate_verifier *verifier = verifier_new(content->roots);

    grpc_tls_credentials_options_set_certificate_verifier(options, verifier);
    grpc_tls_certificate_verifier_release(verifier);
    grpc_tls_credentials_options_set_verify_server_cert(options, 0);
    set_content(options, content);
    return grpc_tls_credentials_create(options);
}

static void make(struct upstream_tls *tls)
{
    grpc_channel_credentials *fresh = credentials_new(&tls->setting->content);

    pthread_mutex_lock(&tls->lock);
    grpc_channel_credentials *old = tls->credentials;
    tls->credentials = fresh;
    atomic_fetch_add(&tls->version, 1);
    pthread_mutex_unlock(&tls->lock);
    if (old)
        grpc_channel_credentials_release(old);
}

bool upstream_tls_prepare(struct upstream_tls *tls)
{
    if (!tls->setting->content.roots)
        return false;
    if (!tls->credentials)
        make(tls);
    return true;
}

void upstream_tls_renew(struct upstream_tls *tls)
{
    if (tls->credentials)
        make(tls);
}

uint64_t upstream_tls_version(const struct upstream_tls *tls)
{
    return atomic_load(&tls->version);
}

grpc_channel *upstream_tls_channel(struct upstream_tls *tls, const char *target,
                                   const grpc_channel_args *args, uint64_t *version_out)
{
    pthread_mutex_lock(&tls->lock);
    grpc_channel *channel = grpc_channel_create(target, tls->credentials, args);
    *version_out = atomic_load(&tls->version);
    pthread_mutex_unlock(&tls->lock);
    return channel;
}
