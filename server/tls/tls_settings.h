/* tls_settings.h - the named TLS settings of the daemon: whom it trusts, and how it identifies
 * itself. It reads files at the start, and again when an operator asks for it. What was read is
 * checked before anybody gets it: a bad file changes nothing.
 *
 * Threads: the loop, or the only thread before it runs. Files are read on a thread of their own
 * later on. */
#ifndef TRIBUTARY_SERVER_TLS_TLS_SETTINGS_H
#define TRIBUTARY_SERVER_TLS_TLS_SETTINGS_H

#include "base/status.h"
#include "server/tls/tls_roots.h"
#include "server/tls/tls_spec.h"

struct loop;
struct tls_settings;

/* What the files of a setting hold. `chain` and `key`, in PEM, may be NULL: no certificate of our
 * own. `roots` NULL: nothing could be read so far. */
struct tls_content {
    struct tls_roots *roots;
    char *chain, *key;
};

struct tls_setting {
    struct tls_spec spec;
    struct tls_content content; /* it changes where changed() is called, and nowhere else */
};

/* On the loop: this setting has other content. */
struct tls_port {
    void (*changed)(void *ctx, size_t index);
};

/* Makes the settings of these texts, which options_read() has checked, and the one of the system,
 * and reads their files. Each file that cannot be used is one log line `tls.refused`.
 *   ERR_NO_MEMORY  nothing was made
 *   ERR_INVALID    a file of a setting cannot be used; nothing was made. The roots of the system
 *                  are an exception: without them only who uses them fails */
MUST_CHECK struct status tls_settings_new(struct loop *loop, const char *const *specs, size_t count,
                                          struct tls_settings **settings_out);
/* Waits for files that are being read. No changed() follows, and nothing is read any more. Before
 * loop_free(). NULL is allowed. */
void tls_settings_stop(struct tls_settings *settings);
/* After loop_free(), where tls_settings_reload() was called. NULL is allowed. */
void tls_settings_free(struct tls_settings *settings);
OWNED_BY(tls_settings_free, struct tls_settings);

/* Who hears of changes. Once, before tls_settings_reload(). `port` must outlive the settings. */
void tls_settings_notify(struct tls_settings *settings, const struct tls_port *port, void *ctx);

/* The settings have the numbers below the count; they stay where they are. */
size_t tls_settings_count(const struct tls_settings *settings);
const struct tls_setting *tls_settings_get(const struct tls_settings *settings, size_t index);

/* Whether SIGHUP has something to read: a setting that an operator has made. */
bool tls_settings_are_there(const struct tls_settings *settings);

/* Reads all files again, and returns at once. A setting whose files have changed and can be used
 * has the new content later on, and changed() is called; log lines `tls.read` and `tls.refused` say
 * what became of each. While files are being read, it begins once more when they are. */
void tls_settings_reload(struct tls_settings *settings);

#endif
