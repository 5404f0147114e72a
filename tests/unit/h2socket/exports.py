#!/usr/bin/env python3
"""exports.py NM PROGRAM - refuses a program in which gRPC core would not find the functions of
src/h2socket: each must be defined, and visible to the libraries that the program loads."""
import subprocess
import sys

FUNCTIONS = {"recvmsg", "sendmsg", "epoll_ctl", "epoll_wait", "shutdown", "close"}


def main():
    listed = subprocess.run([sys.argv[1], "--dynamic", "--defined-only", sys.argv[2]],
                            capture_output=True, text=True, check=True).stdout
    symbols = [line.split() for line in listed.splitlines()]
    missing = FUNCTIONS - {words[2] for words in symbols if len(words) == 3 and words[1] == "T"}
    for name in sorted(missing):
        print(f"{sys.argv[2]}: {name}() is libc's, not the program's own")
    return 1 if missing else 0


sys.exit(main())
