/* settings_store.h - the versions of the settings: which one is present, and the earlier ones.
 *
 * Threads: one publishes; any reads. */
#ifndef TRIBUTARY_BASE_SETTINGS_STORE_H
#define TRIBUTARY_BASE_SETTINGS_STORE_H

#include <stdatomic.h>

#include "base/settings.h"
#include "base/status.h"

struct settings_version; /* one published version */

/* The present version, and the earlier ones. A reader may still look at an earlier version, and
 * readers take no reference. So every version lives as long as the store.
 *
 * The price: some 400 bytes for each new version, until the store ends. An operator's act publishes
 * one, so there are few: a thousand are 400 KB. Reading is one atomic load, without a lock. */
struct settings_store {
    const struct settings *_Atomic present; /* any thread */
    struct settings_version *latest;        /* the publisher's thread only */
};

void settings_store_init(struct settings_store *store); /* the defaults are present */
/* Frees every version. No reader may be left. */
void settings_store_fini(struct settings_store *store);

/* Any thread. The present version. It is valid as long as the store. Read it once where several
 * members must belong together. */
static inline const struct settings *settings_present(const struct settings_store *store)
{
    return atomic_load_explicit(&store->present, memory_order_acquire);
}

/* One thread. Makes a copy of `settings` the present version and gives it the next number, whatever
 * number `settings` has.
 *   ERR_NO_MEMORY  the present version stays */
MUST_CHECK enum err settings_publish(struct settings_store *store, const struct settings *settings);

#endif
