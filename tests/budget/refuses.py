#!/usr/bin/env python3
"""refuses - checks compare.py: made-up counts that are heavier, missing or from another compiler
must not pass, and equal ones must."""

import copy
import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import compare  # noqa: E402

COUNTS = {
    "built": {"machine": "x86_64", "compiler": "gcc 12.2.0", "libc": "glibc 2.36"},
    "cases": {
        "scan": {"instructions": 100.0, "functions": {"scan_message": 90.0, "memset": 10.0}},
        "offer": {"instructions": 20.0, "functions": {"chan_put": 15.0}},
    },
}


def compared(change=lambda now: None, before=None):
    """(exit status, output) of compare.py, with counts that `change` has changed."""
    now = copy.deepcopy(COUNTS)
    change(now)
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("baseline.json", "measured.json")]
        compare.write(paths[0], COUNTS)
        compare.write(paths[1], now)
        if before is not None:
            with open(paths[0], "w", encoding="utf-8") as file:
                file.write(before)
        run = subprocess.run(
            [sys.executable, os.path.join(HERE, "compare.py"), *paths],
            capture_output=True,
            text=True,
            check=False,
        )
        return run.returncode, run.stdout + run.stderr


def costs(name, instructions, **functions):
    def change(now):
        now["cases"][name]["instructions"] = instructions
        now["cases"][name]["functions"].update(functions)

    return change


class Budget(unittest.TestCase):
    def expect(self, outcome, status, *words):
        got, text = outcome
        self.assertEqual(got, status, text)
        for word in words:
            self.assertIn(word, text)

    def test_equal_counts_pass(self):
        status, text = compared()
        self.assertEqual(status, 0, text)
        for word in ("HEAVIER", "lighter", "note:"):
            self.assertNotIn(word, text)

    def test_a_little_heavier_passes(self):
        self.expect(compared(costs("scan", 102.9)), 0)

    def test_a_heavier_case_fails_and_the_functions_that_grew_are_named(self):
        self.expect(
            compared(costs("scan", 103.1, scan_message=93.1)),
            1,
            "1.031  HEAVIER",
            "scan_message 90.00 -> 93.10",
            "heavier by 3 % or more: scan\n",
        )
        self.expect(
            compared(costs("offer", 26.0, malloc=6.0)), 1, "malloc -> 6.00, not among the largest before"
        )

    def test_a_lighter_case_does_not_make_up_for_a_heavier_one(self):
        def change(now):
            costs("scan", 50.0)(now)
            costs("offer", 40.0)(now)

        self.expect(compared(change), 1, "1 of 2 are heavier", "1 of 2 are lighter")

    def test_a_lighter_case_passes_with_a_hint(self):
        self.expect(compared(costs("scan", 94.0)), 0, "0.940  lighter", "--record")
        self.assertNotIn("--record", compared(costs("scan", 96.0))[1])

    def test_a_case_that_is_missing_fails(self):
        self.expect(
            compared(lambda now: now["cases"].pop("offer")), 1, "offer: in the baseline, and not measured"
        )

    def test_a_case_that_is_new_fails_until_it_is_recorded(self):
        self.expect(
            compared(lambda now: now["cases"].update(more=now["cases"]["scan"])),
            1,
            "more: measured, and not in the baseline",
        )

    def test_another_compiler_or_machine_is_not_comparable(self):
        self.expect(
            compared(lambda now: now["built"].update(compiler="gcc 13.1.0")),
            77,
            "not applicable: the baseline is of gcc 12.2.0",
        )
        self.expect(compared(lambda now: now["built"].update(compiler="clang 12.2.0")), 77, "not applicable")
        self.expect(compared(lambda now: now["built"].update(machine="aarch64")), 77, "not applicable")
        self.expect(compared(lambda now: now["built"].update(compiler="gcc 12.3.1")), 0)

    def test_another_libc_is_compared_with_a_note(self):
        self.expect(
            compared(lambda now: now["built"].update(libc="glibc 2.41")), 0, "note: this is glibc 2.41"
        )

    def test_a_baseline_that_cannot_be_read_is_no_success(self):
        whole = json.dumps(COUNTS)
        self.expect(compared(before=""), 2, "baseline.json", "--record")
        self.expect(compared(before="<<<<<<< ours\n" + whole), 2, "baseline.json", "--record")
        self.expect(compared(before='{"built": {}, "cases": {}}'), 2, "baseline.json")
        self.expect(compared(before=whole.replace("100.0", "0")), 2, "scan: a count is not above 0")
        self.expect(compared(before=json.dumps({**COUNTS, "cases": {}})), 2, "there is no case in it")

    def test_the_recorded_baseline_can_be_read(self):
        self.assertGreater(len(compare.read(os.path.join(HERE, "baseline.json"))["cases"]), 20)


unittest.main()
