"""A disk whose syncs wait, are slow or fail when the test says so."""
import contextlib
import os
import pathlib
import subprocess
import tempfile


class OnBadDisk:
    """For a case that has start(): see bad_disk.c."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tools = tempfile.TemporaryDirectory(prefix="tributary-disk-")
        cls.library = os.path.join(cls.tools.name, "bad_disk.so")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bad_disk.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", cls.library, source], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.tools.cleanup()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.disk = os.path.join(self.tools.name, "disk")

    def start_on_bad_disk(self, *arguments, **options):
        """The daemon's syncs do what disk_that() says."""
        sanitizer = os.environ.get("ASAN_OPTIONS", "")
        environment = {
            "LD_PRELOAD": self.library,
            "BAD_DISK": self.disk,
            # AddressSanitizer wants to be the first library; this one only has fsync().
            "ASAN_OPTIONS": f"{sanitizer}:verify_asan_link_order=0".lstrip(":"),
        }
        return self.start(*arguments, env=environment, **options)

    @contextlib.contextmanager
    def disk_that(self, does):
        """`does`: "wait", "slow" or "fail", until the end of the block, or until the path is gone."""
        path = pathlib.Path(f"{self.disk}.{does}")
        path.touch()
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
