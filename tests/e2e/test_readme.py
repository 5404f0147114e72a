#!/usr/bin/python3
"""README.md is true: its Python programs work as pasted; and the documents name what is there. The C
program is tested by test_install.py."""
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

from harness.case import Case, main
from harness.daemon import PATIENCE, binary, eventually
from harness.protos import ROOT
from harness.readme import README, blocks, command

OPERATIONS = (ROOT / "docs/operations.md").read_text()


def programs():
    """The Python programs by name. Each begins with a comment that names its file."""
    return {re.match(r"# (\w+\.py) ", text).group(1): text for text in blocks("python")}


class Python(Case):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="tributary-readme-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        line = next(line for line in README.splitlines() if "grpc_tools.protoc" in line)
        subprocess.run(
            line.replace("/tmp/try", shlex.quote(folder.name)),
            shell=True,
            cwd=ROOT,
            check=True,
            timeout=PATIENCE,
        )
        for name, text in programs().items():
            (self.folder / name).write_text(text)

    def start(self, name):
        return self.start_program("/usr/bin/python3", "-B", name, cwd=self.folder, text=True)

    def output(self, process):
        output, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0, errors)
        return output

    def test_the_consumer_prints_what_the_producer_publishes(self):
        consumer = self.start("consumer.py")
        eventually(self.daemon.subscriptions, "the consumer has subscribed")
        confirmed = self.output(self.start("producer.py"))
        self.assertIn("up to batch 10;", confirmed)
        self.assertIn("sequence 10", confirmed)
        self.assertNotIn("refused", confirmed)
        lines = self.output(consumer).splitlines()
        self.assertEqual(
            [line.split()[:4] for line in lines],
            [["clock", str(number), "tick", str(number)] for number in range(1, 11)],
        )

    def test_the_programs_are_short(self):
        self.assertEqual(sorted(programs()), ["consumer.py", "producer.py", "visits.py"])
        for name, text in programs().items():
            self.assertLessEqual(len(text.splitlines()), 20, name)


class Batches(Case):
    def shell(self, beginning):
        """A line of the page, without what it says behind the command."""
        line = re.split(r" {2,}", command(beginning))[0]
        path = f"{pathlib.Path(binary()).parent}:{os.environ['PATH']}"
        return self.start_program("sh", "-c", f"exec {line}", cwd=self.folder, env={"PATH": path}, text=True)

    def test_the_script_counts_visits_as_pasted(self):
        folder = tempfile.TemporaryDirectory(prefix="tributary-readme-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "visits.py").write_text(programs()["visits.py"])
        worker = self.shell("tributary batch work visits")
        self.assertIn("working for visits", worker.stderr.readline())
        for beginning, visits in (("", 1), ("", 2), (" --id", 3), (" --id", 3), ("", 4)):
            caller = self.shell(f"tributary batch run visits alice{beginning or '  '}")
            out, err = caller.communicate(timeout=PATIENCE)
            self.assertEqual((caller.returncode, out), (0, f"{visits}\n"), err)
        worker.terminate()
        self.assertEqual(worker.wait(PATIENCE), 0)


class Topics(Case):
    shared_daemon = False

    def shell(self, beginning):
        """A line of the page, without what it says behind the command."""
        line = re.split(r" {2,}", next(each for each in README.splitlines() if beginning in each))[0]
        environment = {"PATH": f"{pathlib.Path(binary()).parent}:{os.environ['PATH']}",
                       "TRIBUTARY_SERVER": self.daemon.address}
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=PATIENCE,
                              env=environment, check=False)
        self.assertEqual(done.returncode, 0, f"{line}: {done.stderr}")
        return done.stdout

    def test_an_order_is_there_after_a_kill(self):
        folder = tempfile.TemporaryDirectory(prefix="tributary-readme-")
        self.addCleanup(folder.cleanup)
        state = os.path.join(folder.name, "kept")
        self.daemon = self.start_daemon("--state-dir", state)
        self.shell("tributary topics create")
        self.shell("tributary pub --topic")
        for _ in range(2):
            self.assertIn("two eggs", self.shell("tributary sub --topic"))
            self.daemon.kill()
            self.daemon = self.start_daemon("--state-dir", state)


class Words(unittest.TestCase):
    def test_the_table_has_every_option_of_the_daemon_and_no_other(self):
        help_text = subprocess.run(
            [binary(), "--help"], capture_output=True, text=True, check=True, timeout=PATIENCE
        ).stdout
        options = set(re.findall(r"^  (--[a-z-]+)", help_text, re.MULTILINE))
        options -= {"--help", "--version", "--errors"}
        self.assertEqual(set(re.findall(r"^\| `(--[a-z-]+)", OPERATIONS, re.MULTILINE)), options)

    def test_every_path_that_is_named_exists(self):
        pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tests/**/*.md")]
        for page in pages:
            for path in re.findall(
                r"`((?:src|server|client|tests|deploy|proto|cmake|docs)/[A-Za-z0-9_./-]*)`", page.read_text()
            ):
                self.assertTrue((ROOT / path).exists(), f"{page.name}: {path}")

    def test_the_readme_fits_its_length(self):
        self.assertLessEqual(len(README.splitlines()), 180)


if __name__ == "__main__":
    main()
