#!/usr/bin/env python3
"""Prints every circle of calls among the files of a room, and fails where there is one.

Usage: calls.py LIBRARY...

LIBRARY is the static library of a room. One file calls another where it uses a symbol that the
other defines, be it a function or data. Calls through a table of functions are not seen: ports and
kinds of producers exist for that.
"""

import subprocess
import sys


def symbols(library):
    """file -> (symbols that it defines, symbols that it uses)"""
    lines = subprocess.run(["nm", "-A", "--format=posix", library], check=True, stdout=subprocess.PIPE,
                           text=True).stdout.splitlines()
    files = {}
    for line in lines:
        place, name, kind = line.split()[:3]
        file = place[place.index("[") + 1:place.index("]")].removesuffix(".o")
        defined, used = files.setdefault(file, (set(), set()))
        (used if kind == "U" else defined).add(name)
    return files


def calls(files):
    """file -> the files that it calls"""
    home = {name: file for file, (defined, _) in files.items() for name in defined}
    return {file: sorted({home[name] for name in used if name in home and home[name] != file})
            for file, (_, used) in files.items()}


def circles(graph):
    """Each circle once, as a list of files: Tarjan's strongly connected components."""
    index, low, on_stack, stack, found = {}, {}, set(), [], []

    def visit(file):
        index[file] = low[file] = len(index)
        stack.append(file)
        on_stack.add(file)
        for called in graph[file]:
            if called not in index:
                visit(called)
                low[file] = min(low[file], low[called])
            elif called in on_stack:
                low[file] = min(low[file], index[called])
        if low[file] == index[file]:
            group = []
            while not group or group[-1] != file:
                group.append(stack.pop())
                on_stack.discard(group[-1])
            if len(group) > 1:
                found.append(sorted(group))

    for file in sorted(graph):
        if file not in index:
            visit(file)
    return found


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    failed = False
    for library in sys.argv[1:]:
        graph = calls(symbols(library))
        for circle in circles(graph):
            failed = True
            print(f"{library}: a circle of calls: {', '.join(circle)}")
            for file in circle:
                print(f"  {file} calls {', '.join(called for called in graph[file] if called in circle)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
