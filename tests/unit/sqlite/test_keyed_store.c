/* test_keyed_store.c - the file of workers of keyed batches: generations, results of operations,
 * several processes on one file, kills, odd files, a full disk. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/sqlite/keyed_store.h"
#include "base/clock.h"

#define DAY_NS (24 * 3600 * NS_PER_S)

static char folder[] = "/tmp/tributary-keyed-XXXXXX";
static char path[64];
static struct keyed_store *store;
static struct refusal refusal;
static struct keyed_error error;

static void begin(void)
{
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/keys.db", folder);
}

static void end(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char name[80];

    keyed_store_close(store);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        (void)unlink(name);
    }
    cr_assert_eq(rmdir(folder), 0, "the store left something behind");
}

TestSuite(keyed_store, .init = begin, .fini = end, .timeout = 60);

static void open_store(int64_t kept_ns)
{
    keyed_store_close(store);
    store = NULL;
    cr_assert_eq(keyed_store_open(path, kept_ns, &store, &refusal), ERR_OK, "%s", refusal.text);
}

static struct keyed_name name_of(const char *key)
{
    return (struct keyed_name){text_bytes("visits"), text_bytes(key)};
}

static enum keyed_outcome save_with(const char *key, uint64_t generation, const char *resource,
                                    const struct keyed_result *results, size_t count)
{
    const struct keyed_save save = {.name = name_of(key),
                                    .generation = generation,
                                    .change = resource ? KEYED_REPLACED : KEYED_UNCHANGED,
                                    .resource = resource ? text_bytes(resource) : (struct bytes){NULL, 0},
                                    .results = results,
                                    .result_count = count};

    return keyed_store_save(store, &save, &error);
}

static enum keyed_outcome save(const char *key, uint64_t generation, const char *resource)
{
    return save_with(key, generation, resource, NULL, 0);
}

static struct keyed_result result_of(const char *id, const char *data)
{
    return (struct keyed_result){.operation_id = text_bytes(id), .data = text_bytes(data)};
}

/* "GENERATION RESOURCE", or "GENERATION -" where there is no resource. */
static const char *loaded(const char *key)
{
    static char text[128];
    const struct keyed_name name = name_of(key);
    struct keyed_resource resource;

    cr_assert_eq(keyed_store_load(store, &name, &resource, &error), KEYED_OK, "%s", error.text);
    snprintf(text, sizeof(text), "%llu %.*s", (unsigned long long)resource.generation,
             resource.is_there ? (int)resource.data.size : 1,
             resource.is_there ? (const char *)resource.data.data : "-");
    buf_fini(&resource.data);
    return text;
}

/* The data of the result, or NULL. */
static const char *found(const char *key, const char *id)
{
    static char text[128];
    const struct keyed_name name = name_of(key);
    struct buf bytes = {0};
    struct keyed_result result;
    const enum keyed_outcome outcome =
        keyed_store_find(store, &name, text_bytes(id), &bytes, &result, &error);

    if (outcome == KEYED_OK)
        snprintf(text, sizeof(text), "%d %.*s %.*s %.*s", result.code, (int)result.reason.size,
                 (const char *)result.reason.data, (int)result.message.size,
                 (const char *)result.message.data, (int)result.data.size, (const char *)result.data.data);
    buf_fini(&bytes);
    return outcome == KEYED_OK ? text : NULL;
}

/* What a query over the file says, as seen by another program. */
static int64_t number_in_file(const char *sql)
{
    sqlite3 *handle = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t number = -1;

    cr_assert_eq(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(handle, sql, -1, &statement, NULL), SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(handle);
    return number;
}

/* ---- generations ---- */

Test(keyed_store, a_new_key_has_generation_0_and_no_resource)
{
    open_store(DAY_NS);
    cr_assert_str_eq(loaded("alice"), "0 -");
}

Test(keyed_store, each_save_writes_the_next_generation)
{
    open_store(DAY_NS);
    cr_assert_eq(save("alice", 0, "1"), KEYED_OK);
    cr_assert_str_eq(loaded("alice"), "1 1");
    cr_assert_eq(save("alice", 1, "2"), KEYED_OK);
    cr_assert_str_eq(loaded("alice"), "2 2");
    cr_assert_str_eq(loaded("bob"), "0 -", "keys are apart");
    open_store(DAY_NS);
    cr_assert_str_eq(loaded("alice"), "2 2", "it is on the disk");
}

/* B30 */
Test(keyed_store, a_save_over_another_generation_is_a_conflict_and_writes_nothing)
{
    const struct keyed_result result = result_of("7", "late");

    open_store(DAY_NS);
    cr_assert_eq(save("alice", 0, "1"), KEYED_OK);
    cr_assert_eq(save_with("alice", 0, "stale", &result, 1), KEYED_CONFLICT);
    cr_assert_eq(save_with("alice", 2, "early", &result, 1), KEYED_CONFLICT);
    cr_assert_str_eq(loaded("alice"), "1 1");
    cr_assert_null(found("alice", "7"), "the result of a save that was refused is not there");
    cr_assert_str_eq(error.text, "");
}

Test(keyed_store, a_save_that_changes_nothing_compares_only)
{
    open_store(DAY_NS);
    cr_assert_eq(save("alice", 0, NULL), KEYED_OK);
    cr_assert_str_eq(loaded("alice"), "0 -", "the generation has not moved");
    cr_assert_eq(save("alice", 0, "1"), KEYED_OK);
    cr_assert_eq(save("alice", 0, NULL), KEYED_CONFLICT, "what it has read is stale");
}

Test(keyed_store, results_alone_move_the_generation_and_keep_the_resource)
{
    const struct keyed_result results[] = {result_of("1", "a"), result_of("2", "b")};

    open_store(DAY_NS);
    cr_assert_eq(save_with("alice", 0, NULL, &results[0], 1), KEYED_OK);
    cr_assert_str_eq(loaded("alice"), "1 -", "there is still no resource");
    cr_assert_eq(save("alice", 1, "x"), KEYED_OK);
    cr_assert_eq(save_with("alice", 2, NULL, &results[1], 1), KEYED_OK);
    cr_assert_str_eq(loaded("alice"), "3 x");
}

Test(keyed_store, a_removed_resource_keeps_its_generation)
{
    const struct keyed_save removal = {.name = name_of("alice"), .generation = 1, .change = KEYED_REMOVED};

    open_store(DAY_NS);
    cr_assert_eq(save("alice", 0, "1"), KEYED_OK);
    cr_assert_eq(keyed_store_save(store, &removal, &error), KEYED_OK);
    cr_assert_str_eq(loaded("alice"), "2 -");
    cr_assert_eq(save("alice", 0, "zombie"), KEYED_CONFLICT);
}

Test(keyed_store, keys_and_resources_are_any_bytes)
{
    static const uint8_t bytes[] = {0, 0xff, '\'', 0, 10};
    const struct keyed_save odd = {.name = {text_bytes("p"), {bytes, sizeof(bytes)}},
                                   .change = KEYED_REPLACED,
                                   .resource = {bytes, sizeof(bytes)}};
    const struct keyed_save empty = {.name = {text_bytes("p"), {bytes, 1}}, .change = KEYED_REPLACED};
    struct keyed_resource resource;

    open_store(DAY_NS);
    cr_assert_eq(keyed_store_save(store, &odd, &error), KEYED_OK);
    cr_assert_eq(keyed_store_save(store, &empty, &error), KEYED_OK);
    cr_assert_eq(keyed_store_load(store, &odd.name, &resource, &error), KEYED_OK);
    cr_assert_eq(resource.data.size, sizeof(bytes));
    cr_assert_arr_eq(resource.data.data, bytes, sizeof(bytes));
    buf_fini(&resource.data);
    cr_assert_eq(keyed_store_load(store, &empty.name, &resource, &error), KEYED_OK);
    cr_assert(resource.is_there, "an empty resource is one");
    cr_assert_eq(resource.data.size, 0u);
    buf_fini(&resource.data);
}

/* ---- results ---- */

Test(keyed_store, a_result_is_found_by_processor_key_and_id)
{
    struct keyed_result results[] = {result_of("1", "first"), result_of("2", "")};

    results[1].code = 9;
    results[1].reason = text_bytes("NO_MONEY");
    results[1].message = text_bytes("there is not enough");
    open_store(DAY_NS);
    cr_assert_eq(save_with("alice", 0, "x", results, 2), KEYED_OK);
    cr_assert_str_eq(found("alice", "1"), "0   first");
    cr_assert_str_eq(found("alice", "2"), "9 NO_MONEY there is not enough ");
    cr_assert_null(found("alice", "3"));
    cr_assert_null(found("bob", "1"), "an id counts within its key");
    open_store(DAY_NS);
    cr_assert_str_eq(found("alice", "1"), "0   first", "it is on the disk");
}

Test(keyed_store, the_first_result_of_an_id_stays)
{
    const struct keyed_result first = result_of("1", "first"), second = result_of("1", "second");

    open_store(DAY_NS);
    cr_assert_eq(save_with("alice", 0, "x", &first, 1), KEYED_OK);
    cr_assert_eq(save_with("alice", 1, "y", &second, 1), KEYED_OK);
    cr_assert_str_eq(found("alice", "1"), "0   first");
}

Test(keyed_store, old_results_go_in_later_saves_a_few_at_a_time)
{
    struct keyed_result results[200];
    char ids[200][8];

    open_store(1); /* one nanosecond: all of them are old */
    for (size_t i = 0; i < ARRAY_LEN(results); i++) {
        snprintf(ids[i], sizeof(ids[i]), "%zu", i);
        results[i] = result_of(ids[i], "x");
    }
    cr_assert_eq(save_with("alice", 0, "x", results, ARRAY_LEN(results)), KEYED_OK);
    cr_assert_eq(number_in_file("SELECT count(*) FROM result"), 200, "a save does not trim its own");
    cr_assert_eq(save("bob", 0, "x"), KEYED_OK);
    cr_assert_eq(number_in_file("SELECT count(*) FROM result"), 200 - 64, "a bounded number");
    for (uint64_t i = 1; i < 4; i++)
        cr_assert_eq(save("bob", i, "x"), KEYED_OK);
    cr_assert_eq(number_in_file("SELECT count(*) FROM result"), 0);
    cr_assert_eq(number_in_file("SELECT count(*) FROM resource"), 2, "resources stay");
}

Test(keyed_store, young_results_stay)
{
    const struct keyed_result result = result_of("1", "x");

    open_store(DAY_NS);
    cr_assert_eq(save_with("alice", 0, "x", &result, 1), KEYED_OK);
    for (uint64_t i = 1; i < 5; i++)
        cr_assert_eq(save("alice", i, "x"), KEYED_OK);
    cr_assert_not_null(found("alice", "1"));
}

/* ---- at the same time ---- */

/* Adds 1 to a counter, so often; a conflict is tried again. */
static void count(struct keyed_store *counted, const char *key, unsigned times)
{
    const struct keyed_name name = name_of(key);

    while (times > 0) {
        struct keyed_resource resource;
        struct keyed_error failure;
        char text[24];

        cr_assert_eq(keyed_store_load(counted, &name, &resource, &failure), KEYED_OK, "%s", failure.text);
        snprintf(text, sizeof(text), "%d",
                 resource.is_there ? atoi((const char *)resource.data.data) + 1 : 1);
        const struct keyed_save next = {.name = name,
                                        .generation = resource.generation,
                                        .change = KEYED_REPLACED,
                                        .resource = {(const uint8_t *)text, strlen(text) + 1}};
        const enum keyed_outcome outcome = keyed_store_save(counted, &next, &failure);
        cr_assert(outcome == KEYED_OK || outcome == KEYED_CONFLICT, "%s", failure.text);
        buf_fini(&resource.data);
        times -= outcome == KEYED_OK;
    }
}

static void *count_on_thread(void *key)
{
    count(store, key, 50);
    return NULL;
}

Test(keyed_store, threads_save_together_and_none_is_lost)
{
    static char keys[8][8];
    pthread_t threads[8];

    open_store(DAY_NS);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        snprintf(keys[i], sizeof(keys[i]), "key-%zu", i % 4); /* two threads for each key */
        cr_assert_eq(pthread_create(&threads[i], NULL, count_on_thread, keys[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 4; i++)
        cr_assert_str_eq(loaded(keys[i]), "100 100");
}

/* A child that opens the file itself, and counts until `times`, or for ever. */
static pid_t child_that_counts(unsigned times)
{
    const pid_t pid = fork();

    if (pid == 0) {
        struct keyed_store *own = NULL;
        struct refusal refused;

        if (keyed_store_open(path, DAY_NS, &own, &refused) != ERR_OK) {
            fprintf(stderr, "%s\n", refused.text);
            _exit(1);
        }
        count(own, "shared", times);
        keyed_store_close(own);
        _exit(0);
    }
    return pid;
}

Test(keyed_store, processes_make_and_open_one_file_at_the_same_time)
{
    pid_t pids[6];

    for (size_t i = 0; i < ARRAY_LEN(pids); i++)
        pids[i] = child_that_counts(20);
    for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
        int status = -1;

        waitpid(pids[i], &status, 0);
        cr_assert_eq(status, 0, "a process failed");
    }
    open_store(DAY_NS);
    cr_assert_str_eq(loaded("shared"), "120 120", "each save has counted once");
}

Test(keyed_store, a_kill_at_any_moment_leaves_generation_and_resource_together)
{
    uint64_t before = 0;

    for (unsigned i = 0; i < 20; i++) {
        const pid_t pid = child_that_counts(UINT32_MAX);
        uint64_t generation, counted;
        int status = 0;

        usleep(2000 + 3700 * i); /* where the kill falls is what varies */
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        open_store(DAY_NS);
        cr_assert(WIFSIGNALED(status), "the child has ended by itself");
        if (sscanf(loaded("shared"), "%llu %llu", (unsigned long long *)&generation,
                   (unsigned long long *)&counted) == 2) {
            cr_assert_eq(generation, counted, "%llu saves, and a count of %llu",
                         (unsigned long long)generation, (unsigned long long)counted);
            cr_assert_geq(generation, before, "saves were lost");
            before = generation;
        }
        keyed_store_close(store);
        store = NULL;
    }
    cr_assert_gt(before, 0u, "no child has come to a save");
}

/* ---- odd files ---- */

static void expect_refusal(const char *cause)
{
    cr_assert_eq(keyed_store_open(path, DAY_NS, &store, &refusal), ERR_INVALID, "not refused: %s", cause);
    cr_assert(strstr(refusal.text, path), "no path in: %s", refusal.text);
    cr_assert(strstr(refusal.text, cause), "no '%s' in: %s", cause, refusal.text);
    cr_assert_null(store);
}

static void run_in_file(const char *sql)
{
    sqlite3 *handle = NULL;

    cr_assert_eq(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(handle));
    sqlite3_close(handle);
}

Test(keyed_store, a_new_file_is_for_its_owner_only)
{
    struct stat file;

    open_store(DAY_NS);
    cr_assert_eq(stat(path, &file), 0);
    cr_assert_eq(file.st_mode & 0777, 0600u);
}

Test(keyed_store, a_text_file_is_refused_and_stays)
{
    static const char text[] = "user=alice\n";
    char after[32] = "";
    int fd = open(path, O_WRONLY | O_CREAT, 0644);

    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    expect_refusal("it is no SQLite database");
    fd = open(path, O_RDONLY);
    cr_assert_eq(read(fd, after, sizeof(after)), (ssize_t)strlen(text));
    close(fd);
    cr_assert_str_eq(after, text);
}

Test(keyed_store, a_database_of_another_program_is_refused)
{
    run_in_file("CREATE TABLE users(name); PRAGMA application_id=1234");
    expect_refusal("it belongs to another program: its application_id is 0x000004d2");
    cr_assert_eq(number_in_file("SELECT count(*) FROM sqlite_schema"), 1, "it got no table");
}

Test(keyed_store, a_file_of_a_later_version_is_refused)
{
    open_store(DAY_NS);
    keyed_store_close(store);
    store = NULL;
    run_in_file("PRAGMA user_version=2");
    expect_refusal("a later version of tributary has written it: its user_version is 2");
}

Test(keyed_store, a_file_that_lacks_a_table_is_refused)
{
    open_store(DAY_NS);
    keyed_store_close(store);
    store = NULL;
    run_in_file("DROP TABLE result");
    expect_refusal("'SELECT count(*) FROM sqlite_schema' is 2, and not 5");
}

Test(keyed_store, a_folder_and_a_missing_folder_are_refused)
{
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_refusal("Is a directory");
    cr_assert_eq(rmdir(path), 0);
    snprintf(path, sizeof(path), "%s/none/keys.db", folder);
    expect_refusal("No such file or directory");
    snprintf(path, sizeof(path), "%s/keys.db", folder);
}

Test(keyed_store, a_full_disk_refuses_the_save_and_the_next_one_works)
{
    static char large[200000];
    struct rlimit limit;

    memset(large, 'x', sizeof(large) - 1);
    open_store(DAY_NS);
    cr_assert_eq(save("alice", 0, "1"), KEYED_OK);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 150000;
    setrlimit(RLIMIT_FSIZE, &limit);
    cr_assert_eq(save("alice", 1, large), KEYED_FULL);
    cr_assert(strstr(error.text, "SQLITE_"), "%s", error.text);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    cr_assert_str_eq(loaded("alice"), "1 1", "nothing was written");
    cr_assert_eq(save("alice", 1, "2"), KEYED_OK, "%s", error.text);
}

Test(keyed_store, a_failure_of_another_kind_is_final)
{
    open_store(DAY_NS);
    cr_assert_eq(save("alice", 0, "1"), KEYED_OK);
    run_in_file("ALTER TABLE result RENAME TO elsewhere"); /* somebody meddles */
    const struct keyed_result result = result_of("1", "x");
    cr_assert_eq(save_with("alice", 1, "2", &result, 1), KEYED_FAILED);
    cr_assert(strstr(error.text, "no such table"), "%s", error.text);
    cr_assert_eq(save("alice", 1, "2"), KEYED_FAILED);
    cr_assert(strstr(error.text, "an earlier save has failed"), "%s", error.text);
    cr_assert_str_eq(loaded("alice"), "1 1");
}

static void expect_displaced(void)
{
    cr_assert_eq(save("alice", 1, "2"), KEYED_FAILED, "a save to a file without a name is kept");
    cr_assert(strstr(error.text, "was removed, moved or replaced"), "%s", error.text);
    cr_assert(strstr(error.text, path), "no path in: %s", error.text);
    cr_assert_eq(save("alice", 1, "2"), KEYED_FAILED, "it is final");
}

Test(keyed_store, a_file_that_is_removed_while_it_is_in_use_fails_the_next_save)
{
    char log[80];

    snprintf(log, sizeof(log), "%s-wal", path);
    open_store(DAY_NS);
    cr_assert_eq(save("alice", 0, "1"), KEYED_OK);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(save("alice", 1, NULL), KEYED_FAILED, "a save that changes nothing");
    expect_displaced();
    cr_assert_eq(unlink(log), 0);
    open_store(DAY_NS);
    cr_assert_eq(save("alice", 0, "1"), KEYED_OK, "%s", error.text);
    cr_assert_eq(unlink(log), 0);
    expect_displaced();
}

Test(keyed_store, a_file_that_another_one_replaces_fails_the_next_save)
{
    char aside[80];
    int fd;

    snprintf(aside, sizeof(aside), "%s-aside", path);
    open_store(DAY_NS);
    cr_assert_eq(save("alice", 0, "1"), KEYED_OK);
    cr_assert_eq(rename(path, aside), 0);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    cr_assert_eq(write(fd, "x", 1), 1);
    close(fd);
    expect_displaced();
    cr_assert_eq(unlink(aside), 0);
}

Test(keyed_store, a_symbolic_link_leads_to_the_file_and_its_log)
{
    char link[80];

    open_store(DAY_NS);
    snprintf(link, sizeof(link), "%s-link", path);
    cr_assert_eq(symlink("keys.db", link), 0);
    keyed_store_close(store);
    store = NULL;
    cr_assert_eq(keyed_store_open(link, DAY_NS, &store, &refusal), ERR_OK, "%s", refusal.text);
    cr_assert_eq(unlink(link), 0);
    cr_assert_eq(save("alice", 0, "1"), KEYED_OK, "%s", error.text);
}
