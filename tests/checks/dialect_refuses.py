#!/usr/bin/env python3
"""Shows that tests/checks/dialect refuses what it says, at the right line, and nothing else."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

DIALECT = pathlib.Path(__file__).resolve().parent / "dialect"


def checked(text):
    """(exit status, the lines that were named)"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "small.c")
        pathlib.Path(path).write_text(text, encoding="utf-8")
        command = [sys.executable, "-B", DIALECT, path]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = run.stdout.splitlines()
        return run.returncode, [int(line.removeprefix(path + ":").split(":")[0]) for line in lines]


class Dialect(unittest.TestCase):
    def refused(self, text, *lines):
        self.assertEqual(checked(text), (1, list(lines)), text)

    def accepted(self, text):
        self.assertEqual(checked(text), (0, []), text)

    def test_a_comparison_with_null_is_refused(self):
        spaced = ("p == NULL", "p != NULL", "NULL == p", "p == /* none */ NULL", "p ==\n    NULL")
        for text in (*spaced, "NULL!=p", "p==NULL"):
            self.refused(f"bool f(void *p)\n{{\n    return {text};\n}}\n", 3)

    def test_every_breach_is_named(self):
        self.refused("a = b == NULL && c != NULL;\n\nd = sizeof e;\n", 1, 1, 3)

    def test_sizeof_without_parentheses_is_refused(self):
        for text in ("sizeof x", "sizeof *x", "sizeof x[0]", "sizeof /* it */ *x", "sizeof\n*x"):
            self.refused(f"size_t n = {text};\n", 1)

    def test_a_breach_after_comments_and_strings_is_named_by_its_line(self):
        self.refused('/* one\n * two */\nchar *s = "/*";\nx = s == NULL; /* " */\ny = sizeof s;\n', 4, 5)

    def test_the_dialect_is_accepted(self):
        self.accepted("size_t n = sizeof /* it */ (int);\n")
        self.accepted("bool f(void **p)\n{\n    *p = NULL;\n    return !p || NULLS == 1;\n}\n")
        self.accepted("bool big = sizeof(*p) == sizeof(int);\n")

    def test_comments_and_strings_are_not_read(self):
        self.accepted("/* p == NULL\n * sizeof x */\n// p != NULL, sizeof x\n")
        self.accepted('char *s = "p == NULL \\" sizeof x";\nchar c = \'"\'; /* sizeof x */\n')

    def test_a_macro_and_its_next_line_are_read(self):
        self.refused("#define IS_SET(p) \\\n    ((p) != NULL)\n", 2)


if __name__ == "__main__":
    unittest.main()
