#!/usr/bin/env python3
"""Prints every #include that breaks the floors, and fails where there is one.

Usage: check.py ROOT ROOMS

ROOT is the project's root; ROOMS is the file that CMake writes, one room per line: "folder floor
vendor-header-prefixes...".

A file may include its own room and rooms on lower floors. Rooms on one floor are strangers. server/
and client/ do not know each other. A header of a vendor that any room calls its own may be included
from its homes only. Units (a .c and its .h) do not include each other in circles. A file of more
than 450 lines is mentioned, and breaks nothing.
"""

import os
import re
import sys

TOPS = ("src", "server", "client")
MAX_LINES = 450
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^">]+)[">]')


class Room:
    def __init__(self, folder, floor, vendors):
        self.folder, self.floor, self.vendors = folder, floor, set(vendors)


def read_rooms(path):
    rooms = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.split()
            if not words:
                continue
            folder, floor, vendors = words[0], int(words[1]), words[2:]
            if folder in rooms:  # a library and a program share a folder: the stricter floor counts
                rooms[folder].floor = min(rooms[folder].floor, floor)
                rooms[folder].vendors.update(vendors)
            else:
                rooms[folder] = Room(folder, floor, vendors)
    return rooms


def read_files(root):
    """path -> its lines"""
    files = {}
    for top in TOPS:
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8", errors="replace") as file:
                        files[os.path.relpath(path, root)] = file.read().splitlines()
    return files


def room_of(path, rooms):
    folder = os.path.dirname(path)
    while folder and folder not in rooms:
        folder = os.path.dirname(folder)
    return rooms.get(folder)


def resolve(name, path, files):
    """The file of this tree that an #include means, or None: the system's, a vendor's or a generated one."""
    for base in (os.path.dirname(path), "src", ""):
        target = os.path.normpath(os.path.join(base, name))
        if target in files:
            return target
    ends = [file for file in files if file.endswith("/" + name)]
    return ends[0] if len(ends) == 1 else None


def unit(path):
    return os.path.splitext(path)[0]


def breach_between(path, target, rooms):
    here, there = room_of(path, rooms), room_of(target, rooms)
    if not here or not there or here is there:
        return None
    if {path.split("/")[0], target.split("/")[0]} == {"server", "client"}:
        return f"includes {target}: server and client do not know each other"
    if there.floor > here.floor:
        return f"includes {target} (floor {there.floor}) from floor {here.floor}: includes point down"
    if there.floor == here.floor:
        return f"includes {target}: rooms on one floor ({here.floor}) are strangers"
    return None


def breach_of_vendor(name, path, rooms):
    homes = {
        room.folder: vendor for room in rooms.values() for vendor in room.vendors if name.startswith(vendor)
    }
    here = room_of(path, rooms)
    if homes and (not here or here.folder not in homes):
        return f"includes <{name}>, whose home is {' or '.join(sorted(homes))}"
    return None


def find_circles(graph):
    circles, done = set(), set()

    def visit(node, trail):
        if node in trail:
            ring = trail[trail.index(node) :]
            least = ring.index(min(ring))
            circles.add(tuple(ring[least:] + ring[:least] + [ring[least]]))
            return
        if node in done:
            return
        for after in sorted(graph.get(node, ())):
            visit(after, trail + [node])
        done.add(node)

    for node in sorted(graph):
        visit(node, [])
    return sorted(circles)


def check(root, rooms):
    """(breaches, warnings), each a list of lines"""
    files = read_files(root)
    breaches, warnings, graph = [], [], {}
    for path in sorted(files):
        if not room_of(path, rooms):
            breaches.append(f"{path} stands in no room")
        if len(files[path]) > MAX_LINES:
            warnings.append(f"{path} has {len(files[path])} lines, more than {MAX_LINES}")
        for number, line in enumerate(files[path], 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            target = resolve(found.group(1), path, files)
            if target:
                breach = breach_between(path, target, rooms)
                if unit(target) != unit(path):
                    graph.setdefault(unit(path), set()).add(unit(target))
            else:
                breach = breach_of_vendor(found.group(1), path, rooms)
            if breach:
                breaches.append(f"{path}:{number} {breach}")
    breaches += ["circle: " + " -> ".join(ring) for ring in find_circles(graph)]
    if not files:
        breaches.append(f"no source file under {root}: nothing was checked")
    return breaches, warnings


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    rooms = read_rooms(sys.argv[2])
    breaches, warnings = check(os.path.abspath(sys.argv[1]), rooms)
    for line in warnings:
        print("warning:", line)
    for line in breaches:
        print("breach:", line)
    print(f"{len(rooms)} rooms, {len(breaches)} breaches, {len(warnings)} warnings")
    sys.exit(1 if breaches else 0)


main()
