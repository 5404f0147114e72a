#!/usr/bin/env python3
"""Shows that room() refuses to configure an upward or a sideways link, and that a downward one configures.

Usage: refuses_link.py CMAKE ROOMS     (CMAKE: the program; ROOMS: the path of rooms.cmake)
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

CMAKE, ROOMS = sys.argv.pop(1), sys.argv.pop(1)

# Rooms are targets of no language here: finding a compiler takes longer than everything else.
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(small LANGUAGES NONE)
include("%s")
function(add_library name)
  _add_library(${name} INTERFACE)
endfunction()
function(target_compile_options)
endfunction()
function(target_link_libraries)
endfunction()
%s
write_rooms()
"""


def configured(rooms):
    """Configures a project of `rooms`: a name -> the arguments of its room(). Each room is in a folder
    of its name. Returns (exit status, what CMake wrote, in one line, rooms.txt)."""
    with tempfile.TemporaryDirectory() as root:
        with open(os.path.join(root, "CMakeLists.txt"), "w", encoding="utf-8") as file:
            file.write(PROJECT % (ROOMS, "\n".join(f"add_subdirectory({name})" for name in rooms)))
        for name, rest in rooms.items():
            os.mkdir(os.path.join(root, name))
            with open(os.path.join(root, name, "CMakeLists.txt"), "w", encoding="utf-8") as file:
                file.write(f"room({name} SOURCES none.c {rest})\n")
        build = os.path.join(root, "build")
        run = subprocess.run(
            [CMAKE, "-S", root, "-B", build, "-G", "Ninja"], capture_output=True, text=True, check=False
        )
        written = ""
        if os.path.exists(os.path.join(build, "rooms.txt")):
            with open(os.path.join(build, "rooms.txt"), encoding="utf-8") as file:
                written = file.read()
        return run.returncode, re.sub(r"\s+", " ", run.stdout + run.stderr), written


class Links(unittest.TestCase):
    def refused(self, rooms, message):
        status, output, _ = configured(rooms)
        self.assertNotEqual(status, 0)
        self.assertIn(message, output)

    def test_a_downward_link_configures_and_is_written_down(self):
        status, output, written = configured(
            {"low": "FLOOR 0", "high": "FLOOR 10 USES low VENDOR ev.h grpc/"}
        )
        self.assertEqual(status, 0, output)
        self.assertEqual(written, "low 0\nhigh 10 ev.h grpc/\n")

    def test_an_upward_link_is_refused(self):
        self.refused(
            {"high": "FLOOR 10", "low": "FLOOR 0 USES high"},
            "room low (floor 0) may not use high (floor 10): links point down",
        )

    def test_a_sideways_link_is_refused(self):
        self.refused(
            {"left": "FLOOR 10", "right": "FLOOR 10 USES left"},
            "room right (floor 10) may not use left (floor 10): links point down",
        )

    def test_a_link_to_what_is_no_room_is_refused(self):
        self.refused({"low": "FLOOR 0 USES nothing"}, "room low: uses nothing, which is no room yet")

    def test_a_room_without_a_floor_is_refused(self):
        self.refused({"low": ""}, "room low: FLOOR and SOURCES are needed")


unittest.main()
