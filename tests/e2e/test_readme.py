#!/usr/bin/python3
"""What README.md shows is true: its Python programs work as pasted, and its table has every option. (Its C program: test_install.py.)"""
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
from harness.readme import README, blocks


def programs():
    """The Python programs by name: each begins with a comment that says which file it is."""
    return {re.match(r"# (\w+\.py) ", text).group(1): text for text in blocks("python")}


class Python(Case):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="tributary-readme-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        command = next(line for line in README.splitlines() if "grpc_tools.protoc" in line)
        subprocess.run(command.replace("/tmp/try", shlex.quote(folder.name)), shell=True, cwd=ROOT, check=True, timeout=PATIENCE)
        for name, text in programs().items():
            (self.folder / name).write_text(text)

    def start(self, name):
        process = subprocess.Popen(["/usr/bin/python3", "-B", name], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=os.environ | {"TRIBUTARY_SERVER": self.daemon.address})
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

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
        self.assertEqual([line.split()[:4] for line in lines], [["clock", str(number), "tick", str(number)] for number in range(1, 11)])

    def test_the_programs_are_short(self):
        self.assertEqual(sorted(programs()), ["consumer.py", "producer.py"])
        for name, text in programs().items():
            self.assertLessEqual(len(text.splitlines()), 20, name)


class Words(unittest.TestCase):
    def test_every_option_of_the_daemon_stands_in_the_table_and_no_other(self):
        said = subprocess.run([binary(), "--help"], capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
        options = set(re.findall(r"^  (--[a-z-]+)", said, re.MULTILINE)) - {"--help", "--version", "--errors"}
        self.assertEqual(set(re.findall(r"^\| `(--[a-z-]+)", README, re.MULTILINE)), options)

    def test_every_path_that_is_named_exists(self):
        for text in (README, (ROOT / "ARCHITECTURE.md").read_text()):
            for path in re.findall(r"`((?:src|server|client|tests|deploy|proto|cmake)/[A-Za-z0-9_./-]*)`", text):
                self.assertTrue((ROOT / path).exists(), path)


if __name__ == "__main__":
    main()
