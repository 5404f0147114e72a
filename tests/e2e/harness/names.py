"""Host names whose addresses a test chooses: a library in front of the daemon's resolver
(tests/lib/fake_resolver.c)."""
import os
import pathlib
import tempfile

from .daemon import binary, instrumented


class Names:
    """The names of one daemon. Start it with `env`."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="tributary-names-")
        self._path = pathlib.Path(self._folder.name) / "hosts"
        self._lines = {}
        self._write()
        library = pathlib.Path(binary()).parent.parent / "testlib" / "libfake_resolver.so"
        self.env = {"LD_PRELOAD": str(library), "FAKE_HOSTS": str(self._path)}
        if instrumented():
            options = os.environ.get("ASAN_OPTIONS", "")
            self.env["ASAN_OPTIONS"] = f"{options}:verify_asan_link_order=0".lstrip(":")

    def _write(self):
        draft = self._path.with_suffix(".new")
        draft.write_text("".join(f"{name} {words}\n" for name, words in self._lines.items()))
        draft.rename(self._path)

    def set(self, name, *addresses):
        self._lines[name] = " ".join(addresses)
        self._write()

    def fail(self, name, code):
        """getaddrinfo() returns this code, such as socket.EAI_AGAIN."""
        self.set(name, "!fail", str(code))

    def hang(self, *names):
        for name in names:
            self._lines[name] = "!hang"
        self._write()

    def close(self):
        self._folder.cleanup()
