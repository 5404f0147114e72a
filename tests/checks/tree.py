"""tree - the files of this project that the checks read, and what in them is code and what is comment."""
import os
import pathlib
import re
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDERS = ("src", "server", "client", "proto", "tests", "docs", "deploy", "cmake", ".ci")
SUFFIXES = {".c", ".h", ".def", ".proto", ".py", ".cmake", ".txt", ".in", ".md", ".service", ""}
SKIPPED = ("tests/fuzz/corpus/", "deploy/packages.txt")
C_SUFFIXES = {".c", ".h", ".def", ".proto"}

C_TOKEN = re.compile(r"(?P<comment>/\*.*?\*/|//[^\n]*)"
                     r"""|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""", re.S)
HASH_TOKEN = re.compile(r'''(?P<string>"""(?:\\.|[^\\])*?"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')'''
                        r"|(?P<comment>(?<![\w$\\])#[^\n]*)", re.S)


def files(root=ROOT):
    """(path relative to the root, text) of every file, in order."""
    root = pathlib.Path(root)
    paths = [path for path in root.iterdir() if path.is_file() and path.suffix in {".md", ".txt"}]
    for folder in FOLDERS:
        for where, folders, names in os.walk(root / folder):
            folders[:] = [name for name in folders if name != "__pycache__"]
            paths += [pathlib.Path(where, name) for name in names]
    for path in sorted(paths):
        name = path.relative_to(root).as_posix()
        if path.suffix in SUFFIXES and not name.startswith(SKIPPED):
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # not a text


def is_c(name):
    return os.path.splitext(name)[1] in C_SUFFIXES


def blanked(found):
    """A text of the same length and lines as this token, without its words."""
    return re.sub(r"[^\n]", " ", found.group())


def code_of(name, text):
    """The text with its comments and strings blanked. Lines and columns stay."""
    return (C_TOKEN if is_c(name) else HASH_TOKEN).sub(blanked, text)


def comment_lines(name, text):
    """The numbers of the lines that hold a comment and no code."""
    token = C_TOKEN if is_c(name) else HASH_TOKEN
    numbers = set()
    for found in token.finditer(text):
        line_start = text.rfind("\n", 0, found.start()) + 1
        if found.group("comment") is None or text[line_start:found.start()].strip():
            continue
        if text[found.end():].split("\n", 1)[0].strip():
            continue
        first = text.count("\n", 0, found.start()) + 1
        numbers.update(range(first, first + found.group().count("\n") + 1))
    return numbers


def room_of(name):
    """The room or suite that a file belongs to, for counts."""
    parts = name.split("/")
    depth = 2 if parts[0] in ("src", "server", "client", "tests") else 1
    if parts[:2] == ["tests", "unit"]:
        depth = 3
    return "/".join(parts[:min(depth, len(parts) - 1)]) or "."


def under(name, paths):
    """True where the file is one of these paths or below one of them; without paths, always."""
    return not paths or any(name == path or name.startswith(path.rstrip("/") + "/") for path in paths)


def finish(refusals):
    """Prints refusals, (file, line, text) each, and their number in each room. Exits with 1 on any."""
    counts = {}
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the output may go to head
    for name, line, text in refusals:
        print(f"{name}:{line}: {text}")
        counts[room_of(name)] = counts.get(room_of(name), 0) + 1
    for room, count in sorted(counts.items()):
        print(f"{count:6} {room}")
    if refusals:
        print(f"{len(refusals):6} in all")
    sys.exit(1 if refusals else 0)
