/* dial_words.c - see dial_words.h. The words of gRPC core 1.51 decide about words only. */
#include "server/dial/dial_words.h"

#include <stdio.h>
#include <string.h>

#include "server/dial/upstream_tls.h"

static bool holds(struct bytes text, const char *part)
{
    return text.size > 0 && memmem(text.data, text.size, part, strlen(part));
}

static bool is_closed(struct bytes text)
{
    static const char *const parts[] = {"Socket closed", "Endpoint read failed", "Connection reset",
                                        "Broken pipe", "Handshake read failed"};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (holds(text, parts[i]))
            return true;
    return false;
}

/* A server that wants a certificate says so in TLS, or only hangs up. */
static bool is_refused(struct bytes text)
{
    return holds(text, "alert certificate") || holds(text, "alert bad certificate") ||
           holds(text, "alert unknown ca") || holds(text, "alert handshake failure") || is_closed(text);
}

static const char *plain_words(struct bytes text, const struct upstream_tls *tls)
{
    if (!tls)
        return is_closed(text) ? "the upstream closed the connection before it accepted the call; it may "
                                 "expect TLS"
                               : NULL;
    if (holds(text, "wrong version number") || holds(text, "packet length too long") ||
        holds(text, "http request"))
        return "the upstream does not speak TLS; it may expect plaintext";
    if (holds(text, "ALPN") || holds(text, "no application protocol"))
        return "the upstream's TLS does not offer HTTP/2 (ALPN h2)";
    if (!is_refused(text))
        return NULL;
    return tls->setting->spec.chain_file
               ? "the upstream closed the connection after TLS had begun; it may not accept our certificate"
               : "the upstream closed the connection after TLS had begun; it may require a certificate of "
                 "ours";
}

struct bytes dial_words(struct bytes text, const struct upstream_tls *tls, char to[DIAL_WORDS_CAPACITY])
{
    const uint8_t *own = tls && text.size > 0
                             ? memmem(text.data, text.size, TLS_ROOTS_FAULT, sizeof(TLS_ROOTS_FAULT) - 1)
                             : NULL;
    const char *words = plain_words(text, tls);

    if (own) /* our own check has written the rest */
        return (struct bytes){own, text.size - (size_t)(own - text.data)};
    if (!words)
        return text;
    const int size = snprintf(to, DIAL_WORDS_CAPACITY, "%s (%.*s)", words,
                              (int)MIN_OF(text.size, (size_t)512), (const char *)text.data);
    return (struct bytes){(const uint8_t *)to, MIN_OF((size_t)MAX_OF(size, 0), DIAL_WORDS_CAPACITY - 1)};
}
