"""A daemon with a fan-in listener, and servers behind it."""
import os
import pathlib
import subprocess

from services import PATIENCE


def has_fan_in(programs):
    """Whether this tributaryd has a fan-in listener."""
    usage = subprocess.run([programs / "tributaryd", "--help"], capture_output=True, text=True)
    return "--fan-in" in usage.stdout


class Stand:
    """The daemon. `address` is that of its fan-in listener."""

    def __init__(self):
        from harness.daemon import Daemon

        self.tool_path = pathlib.Path(os.environ["TRIBUTARY_BIN"]) / "tributary"
        self.daemon = Daemon("--fan-in", "127.0.0.1:0")
        self.address = self.daemon.addresses[-1]

    def tool(self, *words):
        done = subprocess.run([self.tool_path, *words, "-s", self.daemon.address], text=True,
                              timeout=PATIENCE, capture_output=True)
        if done.returncode != 0:
            raise AssertionError(f"tributary {' '.join(words)}: exit {done.returncode}: {done.stderr}")

    def serve(self, name, address, *methods):
        """Adds an endpoint that serves these methods."""
        serve = [word for method in methods for word in ("--serve", method)]
        self.tool("producers", "add", name, address, *serve)

    def remove(self, name):
        self.tool("producers", "rm", "--cancel", name)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        try:
            if not failed:
                self.daemon.stop()
        finally:
            self.daemon.kill()
