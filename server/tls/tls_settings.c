/* tls_settings.c - see tls_settings.h.
 *
 * DESIGN. A worker reads and checks all files into a draft of each setting; it knows the names of
 * the files and nothing else. The loop compares the drafts with what is there. So nobody waits for
 * a disk, and nobody sees half of a change. */
#include "server/tls/tls_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/workers.h"
#include "server/tls/pem_file.h"

/* What a worker made of the files of a setting. */
struct draft {
    struct tls_content content;
    const char *file; /* that cannot be used; NULL: all can */
    char fault[PEM_FAULT_CAPACITY];
    int64_t ends_s; /* of the certificate of our own */
};

struct tls_settings {
    struct loop *loop;
    const struct tls_port *port;
    void *port_ctx;
    struct tls_setting all[MAX_TLS_SETTINGS + 1]; /* the first is that of the system */
    size_t count;

    /* A reload. */
    struct workers *workers; /* NULL: none runs */
    struct job job;
    struct draft drafts[MAX_TLS_SETTINGS + 1]; /* the worker's while it runs */
    bool again, stopped;
};

/* ---- files ---- */

/* Where systems have their roots, in the order in which gRPC core looks for them. */
static const char *const system_roots[] = {
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"};

static void free_content(struct tls_content *content)
{
    tls_roots_release(content->roots);
    pem_text_free(content->chain);
    pem_text_free(content->key);
    *content = (struct tls_content){NULL, NULL, NULL};
}

/* OpenSSL's own variable may name another file. The text of the first file that is there. */
static char *read_system_roots(struct draft *draft)
{
    const char *named = getenv("SSL_CERT_FILE");
    char *text = NULL;

    if (named && *named != '\0') {
        draft->file = named;
        return pem_file_read(named, false, draft->fault);
    }
    for (size_t i = 0; i < ARRAY_LEN(system_roots) && !text; i++) {
        draft->file = system_roots[i];
        text = pem_file_read(system_roots[i], false, draft->fault);
    }
    if (!text) /* the name that one may install */
        draft->file = system_roots[0];
    return text;
}

/* Those of the setting that is always there are read when somebody uses them. */
static bool read_roots(struct draft *draft, const struct tls_spec *spec)
{
    char *text;

    draft->file = spec->roots_file;
    text = spec->roots_file ? pem_file_read(spec->roots_file, false, draft->fault) : read_system_roots(draft);
    if (text && !spec->text)
        draft->content.roots = tls_roots_later(text_bytes(text));
    else if (text)
        draft->content.roots = tls_roots_new(text_bytes(text), draft->fault);
    pem_text_free(text);
    return draft->content.roots;
}

static bool read_identity(struct draft *draft, const struct tls_spec *spec)
{
    struct pem_summary summary;

    if (!spec->chain_file)
        return true;
    draft->file = spec->chain_file;
    draft->content.chain = pem_file_read(spec->chain_file, false, draft->fault);
    if (!draft->content.chain ||
        !pem_check_certificates(text_bytes(draft->content.chain), &summary, draft->fault))
        return false;
    draft->ends_s = summary.ends_s;
    draft->file = spec->key_file;
    draft->content.key = pem_file_read(spec->key_file, true, draft->fault);
    return draft->content.key &&
           pem_check_identity(text_bytes(draft->content.chain), text_bytes(draft->content.key), draft->fault);
}

static void make_draft(struct draft *draft, const struct tls_spec *spec)
{
    *draft = (struct draft){.ends_s = INT64_MAX};
    if (read_roots(draft, spec) && read_identity(draft, spec))
        draft->file = NULL;
    else
        free_content(&draft->content);
}

/* ---- what becomes of them ---- */

static void log_refused(const struct tls_setting *setting, const struct draft *draft, enum log_level level)
{
    log_write(level, "tls.refused", LOG_TEXT("setting", setting->spec.name), LOG_TEXT("file", draft->file),
              LOG_TEXT("reason", draft->fault),
              LOG_TEXT("kept", setting->content.roots ? "the one before" : ""));
}

/* A certificate that has expired is no reason to refuse: without it all else would be refused, too.
 */
static void log_expired(const struct tls_setting *setting, const struct draft *draft)
{
    if (draft->ends_s <= clock_wall_ns() / NS_PER_S)
        log_write(LOG_WARN, "tls.expired", LOG_TEXT("setting", setting->spec.name),
                  LOG_TEXT("file", setting->spec.chain_file), LOG_NUMBER("expired_unix_s", draft->ends_s));
}

static bool same(const char *a, const char *b)
{
    return !a || !b ? a == b : strcmp(a, b) == 0;
}

/* True: the setting has other content than before. The draft is used up. */
static bool apply(struct tls_setting *setting, struct draft *draft)
{
    struct tls_content *content = &setting->content;
    const bool is_new = !tls_roots_same(content->roots, draft->content.roots) ||
                        !same(content->chain, draft->content.chain) ||
                        !same(content->key, draft->content.key);

    if (is_new) {
        free_content(content);
        *content = draft->content;
    } else {
        free_content(&draft->content);
    }
    log_expired(setting, draft);
    return is_new;
}

/* ---- a reload ---- */

static void read_all(struct job *job)
{
    struct tls_settings *settings = container_of(job, struct tls_settings, job);

    for (size_t i = 0; i < settings->count; i++)
        make_draft(&settings->drafts[i], &settings->all[i].spec);
}

static void all_read(struct job *job)
{
    struct tls_settings *settings = container_of(job, struct tls_settings, job);

    workers_free(settings->workers); /* its only job has run */
    settings->workers = NULL;
    for (size_t i = 0; i < settings->count; i++) {
        struct tls_setting *setting = &settings->all[i];

        if (settings->stopped) {
            free_content(&settings->drafts[i].content);
            continue;
        }
        if (settings->drafts[i].file) {
            log_refused(setting, &settings->drafts[i], LOG_ERROR);
            continue;
        }
        const bool is_new = apply(setting, &settings->drafts[i]);
        log_write(LOG_INFO, "tls.read", LOG_TEXT("setting", setting->spec.name),
                  LOG_TEXT("files", is_new ? "changed" : "as before"));
        if (is_new && settings->port)
            settings->port->changed(settings->port_ctx, i);
    }
    if (settings->again)
        tls_settings_reload(settings);
}

void tls_settings_reload(struct tls_settings *settings)
{
    settings->again = settings->workers && !settings->stopped;
    if (settings->workers || settings->stopped)
        return;
    const struct status status = workers_new(settings->loop, 1, 1, &settings->workers);
    if (status.code) {
        log_write(LOG_ERROR, "tls.not_read", LOG_TEXT("step", status.what),
                  LOG_TEXT("reason", status.sys ? strerror(status.sys) : err_name(status.code)));
        return;
    }
    settings->job = (struct job){.run = read_all, .done = all_read};
    CHECK(workers_submit(settings->workers, &settings->job) == ERR_OK);
}

void tls_settings_stop(struct tls_settings *settings)
{
    if (!settings)
        return;
    settings->stopped = true;
    settings->again = false;
    workers_free(settings->workers);
    settings->workers = NULL;
}

/* ---- the settings ---- */

static bool load(struct tls_setting *setting, bool is_needed)
{
    struct draft draft;

    make_draft(&draft, &setting->spec);
    if (!draft.file)
        return apply(setting, &draft);
    log_refused(setting, &draft, is_needed ? LOG_ERROR : LOG_INFO);
    return !is_needed;
}

struct status tls_settings_new(struct loop *loop, const char *const *specs, size_t count,
                               struct tls_settings **settings_out)
{
    struct tls_settings *settings = calloc(1, sizeof(*settings));
    char fault[TLS_SPEC_FAULT_CAPACITY];
    bool is_good = true;

    if (!settings)
        return (struct status){ERR_NO_MEMORY, 0, "make the TLS settings"};
    settings->loop = loop;
    settings->all[0].spec.name = TLS_SYSTEM;
    settings->count = 1;
    is_good = load(&settings->all[0], false);
    for (size_t i = 0; i < count && i < MAX_TLS_SETTINGS; i++) {
        struct tls_setting *setting = &settings->all[settings->count];

        if (!tls_spec_read(specs[i], &setting->spec, fault)) { /* it was read before: no memory */
            tls_settings_free(settings);
            return (struct status){ERR_NO_MEMORY, 0, "make the TLS settings"};
        }
        settings->count++;
        is_good = load(setting, true) && is_good;
    }
    if (!is_good) {
        tls_settings_free(settings);
        return (struct status){ERR_INVALID, 0, "read the files of the TLS settings"};
    }
    *settings_out = settings;
    return STATUS_OK;
}

void tls_settings_free(struct tls_settings *settings)
{
    if (!settings)
        return;
    for (size_t i = 0; i < settings->count; i++) {
        free_content(&settings->all[i].content);
        tls_spec_fini(&settings->all[i].spec);
    }
    free(settings);
}

void tls_settings_notify(struct tls_settings *settings, const struct tls_port *port, void *ctx)
{
    settings->port = port;
    settings->port_ctx = ctx;
}

size_t tls_settings_count(const struct tls_settings *settings)
{
    return settings->count;
}

const struct tls_setting *tls_settings_get(const struct tls_settings *settings, size_t index)
{
    return &settings->all[index];
}

bool tls_settings_are_there(const struct tls_settings *settings)
{
    return settings->count > 1;
}
