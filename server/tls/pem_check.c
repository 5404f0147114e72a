/* pem_check.c - see pem_check.h. It reads the texts as gRPC core does (ssl_transport_security.cc),
 * with the same functions. */
#include "server/tls/pem_check.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

static bool wrong(char fault[PEM_FAULT_CAPACITY], const char *what)
{
    const unsigned long error = ERR_peek_last_error();
    const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;

    if (reason)
        snprintf(fault, PEM_FAULT_CAPACITY, "%s: %s", what, reason);
    else
        snprintf(fault, PEM_FAULT_CAPACITY, "%s", what);
    ERR_clear_error();
    return false;
}

static BIO *open_text(struct bytes pem, char fault[PEM_FAULT_CAPACITY])
{
    BIO *bio = pem.size > 0 && pem.size <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.size) : NULL;

    ERR_clear_error();
    if (!bio)
        (void)!wrong(fault, pem.size == 0 ? "it is empty" : "no memory");
    return bio;
}

/* Nobody could type a passphrase in. */
static int no_passphrase(char *buf, int size, int for_writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)for_writing;
    *(bool *)ctx = true;
    return -1;
}

/* Nothing more begins: that is how a text ends. */
static bool is_end(void)
{
    const unsigned long error = ERR_peek_last_error();

    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm parts = {.tm_isdst = 0};

    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : INT64_MAX;
}

bool pem_check_certificates(struct bytes pem, struct pem_summary *summary_out, char fault[PEM_FAULT_CAPACITY])
{
    struct pem_summary summary = {.ends_s = INT64_MAX};
    BIO *bio = open_text(pem, fault);
    bool asks = false;
    X509 *certificate;

    if (!bio)
        return false;
    while ((certificate = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, &asks))) {
        summary.certificates++;
        summary.ends_s = MIN_OF(summary.ends_s, seconds_of(X509_get0_notAfter(certificate)));
        X509_free(certificate);
    }
    const bool is_whole = is_end();
    BIO_free(bio);
    if (!is_whole) {
        char what[64];

        snprintf(what, sizeof(what), "certificate %u is damaged", summary.certificates + 1);
        return wrong(fault, what);
    }
    ERR_clear_error();
    if (summary.certificates == 0)
        return wrong(fault, "there is no certificate in it (-----BEGIN CERTIFICATE-----)");
    *summary_out = summary;
    return true;
}

static bool use_chain(SSL_CTX *tls, BIO *bio, char fault[PEM_FAULT_CAPACITY])
{
    bool asks = false;
    X509 *certificate = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, &asks);
    const bool is_used = certificate && SSL_CTX_use_certificate(tls, certificate) == 1;

    X509_free(certificate);
    return is_used ||
           wrong(fault, certificate ? "TLS refuses the certificate" : "no certificate can be read");
}

static bool use_key(SSL_CTX *tls, BIO *bio, char fault[PEM_FAULT_CAPACITY])
{
    bool asks = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asks);

    if (!key) {
        if (asks)
            ERR_clear_error();
        return wrong(fault, asks ? "the key is encrypted: nobody could give a passphrase"
                                 : "no private key in it can be read");
    }
    const bool fits = SSL_CTX_use_PrivateKey(tls, key) == 1 && SSL_CTX_check_private_key(tls) == 1;
    EVP_PKEY_free(key);
    return fits || wrong(fault, "the key does not belong to the first certificate of the chain");
}

bool pem_check_identity(struct bytes chain, struct bytes key, char fault[PEM_FAULT_CAPACITY])
{
    BIO *chain_bio = open_text(chain, fault);
    BIO *key_bio = chain_bio ? open_text(key, fault) : NULL;
    SSL_CTX *tls = key_bio ? SSL_CTX_new(TLS_client_method()) : NULL;
    bool is_good = false;

    if (tls)
        is_good = use_chain(tls, chain_bio, fault) && use_key(tls, key_bio, fault);
    else if (key_bio)
        is_good = wrong(fault, "no memory");
    SSL_CTX_free(tls);
    BIO_free(key_bio);
    BIO_free(chain_bio);
    ERR_clear_error();
    return is_good;
}
