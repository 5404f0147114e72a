#!/usr/bin/env python3
"""mutants.py - sources of the store with one fault each, and the proof that the tests find it.

  mutants.py make NAME SOURCE OUT    writes SOURCE with the fault
  mutants.py run NAME PROGRAM        runs a program that was built with it; fails where it passes

A fault that the source has no place for any more is an error: it must be written anew."""
import os
import pathlib
import subprocess
import sys
import tempfile

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


def make(name, source, out):
    before, after, _ = MUTANTS[name]
    text = pathlib.Path(source).read_text(encoding="utf-8")
    if text.count(before) != 1:
        sys.exit(f"{source}: the fault {name} has no place there")
    pathlib.Path(out).write_text(text.replace(before, after), encoding="utf-8")


def run(name, program):
    expected = MUTANTS[name][2]
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="tributary-mutant-", dir=memory) as folder:
        done = subprocess.run([program], env={**os.environ, "TOPIC_CUTS": "400", "TMPDIR": folder},
                              capture_output=True, text=True, timeout=300, check=False)
    if done.returncode == 0:
        sys.exit(f"{name}: the tests pass, though the store has this fault")
    if not any(text in done.stderr for text in expected):
        sys.exit(f"{name}: the tests fail, but not because of the fault:\n{done.stderr}")
    print(f"{name}: found")


if __name__ == "__main__":
    {"make": make, "run": run}[sys.argv[1]](*sys.argv[2:])
