#!/usr/bin/env python3
"""Shows that calls.py finds a circle of calls, and passes a room without one.

Usage: refuses_calls.py CALLS CC     (CALLS: the path of calls.py)
"""

import os
import subprocess
import sys
import tempfile
import unittest

CC = sys.argv.pop()
CALLS = sys.argv.pop()


def checked(sources):
    """(exit status, output) for a library of these sources."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in sources.items():
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            subprocess.run([CC, "-c", path, "-o", path + ".o"], check=True)
        library = os.path.join(folder, "libroom.a")
        objects = [os.path.join(folder, name + ".o") for name in sources]
        subprocess.run(["ar", "rc", library, *objects], check=True)
        run = subprocess.run([sys.executable, CALLS, library], capture_output=True, text=True, check=False)
        return run.returncode, run.stdout


class Calls(unittest.TestCase):
    def test_passes_calls_that_go_down(self):
        self.assertEqual(checked({"low.c": "int low(void) { return 1; }\n",
                                  "high.c": "int low(void);\nint high(void) { return low(); }\n"}), (0, ""))

    def test_finds_a_circle_of_three_files(self):
        status, text = checked({"a.c": "void b(void);\nvoid a(void) { b(); }\n",
                                "b.c": "void c(void);\nvoid b(void) { c(); }\n",
                                "c.c": "void a(void);\nvoid c(void) { a(); }\n"})
        self.assertEqual(status, 1)
        self.assertIn("a circle of calls: a.c, b.c, c.c", text)

    def test_finds_a_circle_through_data(self):
        status, text = checked({"a.c": "extern int b;\nint a(void) { return b; }\n",
                                "b.c": "int a(void);\nint b;\nint get(void) { return a(); }\n"})
        self.assertEqual(status, 1)
        self.assertIn("a circle of calls: a.c, b.c", text)


if __name__ == "__main__":
    unittest.main()
