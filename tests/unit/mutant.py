"""mutant.py - sources with one fault each, and the proof that a test finds it. For a room's mutants.py:

  mutants.py make NAME SOURCE OUT    writes SOURCE with the fault
  mutants.py run NAME PROGRAM        runs a program that was built with it; fails where it passes

A fault that the source has no place for any more is an error: it must be written anew."""
import os
import pathlib
import subprocess
import sys
import tempfile


def make(mutants, name, source, out):
    before, after, _ = mutants[name]
    text = pathlib.Path(source).read_text(encoding="utf-8")
    if text.count(before) != 1:
        sys.exit(f"{source}: the fault {name} has no place there")
    pathlib.Path(out).write_text(text.replace(before, after), encoding="utf-8")


def run(mutants, environment, name, program):
    expected = mutants[name][2]
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="tributary-mutant-", dir=memory) as folder:
        done = subprocess.run([program], env={**os.environ, **environment, "TMPDIR": folder},
                              capture_output=True, text=True, timeout=300, check=False)
    if done.returncode == 0:
        sys.exit(f"{name}: the tests pass, though the source has this fault")
    if not any(text in done.stderr for text in expected):
        sys.exit(f"{name}: the tests fail, but not because of the fault:\n{done.stderr}")
    print(f"{name}: found")


def main(mutants, environment):
    """`mutants`: for each name what stands in the source, what stands there instead, and what a test
    then says, one of several. `environment`: more of it for the test."""
    if sys.argv[1] == "make":
        make(mutants, *sys.argv[2:])
    else:
        run(mutants, environment, *sys.argv[2:])
