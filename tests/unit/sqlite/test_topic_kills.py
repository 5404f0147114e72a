#!/usr/bin/env python3
"""test_topic_kills.py - a program that appends to a topic is killed (kill -9) at any moment, and again.
A journal has what it confirmed. All of it is there afterwards, each number once.

  test_topic_kills.py PROGRAM [KILLS]     20 kills; the long campaign has 200

On the real disk: below the build folder, or TOPIC_FOLDER."""
import os
import pathlib
import random
import subprocess
import sys
import tempfile

SEED = int(os.environ.get("TOPIC_SEED", "1"))
PRODUCERS = 4


def live(program, folder, lines, journal):
    """Lets the program write until it has confirmed so many batches, and kills it. What it wrote until
    then was confirmed, too."""
    with subprocess.Popen([program, "write", folder], stdout=subprocess.PIPE, text=True) as process:
        for _ in range(lines):
            line = process.stdout.readline()
            if not line:
                sys.exit(f"the program ended by itself: status {process.wait()}")
            note(line, journal)
        process.kill()
        for line in process.stdout:
            if line.endswith("\n"):
                note(line, journal)


def note(line, journal):
    producer, number = map(int, line.split())
    journal[producer] = max(journal[producer], number)


def check(program, folder, journal):
    done = subprocess.run([program, "check", folder], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        sys.exit(f"check: {done.stderr}")
    there = dict(map(int, line.split()) for line in done.stdout.splitlines())
    for producer, number in journal.items():
        if there[producer] < number:
            sys.exit(f"producer {producer}: {number} was confirmed, and {there[producer]} is the last")


def main():
    program, kills = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20
    choose = random.Random(SEED)
    journal = dict.fromkeys(range(PRODUCERS), 0)
    base = os.environ.get("TOPIC_FOLDER", str(pathlib.Path(program).resolve().parent))
    with tempfile.TemporaryDirectory(prefix="topic-kills-", dir=base) as folder:
        for kill in range(kills):
            live(program, f"{folder}/state", choose.choice((1, 5, 40, 300)), journal)
            if kill % 2 == 0:  # else the next life finds the killed store
                check(program, f"{folder}/state", journal)
        check(program, f"{folder}/state", journal)
    print(f"{kills} kills, {sum(journal.values())} events confirmed, none lost")


if __name__ == "__main__":
    main()
