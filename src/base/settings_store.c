/* settings_store.c - the versions of the settings that were published. */
#include "base/settings_store.h"

#include <stdlib.h>

struct settings_version {
    struct settings settings;
    struct settings_version *earlier;
};

void settings_store_init(struct settings_store *store)
{
    atomic_init(&store->present, &settings_defaults);
    store->latest = NULL;
}

void settings_store_fini(struct settings_store *store)
{
    while (store->latest) {
        struct settings_version *latest = store->latest;

        store->latest = latest->earlier;
        free(latest);
    }
    atomic_init(&store->present, NULL);
}

enum err settings_publish(struct settings_store *store, const struct settings *settings)
{
    struct settings_version *version = malloc(sizeof(*version));

    if (!version)
        return ERR_NO_MEMORY;
    version->settings = *settings;
    version->settings.version = settings_present(store)->version + 1;
    version->earlier = store->latest;
    store->latest = version;
    atomic_store_explicit(&store->present, &version->settings, memory_order_release);
    return ERR_OK;
}
