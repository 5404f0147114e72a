#!/usr/bin/env python3
"""mutants.py - sources of the store with one fault each; see mutant.py."""
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import mutant  # noqa: E402

LOST = ("was confirmed, and", "a topic is gone")
# For each: what stands in the source, what stands there instead, and what a test then says.
MUTANTS = {
    "synchronous_normal": ('{"PRAGMA synchronous=FULL", "PRAGMA synchronous", 2}',
                           '{"PRAGMA synchronous=NORMAL", "PRAGMA synchronous", 1}', LOST),
    "synchronous_off": ('{"PRAGMA synchronous=FULL", "PRAGMA synchronous", 2}',
                        '{"PRAGMA synchronous=OFF", "PRAGMA synchronous", 0}', LOST),
    "answer_before_commit": ("    if (*committed_out)\n        result = database_commit(database);",
                             "    if (*committed_out) {\n        answer_all(store, batch, DB_OK, true);\n"
                             "        result = database_commit(database);\n    }", LOST),
    "answer_before_kill": ("    if (*committed_out)\n        result = database_commit(database);",
                           "    if (*committed_out) {\n        answer_all(store, batch, DB_OK, true);\n"
                           "        (void)sqlite3_sleep(2);\n"
                           "        result = database_commit(database);\n    }", (" were confirmed and ",)),
    "migration_in_two": ('"UPDATE meta SET value = \'%d\' WHERE key = \'schema\'; PRAGMA',
                         '"COMMIT; BEGIN; UPDATE meta SET value = \'%d\' WHERE key = \'schema\'; PRAGMA',
                         ("is not as version",)),
    "restore_in_two": ("\"DELETE FROM meta WHERE key = '\" META_COPIED",
                       "\"COMMIT; BEGIN; DELETE FROM meta WHERE key = '\" META_COPIED", ("one lineage",)),
    "save_in_two": ("    for (uint32_t i = 0; i < save->cursor_count && result == DB_OK; i++) {\n",
                    "    if (result == DB_OK && save->dead) {\n"
                    "        result = log_flush(store, log_find(&store->log, "
                    "save->dead->parts[0].topic));\n"
                    "        if (result == DB_OK)\n"
                    "            result = database_run(&store->database, \"COMMIT; BEGIN\", \"commit\");\n"
                    "    }\n"
                    "    for (uint32_t i = 0; i < save->cursor_count && result == DB_OK; i++) {\n",
                    (" dead letters, and the cursor has ", "dead letter ")),
    "cursor_lost": ("    return write_cursor(&store->database, DB_CURSOR_INSERT, numbers, cursor);",
                    "    return DB_OK;", (" was confirmed, and the cursor has ",)),
    "hash_off": ("return XXH3_64bits_withSeed(row->data.data, row->data.size, ",
                 "return XXH3_64bits_withSeed(row->data.data, 0, ", ("other events are there",)),
    "due_not_removed": ("    bind_number(statement, 1, due->row);\n    return database_step(",
                        "    bind_number(statement, 1, due->row + 1000000);\n    return database_step(",
                        (" times",)),
    "due_lost": ("return database_step(database, DB_DUE_PUT, ",
                 "return topic->next_delayed % 7 == 3 ? DB_OK : database_step(database, DB_DUE_PUT, ",
                 ("was confirmed, and", "delayed events stay")),
    "ids_not_written": ("    if (topic->ids.next > topic->ids.kept_next)\n", "    if (false)\n", (" times",)),
    "ids_not_undone": ("    id_window_undo(&topic->ids);\n", "    id_window_keep(&topic->ids);\n",
                       ('("a b")',)),
    "expiry_not_noted": ("    builder->expires |= piece->expires;\n", "", ('"-e--e"',)),
    "delayed_expiry_not_noted": (" || marks.expires_wall_ns > 0;", ";", ('"-e--e"',)),
    "numbers_off": ("const uint64_t stored = state->last + 1 - first;", "const uint64_t stored = 0;",
                    (" after ",)),
}

if __name__ == "__main__":
    mutant.main(MUTANTS, {"TOPIC_CUTS": "400"})
