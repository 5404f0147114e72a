#!/usr/bin/env python3
"""Shows that the floors hold: small trees with one wrong include each must be refused, and a sound
one must pass.

Usage: refuses.py CHECK     (CHECK: the path of check.py)
"""

import os
import subprocess
import sys
import tempfile
import unittest

CHECK = sys.argv.pop(1)

ROOMS = """src/low 0
src/left 10 vendor.h
src/right 10 other/
server/door 60
server 80
client/lib 60 other/
client/tool 70
"""

SOUND = {
    "src/low/low.h": "",
    "src/low/low.c": '#include "low/low.h"\n#include <stdlib.h>\n',
    "src/left/left.h": '#include "low/low.h"\n',
    "src/left/left.c": '#include "left/left.h"\n#include <vendor.h>\n',
    "src/right/right.h": "",
    "src/right/right.c": '#include "right.h"\n#include <other/thing.h>\n',
    "server/door/door.h": '#include "left/left.h"\n#include "right/right.h"\n',
    "server/main.c": '#include "server/door/door.h"\n',
    "client/lib/lib.h": '#include "low/low.h"\n',
    "client/lib/lib.c": '#include "client/lib/lib.h"\n#include <other/thing.h>\n',
    "client/tool/tool.c": '#include "client/lib/lib.h"\n',
}


def checked(changes):
    """(exit status, breaches) of the sound tree with these files in place of its own."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**SOUND, **changes}.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        rooms = os.path.join(root, "rooms.txt")
        with open(rooms, "w", encoding="utf-8") as file:
            file.write(ROOMS)
        run = subprocess.run(
            [sys.executable, CHECK, root, rooms], capture_output=True, text=True, check=False
        )
        return (
            run.returncode,
            [line[8:] for line in run.stdout.splitlines() if line.startswith("breach: ")],
            run.stdout,
        )


class Floors(unittest.TestCase):
    def refused(self, changes, *expected):
        status, breaches, _ = checked(changes)
        self.assertEqual(breaches, list(expected))
        self.assertEqual(status, 1)

    def test_a_sound_tree_passes(self):
        status, breaches, _ = checked({})
        self.assertEqual((status, breaches), (0, []))

    def test_an_upward_include_is_refused(self):
        self.refused(
            {"src/low/low.c": '#include "right/right.h"\n'},
            "src/low/low.c:1 includes src/right/right.h (floor 10) from floor 0: includes point down",
        )

    def test_a_sideways_include_is_refused(self):
        self.refused(
            {"src/left/left.c": '\n#include "right/right.h"\n'},
            "src/left/left.c:2 includes src/right/right.h: rooms on one floor (10) are strangers",
        )

    def test_a_vendor_header_away_from_home_is_refused(self):
        self.refused(
            {"server/door/door.c": "#include <vendor.h>\n"},
            "server/door/door.c:1 includes <vendor.h>, whose home is src/left",
        )
        self.refused(
            {"src/low/low.c": '#  include "other/thing.h"\n'},
            "src/low/low.c:1 includes <other/thing.h>, whose home is client/lib or src/right",
        )

    def test_three_breaches_are_three_lines(self):
        status, breaches, _ = checked(
            {
                "src/low/low.c": '#include "right/right.h"\n',
                "src/left/left.c": '#include "right/right.h"\n',
                "server/door/door.c": "#include <vendor.h>\n",
            }
        )
        self.assertEqual((status, len(breaches)), (1, 3))

    def test_server_and_client_are_strangers_on_any_floor(self):
        self.refused(
            {"client/tool/tool.c": '#include "server/door/door.h"\n'},
            "client/tool/tool.c:1 includes server/door/door.h: server and client do not know each other",
        )
        self.refused(
            {"server/main.c": '#include "client/lib/lib.h"\n'},
            "server/main.c:1 includes client/lib/lib.h: server and client do not know each other",
        )

    def test_a_circle_is_refused(self):
        self.refused(
            {"src/low/low.h": '#include "low/more.h"\n', "src/low/more.h": '#include "low/low.h"\n'},
            "circle: src/low/low -> src/low/more -> src/low/low",
        )

    def test_a_file_in_no_room_is_refused(self):
        self.refused({"src/cellar/dark.c": ""}, "src/cellar/dark.c stands in no room")

    def test_a_file_of_450_lines_is_fine_and_a_longer_one_is_mentioned(self):
        status, _, output = checked({"src/low/low.c": "\n" * 450})
        self.assertEqual((status, "warning:" in output), (0, False))
        status, _, output = checked({"src/low/low.c": "\n" * 451})
        self.assertEqual(status, 0)
        self.assertIn("warning: src/low/low.c has 451 lines, more than 450", output)

    def test_checking_nothing_is_no_success(self):
        with tempfile.TemporaryDirectory() as root:
            rooms = os.path.join(root, "rooms.txt")
            with open(rooms, "w", encoding="utf-8") as file:
                file.write(ROOMS)
            self.assertEqual(
                subprocess.run(
                    [sys.executable, CHECK, root, rooms], capture_output=True, check=False
                ).returncode,
                1,
            )


unittest.main()
