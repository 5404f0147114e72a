#!/usr/bin/python3
"""Help, manual pages and completions come out of the same tables: each has every option of
every verb.

Usage: pages.py TRIBUTARY TRIBUTARYD
"""

import os, re, shutil, subprocess, sys, tempfile, unittest

TOOL, DAEMON = sys.argv[1:3]


def run(*words, input=None):
    done = subprocess.run(words, input=input, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, (words, done)
    return done.stdout


def options_in(text):
    """{name: letter} of an option list."""
    return {m[2]: m[1] for m in re.findall(r"^ +((?:-(\w), )?--([\w-]+))", text, re.M)}


def verbs():
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?) +[a-z]", run(TOOL, "help").split("Exit codes")[0], re.M)


def plain(roff):
    """Without escapes and fonts."""
    return re.sub(r"\\f.", "", roff.replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\"))


class Pages(unittest.TestCase):
    def test_the_overview_names_the_verbs(self):
        self.assertEqual(
            set(verbs()),
            {
                "pub",
                "sub",
                "serve",
                "status",
                "producers ls",
                "backup",
                "topics create",
                "topics info",
                "topics ls",
                "topics rm",
                "topics update",
                "producers get",
                "producers add",
                "producers update",
                "producers rm",
                "producers drain",
                "producers watch",
                "subs ls",
                "subs kick",
                "drain",
                "top",
                "why",
                "bench pub",
                "bench sub",
                "bench latency",
                "bench batch",
                "batch work",
                "batch run",
                "batch watch",
                "batch ls",
                "completion",
                "version",
            },
        )

    def test_every_option_of_every_verb_is_in_the_manual(self):
        page = plain(run(TOOL, "help", "--man"))
        for verb in verbs():
            part = page.split(".SS tributary %s\n" % verb)[1].split("\n.S")[0]
            help_text = run(TOOL, "help", *verb.split())
            own = options_in(help_text.split("Options of every verb:")[0])
            for name, letter in own.items():
                head = "-%s, --%s" % (letter, name) if letter else "--%s" % name
                self.assertRegex(part, r"(?m)^%s( |$)" % re.escape(head), verb)
            for example in re.findall(
                r"(?m)^  (tributary .*|.* tributary .*)$", help_text.split("Examples:")[1]
            ):
                if not example.strip().startswith("#"):
                    self.assertIn(example.strip(), part)
        common = page.split(".SH OPTIONS OF EVERY VERB")[1].split(".SH VERBS")[0]
        for name in options_in(run(TOOL, "help", "pub").split("Options of every verb:")[1]):
            self.assertIn("--" + name, common)

    def test_every_option_of_the_daemon_is_in_its_manual(self):
        text, page = run(DAEMON, "--help"), plain(run(DAEMON, "--man"))
        found = options_in(text)
        self.assertIn("listen", found)
        self.assertNotIn("man", found)
        for name in found:
            self.assertRegex(page, r"(?m)^--%s( |$)" % name)

    @unittest.skipUnless(shutil.which("groff"), "groff is not there")
    def test_the_manuals_are_clean_roff(self):
        for page in (run(TOOL, "help", "--man"), run(DAEMON, "--man")):
            done = subprocess.run(
                ["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True, text=True
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertNotRegex(done.stdout, r"\\f|\\\(|\\-")

    def complete(self, *words):
        script = run(TOOL, "completion", "bash")
        given = " ".join("'%s'" % word for word in words)
        return run(
            "bash",
            "-c",
            script
            + "\nCOMP_WORDS=(tributary %s); COMP_CWORD=%d; _tributary; echo \"${COMPREPLY[@]}\""
            % (given, len(words)),
        ).split()

    def test_every_option_of_every_verb_is_completed(self):
        for verb in verbs():
            found = set(self.complete(*verb.split(), "-"))
            for name, letter in options_in(run(TOOL, "help", *verb.split())).items():
                self.assertIn("--" + name, found, verb)
                if letter:
                    self.assertIn("-" + letter, found, verb)

    def test_verbs_choices_and_files_are_completed(self):
        self.assertEqual(self.complete("s"), ["sub", "serve", "status", "subs"])
        self.assertEqual(set(self.complete("")), {verb.split()[0] for verb in verbs()} | {"help"})
        self.assertEqual(
            self.complete("producers", ""), ["ls", "get", "add", "update", "rm", "drain", "watch"]
        )
        self.assertEqual(self.complete("help", "subs", "k"), ["kick"])
        self.assertEqual(self.complete("bench", ""), ["pub", "sub", "latency", "batch"])
        self.assertEqual(
            self.complete("sub", "--overflow", "d"), ["drop-oldest", "drop-newest", "disconnect"]
        )
        self.assertEqual(self.complete("pub", "--follow", __file__[:-1]), [__file__])
        self.assertEqual(self.complete("sub", "--server", ""), [])
        self.assertEqual(self.complete("completion", ""), ["bash", "fish", "zsh"])

    def test_zsh_gets_the_same_in_its_own_dress(self):
        zsh, bash = run(TOOL, "completion", "zsh"), run(TOOL, "completion", "bash")
        self.assertTrue(zsh.startswith("#compdef tributary\n") and zsh.endswith(bash))
        self.assertNotEqual(subprocess.run([TOOL, "completion", "tcsh"], capture_output=True).returncode, 0)

    def fish(self, *lines):
        """What fish offers for each command line, without the descriptions."""
        with tempfile.TemporaryDirectory(prefix="tributary-fish-") as home:
            script = run(TOOL, "completion", "fish")
            for line in lines:
                quoted = line.replace("\\", "\\\\").replace("'", "\\'")
                script += f"complete -C '{quoted}'; echo ==\n"
            environment = dict(os.environ, HOME=home, XDG_CONFIG_HOME=home, XDG_DATA_HOME=home)
            environment["PATH"] = f"{os.path.dirname(TOOL)}:{os.environ['PATH']}"
            environment["TRIBUTARY_SERVER"] = "unix:/nonexistent/socket"
            done = subprocess.run(
                ["fish", "--no-config", "-c", script], capture_output=True, text=True, env=environment
            )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        blocks = done.stdout.split("==\n")[:-1]
        return [[row.split("\t")[0] for row in block.splitlines()] for block in blocks]

    def test_fish_gets_every_option_of_every_verb(self):
        names = list(verbs())
        for verb, found in zip(names, self.fish(*(f"tributary {verb} -" for verb in names))):
            for name, letter in options_in(run(TOOL, "help", *verb.split())).items():
                self.assertIn("--" + name, found, verb)
                if letter:
                    self.assertIn("-" + letter, found, verb)

    def test_fish_gets_verbs_choices_and_files(self):
        first, second, helps, choices, files, none, shells = self.fish(
            "tributary ",
            "tributary producers ",
            "tributary help subs k",
            "tributary sub --overflow d",
            f"tributary pub --follow {__file__[:-1]}",
            "tributary sub --server ",
            "tributary completion ",
        )
        self.assertEqual(set(first), {verb.split()[0] for verb in verbs()} | {"help"})
        self.assertEqual(set(second), {"ls", "get", "add", "update", "rm", "drain", "watch"})
        self.assertEqual(helps, ["kick"])
        self.assertEqual(set(choices), {"drop-oldest", "drop-newest", "disconnect"})
        self.assertEqual(files, [__file__])
        self.assertEqual(none, [])
        self.assertEqual(set(shells), {"bash", "fish", "zsh"})


unittest.main(argv=sys.argv[:1])
