#!/usr/bin/env python3
"""Shows that words, width and cases refuse: small trees with a fault must be refused, and sound ones pass.
And that gather picks the tests that it is asked for."""
import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


def module(name):
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(HERE, name))
    made = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(made)
    return made


class Check(unittest.TestCase):
    """Runs one check over a tree that is made of a few files."""
    script = None
    sound = {}

    def run_check(self, files, *words):
        """(exit status, lines of output, files afterwards)"""
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**self.sound, **files}.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            run = subprocess.run([sys.executable, os.path.join(HERE, self.script), "--root", root, *words],
                                 capture_output=True, text=True, check=False)
            self.assertEqual(run.stderr, "")
            after = {}
            for path in {**self.sound, **files}:
                with open(os.path.join(root, path), encoding="utf-8") as file:
                    after[path] = file.read()
            return run.returncode, run.stdout.splitlines(), after

    def passes(self, files, *words):
        status, lines, after = self.run_check(files, *words)
        self.assertEqual((status, lines), (0, []))
        return after

    def refused(self, files, *expected):
        status, lines, _ = self.run_check(files)
        self.assertEqual([line for line in lines if ":" in line], list(expected))
        self.assertEqual(status, 1)
        self.assertIn(f"{len(expected)} in all", lines[-1])


class Words(Check):
    script = "words"
    sound = {"src/hub/hub.c": "/* hub.c - a hub. */\nint look_up(int at_ns, int stop_asked);\n"}

    def test_plain_words_pass(self):
        self.passes({})
        self.passes({"src/hub/a.c": "/* Take a look at why it was told to stall. */\nint room_count;\n"})
        self.passes({"src/hub/a.c": 'static const char text[] = "--watch, bench, told";\n'})
        self.passes({"tests/unit/a.c": "Test(hub, says_what_it_was_told_and_why)\n{\n}\n"})
        self.passes({"src/hub/a.c": "#include <tell.h>\n"})

    def test_a_retired_word_is_refused_everywhere(self):
        self.refused({"src/hub/a.c": "/* The sieve\n * and two outlets. */\nint tally_of;\n"},
                     "src/hub/a.c:1: sieve -> use matcher", "src/hub/a.c:2: outlets -> use route",
                     "src/hub/a.c:3: tally -> use stats or totals")
        self.refused({"docs/a.md": "Latched channels\n"}, "docs/a.md:1: Latched -> use fallback active")
        self.refused({"proto/a.proto": "message TenantWish {}\n"},
                     "proto/a.proto:1: Tenant -> use call acceptor",
                     "proto/a.proto:1: Wish -> use params, request or selection")
        self.refused({"tests/a.py": 'print("the lobby")\n'}, "tests/a.py:1: lobby -> use handshake")
        self.refused({"tests/unit/a.c": "Test(hub, an_outlet_closes)\n"},
                     "tests/unit/a.c:1: outlet -> use route")

    def test_a_retired_word_in_a_name_is_refused(self):
        self.refused({"src/hub/a.c": "int told_count;\n"}, "src/hub/a.c:1: told -> use reported or notified")
        self.refused({"tests/a.py": "seat_of = 1\n"}, "tests/a.py:1: seat -> use match entry or connection")
        self.refused({"src/hub/tell.c": ""},
                     "src/hub/tell.c:0: tell (in the file's name) -> use report or notify")

    def test_a_name_that_is_only_a_retired_word_is_refused(self):
        self.refused({"src/hub/a.c": "void look(int room);\n"},
                     "src/hub/a.c:1: look -> use query, decide, poll or find",
                     "src/hub/a.c:1: room -> use capacity")

    def test_retired_constants_and_members_are_refused(self):
        self.refused({"src/hub/a.c": "#define NAMES_MOST 4\n#define SIZE_LEAST 1\nx = buf->at;\n"},
                     "src/hub/a.c:1: NAMES_MOST -> use MAX_", "src/hub/a.c:2: SIZE_LEAST -> use MIN_",
                     "src/hub/a.c:3: ->at -> use data")

    def test_the_glossary_may_list_retired_words_in_its_last_table_only(self):
        self.passes({"docs/glossary.md": "| route | r |\n\n## Retired words\n| sieve | matcher |\n"})
        self.refused({"docs/glossary.md": "| sieve | s |\n\n## Retired words\n| sieve | matcher |\n"},
                     "docs/glossary.md:1: sieve -> use matcher")

    def test_paths_choose_what_is_checked(self):
        files = {"src/flow/a.c": "int sieve;\n"}
        self.passes(files, "src/hub")
        self.assertEqual(self.run_check(files, "src/flow")[0], 1)

    def test_every_word_is_in_the_glossary(self):
        with open(os.path.join(HERE, "..", "..", "docs", "glossary.md"), encoding="utf-8") as file:
            table = file.read().split("\n## Retired words")[1]
        words = module("words")
        for word in {**words.EVERYWHERE, **words.NAMES, **words.WHOLE}:
            self.assertRegex(table, rf"(?i)(?<![a-z]){word[:4]}", word)


class Width(Check):
    script = "width"
    sound = {"src/hub/hub.c": "/* hub.c - a hub. */\n"}

    def test_lines_at_the_bound_pass(self):
        self.passes({"src/hub/a.c": "int " + "x" * 105 + ";\n/* " + "y" * 94 + " */\n",
                     "docs/a.md": "z" * 100 + "\n"})

    def test_wide_code_is_refused(self):
        self.refused({"src/hub/a.c": "int " + "x" * 106 + ";\n"},
                     "src/hub/a.c:1: 111 columns of code, more than 110")

    def test_wide_comments_are_refused(self):
        self.refused({"src/hub/a.c": "/* short\n * " + "x" * 98 + " */\n"},
                     "src/hub/a.c:2: 104 columns of comment, more than 100")
        self.refused({"tests/a.py": "# " + "x" * 99 + "\n"},
                     "tests/a.py:1: 101 columns of comment, more than 100")
        self.passes({"src/hub/a.c": "int x; /* " + "y" * 96 + " */\n"})

    def test_wide_prose_is_refused_and_tables_blocks_and_urls_are_not(self):
        self.refused({"docs/a.md": "x" * 101 + "\n"}, "docs/a.md:1: 101 columns of prose, more than 100")
        wide = "x" * 120
        self.passes({"docs/a.md": f"| {wide} |\n```\n{wide}\n```\nhttps://{wide}\n"})

    def test_long_files_are_refused(self):
        self.passes({"src/hub/a.c": "\n" * 450, "src/hub/a.h": "\n" * 150, "tests/a.c": "\n" * 1000})
        self.refused({"src/hub/a.c": "\n" * 451}, "src/hub/a.c:451: 451 lines, more than 450")
        self.refused({"client/lib/a.h": "\n" * 151}, "client/lib/a.h:151: 151 lines, more than 150")


class Cases(Check):
    script = "cases"
    sound = {"tests/cases.md": "| A1 | starts once | `e2e/test_a.py` |\n"
                               "| row_15 | is slow | `e2e/test_a.py` |\n"
                               "| A23 | dials | none: nothing dials |\n",
             "tests/e2e/test_a.py": "def test_A1_starts(): pass\ndef test_row_15_is_slow(): pass\n"}

    def test_a_complete_list_passes(self):
        self.passes({})

    def test_a_case_that_the_list_lacks_is_refused(self):
        self.refused({"tests/seam/test_b.c": "Test(b, X3_holds)\n"},
                     "tests/seam/test_b.c:1: cites X3, which tests/cases.md lacks")

    def test_a_test_that_the_list_lacks_is_refused(self):
        self.refused({"tests/seam/test_b.c": "/* A1, in short. */\n"},
                     "tests/cases.md:1: seam/test_b.c cites A1 and is not named")

    def test_a_test_that_does_not_cite_is_refused(self):
        self.refused({"tests/e2e/test_a.py": "def test_A1_starts(): pass\n"},
                     "tests/cases.md:2: e2e/test_a.py does not cite row_15")

    def test_a_file_that_does_not_exist_is_refused(self):
        row = "| memory | is bounded | `seam/gone.c` |\n"
        self.refused({"tests/cases.md": self.sound["tests/cases.md"] + row},
                     "tests/cases.md:4: seam/gone.c does not exist")

    def test_a_case_without_a_test_must_say_so(self):
        self.refused({"tests/cases.md": self.sound["tests/cases.md"] + "| A2 | stops | later |\n"},
                     'tests/cases.md:4: A2 names no test, nor says "none" and why')

    def test_findings_are_cited_in_names_and_in_comments(self):
        rows = "".join(f"| finding_{n} | holds | `seam/test_b.c` |\n" for n in (1, 2, 3, 26, 40))
        text = "/* Findings 1,\n * 2 and 3; finding\n * 40. */\nTest(b, finding_26_holds)\n"
        files = {"tests/cases.md": self.sound["tests/cases.md"] + rows, "tests/seam/test_b.c": text}
        self.passes(files)
        self.refused({"tests/seam/test_b.c": "/* What a finding of 3 costs (finding 7, and its kind). */\n"},
                     "tests/seam/test_b.c:1: cites finding_7, which tests/cases.md lacks")
        self.refused({**files, "tests/seam/test_b.c": text.replace("_26", "_27")},
                     "tests/cases.md:7: seam/test_b.c does not cite finding_26",
                     "tests/seam/test_b.c:1: cites finding_27, which tests/cases.md lacks")

    def test_the_tests_of_a_kind_are_printed(self):
        rows = ("| finding_1 | holds | `e2e/harness/table.py`, `e2e/test_c.py` |\n"
                "| finding_2 | holds | `seam/test_b.c` |\n| finding_3 | is absent | none: nothing |\n")
        files = {"tests/cases.md": self.sound["tests/cases.md"] + rows}
        for kind, tests in (("finding", ["e2e/test_c.py", "seam/test_b.c"]), ("row", ["e2e/test_a.py"])):
            self.assertEqual(self.run_check(files, "--tests", kind)[:2], (0, tests))

    def test_fix_writes_the_tests_as_they_are(self):
        after = self.passes({"tests/seam/test_b.c": "/* A1, in short. */\n"}, "--fix")
        self.assertIn("| A1 | starts once | `e2e/test_a.py`, `seam/test_b.c` |", after["tests/cases.md"])


class Gather(unittest.TestCase):
    """The tests of a build folder that a run is made of."""

    def gather(self, *words):
        """(exit status, the names of the tests, the message)"""
        with tempfile.TemporaryDirectory() as folder:
            build = os.path.join(folder, "build")
            os.makedirs(os.path.join(build, "tests/unit"))
            os.makedirs(os.path.join(build, "tests/e2e"))
            program = os.path.join(build, "tests/unit/test_b")
            os.symlink("/bin/true", program)
            script = os.path.join(os.path.dirname(HERE), "e2e/test_a.py")
            files = {"": "subdirs(tests/unit tests/e2e)\n",
                     "tests/unit": f"add_test(test_b {program})\nadd_test(test_c /bin/true)\n",
                     "tests/e2e": f"add_test(e2e_a /bin/true {script})\n"}
            for path, text in files.items():
                with open(os.path.join(build, path, "CTestTestfile.cmake"), "w", encoding="utf-8") as file:
                    file.write(text)
            command = [sys.executable, os.path.join(HERE, "gather"), os.path.join(folder, "run")]
            run = subprocess.run([*command, "--build", f"x={build}", *words], capture_output=True, text=True,
                                 check=False)
            names = []
            if run.returncode == 0:
                with open(os.path.join(folder, "run/CTestTestfile.cmake"), encoding="utf-8") as file:
                    names = re.findall(r"add_test\(\[==\[x\.(.*?)\]", file.read())
            return run.returncode, names, run.stderr

    def test_a_suite_is_a_folder_or_the_tests_of_given_files(self):
        files = ("--files", "findings=e2e/test_a.py,unit/test_b.c")
        self.assertEqual(self.gather()[1], ["test_b", "test_c", "e2e_a"])
        self.assertEqual(self.gather("--suite", "unit")[1], ["test_b", "test_c"])
        self.assertEqual(self.gather("--suite", "findings", *files)[1], ["test_b", "e2e_a"])
        self.assertEqual(self.gather("--suite", "findings", "--suite", "unit", *files)[1],
                         ["test_b", "test_c", "e2e_a"])

    def test_a_file_that_makes_no_test_is_refused(self):
        status, _, message = self.gather("--suite", "findings", "--files", "findings=unit/test_d.c")
        self.assertEqual(status, 1)
        self.assertEqual(message, "gather: x has no test that was built from tests/unit/test_d.c\n")


unittest.main()
