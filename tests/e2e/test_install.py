#!/usr/bin/python3
"""What `cmake --install` installs: each component is whole, the libraries show only the interface, and
programs build with them by pkg-config and by find_package(), also after the prefix was moved."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from harness.case import Case, main
from harness.daemon import PATIENCE, binary, instrumented
from harness.protos import ROOT
from harness.readme import blocks, command

DOCUMENTS = "share/doc/tributary"
FILES = {
    "SERVER": "bin/tributaryd lib/systemd/system/tributaryd.service share/man/man8/tributaryd.8",
    "TOOL": """bin/tributary share/man/man1/tributary.1 share/bash-completion/completions/tributary
        share/zsh/site-functions/_tributary share/fish/vendor_completions.d/tributary.fish""",
    "CLIENT": """include/tributary/tributary.h include/tributary/version.h
        share/tributary/proto/tributary/v1/event.proto share/tributary/proto/tributary/v1/publisher.proto
        share/tributary/proto/tributary/v1/subscriber.proto share/tributary/proto/tributary/v1/admin.proto""",
}
PROJECT = """cmake_minimum_required(VERSION 3.25)
project(hello LANGUAGES C)
find_package(tributary 99 QUIET)
if(tributary_FOUND)
  message(FATAL_ERROR "this version is not 99")
endif()
find_package(tributary {version} REQUIRED COMPONENTS shared static)
add_executable(hello_shared hello.c)
target_link_libraries(hello_shared PRIVATE tributary::tributary)
add_executable(hello_static hello.c)
target_link_libraries(hello_static PRIVATE tributary::tributary_static)
"""
# C11 and C++17 alike.
STRICT = """#include <tributary/tributary.h>
#include <stdio.h>
int main(void)
{
    struct tributary_bytes text = tributary_text("text");

    puts(tributary_version());
    puts(TRIBUTARY_VERSION);
    printf("%d.%d.%d\\n", TRIBUTARY_VERSION_MAJOR, TRIBUTARY_VERSION_MINOR, TRIBUTARY_VERSION_PATCH);
    return text.size == 4 ? 0 : 1;
}
"""


def run(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, timeout=4 * PATIENCE, **more)


def install(prefix, *arguments, build=None):
    build = build or pathlib.Path(binary()).parents[1]
    return run("cmake", "--install", build, "--prefix", prefix, *arguments)


def files_below(prefix):
    return {str(path.relative_to(prefix)) for path in prefix.rglob("*") if not path.is_dir()}


def needed(program):
    """The shared libraries that a program names."""
    return re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", program, check=True).stdout)


class Components(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tributary-install-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def installed(self, *arguments):
        prefix = self.folder / "-".join(("prefix", *arguments))
        done = install(prefix, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return files_below(prefix)

    def test_components_are_apart_and_together_are_all(self):
        parts = {name: self.installed("--component", name) for name in FILES}
        for name, files in parts.items():
            self.assertEqual(set(FILES[name].split()) - files, set(), name)
            self.assertIn(f"{DOCUMENTS}/LICENSE", files, name)
            for other in parts.keys() - {name}:
                shared = {path for path in files & parts[other] if not path.startswith(DOCUMENTS)}
                self.assertEqual(shared, set(), (name, other))
        self.assertEqual(set().union(*parts.values()), self.installed())

    # Finding 45.
    def test_a_build_that_is_not_complete_installs_nothing_and_names_what_is_absent(self):
        build, prefix = self.folder / "build", self.folder / "prefix"
        configured = run("cmake", "-S", ROOT, "-B", build, "-G", "Ninja", "-D", "BUILD_TESTING=OFF")
        self.assertEqual(configured.returncode, 0, configured.stderr)
        for arguments, absent in (((), "libtributary.so"), (("--component", "SERVER"), "tributaryd.8")):
            done = install(prefix, *arguments, build=build)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(f"First run: cmake --build {build}", " ".join(done.stderr.split()))
            self.assertIn(absent, done.stderr)
            self.assertEqual(files_below(prefix), set())


@unittest.skipIf(instrumented(), "a program that links the library would need the sanitizer, too")
class Library(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.holder = tempfile.TemporaryDirectory(prefix="tributary-install-")
        cls.addClassCleanup(cls.holder.cleanup)
        cls.folder = pathlib.Path(cls.holder.name)
        done = install(cls.folder / "before", "--component", "CLIENT")
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.prefix = (cls.folder / "before").rename(cls.folder / "prefix")
        cls.lib = next(cls.prefix.rglob("libtributary.so")).parent
        cls.environment = os.environ | {
            "PKG_CONFIG_PATH": str(cls.lib / "pkgconfig"),
            "LD_LIBRARY_PATH": str(cls.lib),
            "TRIBUTARY_SERVER": cls.daemon.address,
        }
        cls.version = re.search(r"\d+\.\d+\.\d+", run(binary(), "--version", check=True).stdout).group()
        cls.soname = f"libtributary.so.{cls.version.rpartition('.')[0]}"
        (cls.folder / "hello.c").write_text(blocks("c")[0])

    def shell(self, line):
        done = run("bash", "-o", "pipefail", "-c", line, cwd=self.folder, env=self.environment)
        self.assertEqual(done.returncode, 0, f"{line}\n{done.stdout}{done.stderr}")
        return done.stdout

    def declared(self):
        """The functions of the public headers, whether they are marked or not."""
        text = "\n".join(path.read_text() for path in (self.prefix / "include/tributary").glob("*.h"))
        return set(re.findall(r"^(?!static)[A-Za-z][\w *]*[ *\n](tributary_\w+)\(", text, re.MULTILINE))

    def symbols(self, *arguments):
        """The names of defined symbols, as nm prints them."""
        printed = run("nm", "--defined-only", "--format=posix", *arguments, check=True).stdout
        return {line.split()[0] for line in printed.splitlines() if " " in line}

    def test_the_shared_library_exports_the_functions_of_the_headers_and_nothing_else(self):
        declared = self.declared()
        self.assertIn("tributary_connect", declared)
        self.assertEqual(self.symbols("--dynamic", self.lib / "libtributary.so"), declared)

    def test_the_static_library_shows_the_functions_of_the_headers_and_nothing_else(self):
        self.assertEqual(self.symbols("--extern-only", self.lib / "libtributary.a"), self.declared())

    def test_the_program_of_the_readme_builds_with_pkg_config_and_the_shared_library(self):
        self.assertEqual(self.shell(command("cc hello.c")), "OK\n")
        self.assertIn(self.soname, needed(self.folder / "hello"))

    def test_the_program_of_the_readme_builds_with_pkg_config_and_the_static_library(self):
        flags = "$(pkg-config --cflags --libs --static tributary | sed s/-ltributary/-l:libtributary.a/)"
        self.assertEqual(self.shell(f"cc hello.c {flags} -o hello_static && ./hello_static"), "OK\n")
        self.assertNotIn(self.soname, needed(self.folder / "hello_static"))

    def test_the_programs_for_keyed_batches_build_and_run_as_pasted(self):
        page = (ROOT / "docs/batch.md").read_text()
        for name, text in (
            ("visits", blocks("c", page)[0]),
            ("accounts", (ROOT / "docs/examples/accounts.c").read_text()),
        ):
            (self.folder / f"{name}.c").write_text(text)
            line = re.search(rf"cc {name}\.c .*", text).group()
            printed = self.shell(line.replace("./accounts", "./accounts accounts.db"))
            if name == "visits":
                self.assertEqual(printed, "OK: 1000 visits, saved together\n")
                self.assertEqual((self.folder / "alice.visits").read_text(), "1000\n")
            else:
                made, refused = map(int, re.findall(r"\d+", printed.splitlines()[0]))
                self.assertEqual(made + refused, 1000)
                self.assertIn("all accounts together have 1000, after ", printed)
                self.assertLess(int(printed.split()[-2]), made)

    def test_the_program_of_the_readme_builds_with_find_package_and_both_libraries(self):
        (self.folder / "CMakeLists.txt").write_text(PROJECT.format(version=self.version))
        self.shell(f"cmake -G Ninja -B build -D CMAKE_PREFIX_PATH={self.prefix} && cmake --build build")
        for kind, shared in (("shared", True), ("static", False)):
            self.assertEqual(self.shell(f"build/hello_{kind}"), "OK\n", kind)
            self.assertEqual(self.soname in needed(self.folder / f"build/hello_{kind}"), shared, kind)

    def test_c_and_cpp_programs_without_extensions_build_and_see_one_version(self):
        for compiler, name in (("cc -std=c11", "strict.c"), ("clang++ -std=c++17", "strict.cpp")):
            (self.folder / name).write_text(STRICT)
            strict = f"{compiler} -Wall -Wextra -Wpedantic -Werror"
            self.shell(f"{strict} -c {name} $(pkg-config --cflags tributary) -o {name}.o")
            printed = self.shell(f"cc {name}.o $(pkg-config --libs tributary) -o {name}.bin && ./{name}.bin")
            self.assertEqual(printed.split(), [self.version] * 3, name)

    def test_nothing_that_is_installed_names_the_prefix_or_the_tree(self):
        for path in [*self.prefix.rglob("*.cmake"), *self.prefix.rglob("*.pc")]:
            for folder in (self.folder, ROOT):
                self.assertNotIn(f"{folder}/", path.read_text(), path.name)


if __name__ == "__main__":
    main()
