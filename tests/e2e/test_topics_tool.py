#!/usr/bin/python3
"""`tributary topics`: what an operator types."""
import json
import subprocess

from harness.case import main
from harness.daemon import PATIENCE, binary
from harness.topics import TopicsCase


class Topics(TopicsCase):
    def run_tool(self, *arguments, code=0):
        command = [binary("tributary"), *arguments, "-s", self.daemon.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def info(self, name):
        return json.loads(self.run_tool("topics", "info", name, "-o", "json")[0])

    def test_create_ls_info_update_rm(self):
        self.start()
        self.assertEqual(self.run_tool("topics", "ls")[1], "no topics\n")
        self.assertEqual(self.run_tool("topics", "create", "orders", "--max-age", "168h"), ("", ""))
        made = self.run_tool("topics", "create", "a", "b", "--max-events", "1k", "-o", "json")[0]
        self.assertEqual([json.loads(line)["name"] for line in made.splitlines()], ["a", "b"])
        lines = self.run_tool("topics", "ls")[0].splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["topic", "a", "b", "orders"])
        self.assertIn("7 d", lines[3])
        rows = self.run_tool("topics", "ls", "?", "-o", "json")[0].splitlines()
        self.assertEqual([json.loads(row)["settings"]["max_events"] for row in rows], [1000, 1000])
        self.run_tool("topics", "update", "orders", "--max-bytes", "10GiB")
        self.assertEqual(
            self.info("orders")["settings"],
            {"max_age_ns": 168 * 3600 * 10**9, "max_bytes": 10 << 30, "max_events": 0,
             "id_window_ns": 0, "max_ids": 0},
            "what is not given stays")
        self.run_tool("topics", "update", "orders", "--max-age", "0")
        self.assertEqual(self.info("orders")["settings"]["max_age_ns"], 0)
        text = self.run_tool("topics", "info", "orders")[0]
        self.assertIn("keeps          10.0 GiB", text)
        epoch = self.info("a")["epoch"]
        self.assertIn("TOPIC_CHANGED", self.run_tool("topics", "rm", "a", "--epoch", "1", code=74)[1])
        self.run_tool("topics", "rm", "a", "--epoch", epoch)
        self.run_tool("topics", "rm", "b", "orders")
        self.assertEqual(self.names(), [])
        for verb in ("info", "rm"):
            self.assertIn("TOPIC_NOT_FOUND", self.run_tool("topics", verb, "b", code=4)[1])

    def test_wrong_command_lines(self):
        self.start()
        for arguments, part in (
            (["create"], "name is missing"),
            (["update", "a"], "nothing to change"),
            (["rm", "a", "b", "--epoch", "1"], "of one topic"),
            (["create", "a", "--max-age", "1year"], "--max-age"),
            (["create", "a", "--id-window", "169h"], "168h"),
        ):
            self.assertIn(part, self.run_tool("topics", *arguments, code=2)[1])
        self.assertIn("1 s", self.run_tool("topics", "create", "a", "--max-age", "5ms", code=67)[1])

    def test_names_are_completed(self):
        self.start()
        self.run_tool("topics", "create", "orders", "other")
        self.assertEqual(self.run_tool("completion", "names", "stored-topics", "or")[0], "orders\n")
        self.assertEqual(self.run_tool("completion", "names", "topics", "o")[0], "orders\nother\n")
        for shell in ("bash", "zsh", "fish"):
            self.assertIn("stored-topics", self.run_tool("completion", shell)[0])


if __name__ == "__main__":
    main()
