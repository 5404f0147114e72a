/* tls_roots.c - see tls_roots.h. */
#include "server/tls/tls_roots.h"

#include <arpa/inet.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

/* Of keys and digests, as Debian has it for TLS: 112 bits. */
#define SECURITY_LEVEL 2
#define NAMES_SHOWN 3

struct tls_roots {
    _Atomic unsigned refs;
    char *first;
    uint8_t digest[SHA256_DIGEST_LENGTH];

    /* Under the lock. */
    pthread_mutex_t lock;
    X509_STORE *store; /* NULL: not read yet. It has a lock of its own */
    char *unread;      /* what is to be read; NULL: it was */
};

static int no_passphrase(char *buf, int size, int for_writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)for_writing;
    (void)ctx;
    return -1;
}

static X509 *next_certificate(BIO *bio)
{
    return PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL);
}

static BIO *open_text(struct bytes pem)
{
    return pem.size <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.size) : NULL;
}

/* ---- the roots ---- */

static X509_STORE *store_new(struct bytes pem, char fault[PEM_FAULT_CAPACITY])
{
    struct pem_summary summary;
    X509_STORE *store = X509_STORE_new();
    BIO *bio = open_text(pem);
    bool is_good = store && bio;
    unsigned count = 0;
    X509 *root;

    while (is_good && (root = next_certificate(bio))) {
        is_good = X509_STORE_add_cert(store, root) == 1;
        X509_free(root);
        count++;
    }
    BIO_free(bio);
    is_good = is_good && count > 0 && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    if (is_good)
        return store;
    X509_STORE_free(store);
    if (pem_check_certificates(pem, &summary, fault)) /* it knows what is wrong */
        snprintf(fault, PEM_FAULT_CAPACITY, "no memory");
    return NULL;
}

/* The text of the first certificate. NULL: out of memory. */
static char *copy_first(struct bytes pem)
{
    static const char begin[] = "-----BEGIN ", end[] = "-----END ", dashes[] = "-----";
    const char *text = (const char *)pem.data, *limit = text + pem.size;
    const char *from = memmem(text, pem.size, begin, sizeof(begin) - 1);
    const char *to = from ? memmem(from, (size_t)(limit - from), end, sizeof(end) - 1) : NULL;

    if (to)
        to = memmem(to + sizeof(end) - 1, (size_t)(limit - to) - (sizeof(end) - 1), dashes,
                    sizeof(dashes) - 1);
    return to ? strndup(from, (size_t)(to - from) + sizeof(dashes) - 1) : strdup("");
}

struct tls_roots *tls_roots_later(struct bytes pem)
{
    struct tls_roots *roots = calloc(1, sizeof(*roots));

    if (!roots)
        return NULL;
    atomic_init(&roots->refs, 1);
    CHECK(pthread_mutex_init(&roots->lock, NULL) == 0);
    SHA256(pem.data, pem.size, roots->digest);
    roots->first = copy_first(pem);
    roots->unread = strndup((const char *)pem.data, pem.size);
    if (roots->first && roots->unread)
        return roots;
    tls_roots_release(roots);
    return NULL;
}

/* NULL: they could not be read. */
static X509_STORE *read_store(struct tls_roots *roots, char fault[PEM_FAULT_CAPACITY])
{
    pthread_mutex_lock(&roots->lock);
    if (!roots->store)
        roots->store = store_new(text_bytes(roots->unread), fault);
    X509_STORE *store = roots->store;
    if (store) {
        free(roots->unread);
        roots->unread = NULL;
    }
    pthread_mutex_unlock(&roots->lock);
    return store;
}

struct tls_roots *tls_roots_new(struct bytes pem, char fault[PEM_FAULT_CAPACITY])
{
    struct tls_roots *roots = tls_roots_later(pem);

    if (!roots)
        snprintf(fault, PEM_FAULT_CAPACITY, "no memory");
    if (!roots || read_store(roots, fault))
        return roots;
    tls_roots_release(roots);
    return NULL;
}

const char *tls_roots_first(const struct tls_roots *roots)
{
    return roots->first;
}

struct tls_roots *tls_roots_retain(struct tls_roots *roots)
{
    atomic_fetch_add_explicit(&roots->refs, 1, memory_order_relaxed);
    return roots;
}

void tls_roots_release(struct tls_roots *roots)
{
    if (!roots || atomic_fetch_sub_explicit(&roots->refs, 1, memory_order_acq_rel) != 1)
        return;
    X509_STORE_free(roots->store);
    pthread_mutex_destroy(&roots->lock);
    free(roots->first);
    free(roots->unread);
    free(roots);
}

bool tls_roots_same(const struct tls_roots *a, const struct tls_roots *b)
{
    return !a || !b ? a == b : memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}

/* ---- a chain ---- */

#define FAULT(...) snprintf(fault, PEM_FAULT_CAPACITY, TLS_ROOTS_FAULT __VA_ARGS__)

static void write_date(const ASN1_TIME *time, char text[32])
{
    struct tm parts = {.tm_isdst = 0};

    if (ASN1_TIME_to_tm(time, &parts) != 1 || strftime(text, 32, "%Y-%m-%d %H:%M UTC", &parts) == 0)
        snprintf(text, 32, "an unknown time");
}

static void write_name(const GENERAL_NAME *name, char text[INET6_ADDRSTRLEN + 64])
{
    const ASN1_STRING *bytes = name->type == GEN_IPADD ? name->d.iPAddress : name->d.dNSName;
    const int size = ASN1_STRING_length(bytes);
    const uint8_t *data = ASN1_STRING_get0_data(bytes);

    if (name->type == GEN_DNS)
        snprintf(text, INET6_ADDRSTRLEN + 64, "%.*s", size, (const char *)data);
    else if (size != 4 && size != 16)
        snprintf(text, INET6_ADDRSTRLEN + 64, "no address");
    else
        (void)inet_ntop(size == 4 ? AF_INET : AF_INET6, data, text, INET6_ADDRSTRLEN);
}

/* Writes the first names of a certificate, or its subject's where it has none. The peer chose them:
 * whoever shows the text must expect any bytes. */
static void write_names(X509 *certificate, char text[128])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t size = 0;

    text[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && i < NAMES_SHOWN && size < 127; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char one[INET6_ADDRSTRLEN + 64];

        if (name->type != GEN_DNS && name->type != GEN_IPADD)
            continue;
        write_name(name, one);
        size += (size_t)snprintf(text + size, 128 - size, "%s%s", size > 0 ? ", " : "", one);
    }
    GENERAL_NAMES_free(names);
    if (size == 0)
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text, 128);
    if (text[0] == '\0')
        snprintf(text, 128, "no name");
}

static void explain(const X509_STORE_CTX *ctx, const char *host, char fault[PEM_FAULT_CAPACITY])
{
    X509 *certificate = X509_STORE_CTX_get_current_cert(ctx);
    const int error = X509_STORE_CTX_get_error(ctx);
    const char *whose = X509_STORE_CTX_get_error_depth(ctx) > 0 ? "hangs on a CA's, which " : "";
    char date[32], names[128];

    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        write_date(X509_get0_notAfter(certificate), date);
        FAULT("%sexpired at %s", whose, date);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        write_date(X509_get0_notBefore(certificate), date);
        FAULT("%sis not valid before %s", whose, date);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        FAULT("is signed by no CA that the TLS setting trusts");
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        write_names(certificate, names);
        FAULT("is for %s, not for %.80s", names, host);
        break;
    default:
        FAULT("is refused: %s", X509_verify_cert_error_string(error));
        break;
    }
}

static bool set_rules(X509_STORE_CTX *ctx, const char *host)
{
    X509_VERIFY_PARAM *rules = X509_STORE_CTX_get0_param(ctx);

    X509_VERIFY_PARAM_set_auth_level(rules, SECURITY_LEVEL);
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_STORE_CTX_set_default(ctx, "ssl_server") == 1 && *host != '\0' &&
           (X509_VERIFY_PARAM_set1_ip_asc(rules, host) == 1 ||
            X509_VERIFY_PARAM_set1_host(rules, host, 0) == 1);
}

static bool check_chain(struct tls_roots *roots, STACK_OF(X509) * chain, const char *host,
                        char fault[PEM_FAULT_CAPACITY])
{
    char reason[PEM_FAULT_CAPACITY] = "no memory";
    X509_STORE *store = read_store(roots, reason);
    X509_STORE_CTX *ctx = store ? X509_STORE_CTX_new() : NULL;
    bool is_good = false;

    FAULT("cannot be checked: %.180s", reason);
    if (ctx && X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain) == 1 && set_rules(ctx, host)) {
        is_good = X509_verify_cert(ctx) == 1;
        if (!is_good)
            explain(ctx, host, fault);
    }
    X509_STORE_CTX_free(ctx);
    return is_good;
}

bool tls_roots_check(struct tls_roots *roots, struct bytes chain, const char *host,
                     char fault[PEM_FAULT_CAPACITY])
{
    STACK_OF(X509) *certificates = sk_X509_new_null();
    BIO *bio = open_text(chain);
    X509 *certificate;
    bool is_good = certificates && bio;

    while (is_good && (certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL))) {
        is_good = sk_X509_push(certificates, certificate) > 0;
        if (!is_good)
            X509_free(certificate);
    }
    if (is_good && sk_X509_num(certificates) > 0) {
        is_good = check_chain(roots, certificates, host, fault);
    } else {
        is_good = false;
        FAULT("is missing or damaged");
    }
    BIO_free(bio);
    sk_X509_pop_free(certificates, X509_free);
    ERR_clear_error();
    return is_good;
}
