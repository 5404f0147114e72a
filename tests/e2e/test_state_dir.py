#!/usr/bin/python3
"""--state-dir: endpoints that operators add at run time survive a restart, a kill and a bad disk."""
import contextlib
import os
import pathlib
import random
import shutil
import sqlite3
import stat
import subprocess
import tempfile
import threading
import time

import grpc

from harness.bad_disk import OnBadDisk
from harness.case import Case, main
from harness.client import connect
from harness.daemon import PATIENCE, REPORT, binary, eventually, instrumented
from harness.protos import Fault, message_class, v1
from harness.upstreams import Upstream, endpoint

CODE = grpc.StatusCode
PRODUCER = message_class("tributary.v1.Producer")
STORE = message_class("tributary.v1.Info.Store")
ADD, UPDATE, REMOVE = v1.AddProducerRequest, v1.UpdateProducerRequest, v1.RemoveProducerRequest
NOWHERE = "127.0.0.1:9"


class WithStateDir(Case):
    shared_daemon = False

    def setUp(self):
        super().setUp()
        folder = tempfile.mkdtemp(prefix="tributary-state-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.state = os.path.join(folder, "state")
        self.daemon = None

    def file(self, name="store.db"):
        return os.path.join(self.state, name)

    def start(self, *arguments, **options):
        self.daemon = self.start_daemon("--state-dir", self.state, *arguments, **options)
        return self.daemon

    def restart(self, *arguments, **options):
        self.daemon.stop()
        return self.start(*arguments, **options)

    def kill(self):
        """As the kernel does when memory runs out."""
        self.daemon.kill()

    def admin(self):
        return self.daemon.admin()

    def add(self, name, address=NOWHERE, on_duplicate=0, **fields):
        request = ADD(endpoint=endpoint(name, address, **fields), on_duplicate=on_duplicate)
        return self.admin().AddProducer(request, timeout=PATIENCE)

    def update(self, name, address=NOWHERE, **fields):
        request = UPDATE(endpoint=endpoint(name, address, **fields))
        return self.admin().UpdateProducer(request, timeout=PATIENCE)

    def remove(self, name):
        return self.admin().RemoveProducer(REMOVE(name=name, mode=REMOVE.CANCEL), timeout=PATIENCE)

    def endpoints(self, admin=None):
        """The endpoints by name."""
        found, token = {}, ""
        while True:
            request = v1.ListProducersRequest(page_size=1000, page_token=token)
            answer = (admin or self.admin()).ListProducers(request, timeout=PATIENCE)
            found |= {each.name: each for each in answer.producers if each.kind == PRODUCER.ENDPOINT}
            token = answer.next_page_token
            if not token:
                return found

    def store(self):
        return self.admin().GetInfo(v1.GetInfoRequest(), timeout=PATIENCE).store

    def records(self):
        """What the file holds, of a daemon that does not run: messages by name."""
        with contextlib.closing(sqlite3.connect(self.file())) as database:
            rows = database.execute("SELECT name, value FROM record WHERE kind = 'endpoint'").fetchall()
        return {name.decode(): v1.Endpoint.FromString(value) for name, value in rows}

    def sql(self, *statements):
        with contextlib.closing(sqlite3.connect(self.file())) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()

    def mount(self, kind, options):
        """A file system of its own. Only root may make one."""
        folder = tempfile.mkdtemp(prefix="tributary-mount-")
        command = ["mount", "-t", kind, "-o", options, kind, folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            os.rmdir(folder)
            self.skipTest(f"no mount here: {done.stderr}")
        self.addCleanup(os.rmdir, folder)
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=True)
        return folder

    def refused_start(self, *parts, arguments=()):
        """Expects that the daemon does not start, and says why."""
        command = [binary(), "--listen", "127.0.0.1:0", "--state-dir", self.state, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1, done.stderr)
        lines = [line for line in done.stderr.splitlines() if "store.refused" in line]
        self.assertEqual(len(lines), 1, done.stderr)
        for part in parts:
            self.assertIn(part, lines[0])
        self.assertNotIn("server.listening", done.stderr)


class Restarts(WithStateDir):
    def test_endpoints_survive_a_restart_with_all_settings_and_secrets(self):
        upstream = Upstream()
        self.addCleanup(upstream.stop)
        self.start()
        fields = {"metadata": {"token": "secret"}, "labels": {"zone": "a"}, "activation": 2}
        added = self.add("feed", upstream.address, **fields)
        self.assertEqual((added.kept, added.not_kept_reason), (True, 0))
        self.add("other", requests=[b"\0\xff", b""], restart=3)
        self.add("changes", "127.0.0.1:7")
        self.update("changes", "127.0.0.1:8", labels={"new": "yes"})
        self.add("goes")
        self.assertEqual(self.remove("goes").name, "goes")
        before = self.endpoints()
        upstream.wait_calls(1)
        self.restart()
        after = self.endpoints()
        self.assertEqual(after.keys(), {"feed", "other", "changes"})
        for name, producer in after.items():
            self.assertEqual(producer.endpoint, before[name].endpoint)
            self.assertEqual(producer.labels, before[name].labels)
            self.assertTrue(producer.kept)
        self.assertEqual(after["feed"].endpoint.metadata["token"], "***")
        self.assertEqual(upstream.wait_calls(2).metadata["token"], "secret", "the real one is sent")
        self.assertEqual(self.store().state, STORE.HEALTHY)
        self.assertEqual(self.store().path, os.path.realpath(self.state))
        self.assertEqual([line["before"] for line in self.daemon.log("store.opened")], ["closed"])
        self.daemon.stop()
        self.assertFalse(os.path.exists(self.file("store.db-wal")), "a clean end leaves one file")
        self.assertEqual(self.records()["feed"].metadata["token"], "secret")

    def test_nobody_else_can_read_folder_and_files(self):
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.start()
        self.add("a", metadata={"token": "secret"})
        self.assertEqual(stat.S_IMODE(os.stat(self.state).st_mode), 0o700)
        for name in os.listdir(self.state):
            self.assertEqual(stat.S_IMODE(os.stat(self.file(name)).st_mode), 0o600, name)
        self.assertEqual(self.daemon.stderr().count("secret"), 0)
        self.daemon.stop()

    def test_the_producers_of_a_start_are_there_before_it_serves(self):
        self.start()
        for i in range(300):
            self.add(f"p{i:03}")
        self.restart()
        self.assertEqual(len(self.endpoints()), 300)
        lines = [line["event"] for line in self.daemon.log()]
        self.assertLess(lines.index("endpoints.loaded"), lines.index("server.listening"))
        self.daemon.stop()

    def test_fields_of_a_later_version_survive(self):
        """As an older server does after a newer one: it keeps what it does not know."""
        self.start()
        request = ADD(endpoint=endpoint("a", NOWHERE))
        unknown = b"\xfa\x3e\x03new"  # field 1007
        body = request.endpoint.SerializeToString() + unknown
        raw = b"\x0a" + bytes([len(body)]) + body
        call = self.daemon.channel.unary_unary("/tributary.v1.Admin/AddProducer")
        call(raw, timeout=PATIENCE)
        self.restart()
        self.assertEqual(self.endpoints().keys(), {"a"})
        self.daemon.stop()
        with contextlib.closing(sqlite3.connect(self.file())) as database:
            value = database.execute("SELECT value FROM record").fetchone()[0]
        self.assertIn(unknown, value)

    def test_a_session_does_not_remove_what_an_operator_has_added(self):
        from harness.sessions import Session

        self.start()
        self.add("a")
        session = Session(self.channel(), "a")
        self.addCleanup(session.cancel)
        eventually(lambda: self.daemon.producer("a").kind == PRODUCER.SESSION, "the session has the name")
        self.restart()
        self.assertEqual(self.endpoints().keys(), {"a"})
        session = Session(self.channel(), "a")
        self.addCleanup(session.cancel)
        eventually(lambda: self.daemon.producer("a").kind == PRODUCER.SESSION, "the session has the name")
        self.assertEqual(self.remove("a").kind, PRODUCER.SESSION)
        self.restart()
        self.assertEqual(self.endpoints().keys(), set(), "the operator has removed the name")
        self.daemon.stop()

    def test_without_it_nothing_is_kept_and_each_call_says_so(self):
        self.daemon = self.start_daemon()
        added = self.add("a")
        self.assertEqual((added.kept, added.not_kept_reason), (False, PRODUCER.NOT_KEPT_NO_STATE_DIR))
        self.assertFalse(self.admin().GetInfo(v1.GetInfoRequest(), timeout=PATIENCE).HasField("store"))
        command = [binary("tributary"), "producers", "add", "b", NOWHERE, "demo.Feed/Watch"]
        environment = os.environ | {"TRIBUTARY_SERVER": self.daemon.address}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        note = "It does not survive a restart of the server: the server has no --state-dir.\n"
        self.assertEqual(done.stderr, note)
        self.daemon.stop()

    def test_the_tool_shows_what_is_kept_and_where(self):
        self.start()
        environment = os.environ | {"TRIBUTARY_SERVER": self.daemon.address}

        def run(*words):
            command = [binary("tributary"), *words]
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)

        done = run("producers", "add", "b", NOWHERE, "demo.Feed/Watch")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("kept           yes\n", run("producers", "get", "b").stdout)
        self.assertIn(f"state          healthy in {os.path.realpath(self.state)}\n", run("status").stdout)
        self.daemon.stop()


class NotLoaded(WithStateDir):
    def test_what_no_longer_passes_is_named_and_stays_in_the_file(self):
        self.start()
        for name in "abc":
            self.add(name)
        self.restart("--max-producers", "2", "--local-peer-share", "100")
        lines = self.daemon.log("endpoint.not_loaded")
        causes = [(line["producer"], line["reason"]) for line in lines]
        self.assertEqual(causes, [("c", "TOO_MANY_PRODUCERS")])
        self.assertEqual(self.endpoints().keys(), {"a", "b"})
        self.assertEqual([each.name for each in self.store().not_loaded], ["c"])
        self.assertIn("as many producers as it may", self.store().not_loaded[0].message)
        self.restart()
        self.assertEqual(self.endpoints().keys(), {"a", "b", "c"})
        self.assertEqual(len(self.store().not_loaded), 0)
        self.daemon.stop()

    def test_it_can_be_removed_or_added_anew(self):
        self.start()
        for name in "abcd":
            self.add(name)
        self.restart("--max-producers", "2", "--local-peer-share", "100")
        self.assertEqual({each.name for each in self.store().not_loaded}, {"c", "d"})
        gone = self.remove("c")
        self.assertEqual((gone.name, gone.kind), ("c", PRODUCER.ENDPOINT))
        with self.assertFault(CODE.NOT_FOUND, "PRODUCER_NOT_FOUND"):
            self.remove("c")
        self.remove("a")
        self.add("d", "127.0.0.1:8")
        self.assertEqual(len(self.store().not_loaded), 0)
        self.restart()
        self.assertEqual(self.endpoints().keys(), {"b", "d"})
        self.assertEqual(self.endpoints()["d"].endpoint.address, "127.0.0.1:8")
        self.daemon.stop()


class Kills(WithStateDir):
    def test_kill_9_at_any_moment_loses_no_answer(self):
        """A book of all answers: what was answered OK is there after a kill, what was refused is not,
        and what was not answered is as it was before or after."""
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        known = {}  # name: the addresses that it may have; None: it may be absent
        rounds = 6 if instrumented() else 20
        for _ in range(rounds):
            self.start()
            self._expect(known, seed)
            channel = connect(self.daemon.address)
            workers = [
                threading.Thread(target=self._work, args=(channel, known, f"w{i}", rng.randrange(1 << 32)))
                for i in range(4)
            ]
            for worker in workers:
                worker.start()
            time.sleep(rng.random() * 0.3)
            self.kill()
            for worker in workers:
                worker.join()
            channel.close()
        self.start()
        self._expect(known, seed)
        self.assertGreater(len(known), 10)
        self.daemon.stop()

    def _work(self, channel, known, prefix, seed):
        """Edits names of its own until the daemon is gone."""
        rng = random.Random(seed)
        admin = v1.stub("Admin", channel)
        while True:
            name, address = f"{prefix}-{rng.randrange(8)}", f"127.0.0.1:{rng.randrange(1, 60000)}"
            before = known.get(name, {None})
            verb = rng.choice(("add", "add", "update", "remove"))
            known[name] = before | {None if verb == "remove" else address}
            try:
                if verb == "add":
                    admin.AddProducer(ADD(endpoint=endpoint(name, address)), timeout=PATIENCE)
                elif verb == "update":
                    admin.UpdateProducer(UPDATE(endpoint=endpoint(name, address)), timeout=PATIENCE)
                else:
                    admin.RemoveProducer(REMOVE(name=name, mode=REMOVE.CANCEL), timeout=PATIENCE)
                known[name] = {None if verb == "remove" else address}
            except grpc.RpcError as error:
                if Fault(error).reason in ("NAME_TAKEN", "PRODUCER_NOT_FOUND"):
                    known[name] = before
                    continue
                return  # the daemon is gone: either may be

    def _expect(self, known, seed):
        found = self.endpoints()
        self.assertEqual(found.keys() - known.keys(), set(), f"seed {seed}")
        for name, allowed in known.items():
            now = found[name].endpoint.address if name in found else None
            self.assertIn(now, allowed, f"{name}, seed {seed}")
            known[name] = {now}

    def _expect_opened(self, before, checking):
        self.start()
        self.assertEqual([line["reason"] for line in self.daemon.log("store.checking")], checking)
        self.assertEqual([line["before"] for line in self.daemon.log("store.opened")], [before])
        self.assertEqual(self.endpoints().keys(), {"a"})

    def test_a_kill_is_noticed_and_costs_no_check_of_the_file(self):
        self.start()
        self.add("a")
        self.kill()
        self._expect_opened("killed", [])
        self.daemon.stop()
        self._expect_opened("closed", [])
        self.daemon.stop()

    def test_after_a_restart_of_the_machine_the_file_is_checked(self):
        self.start()
        self.add("a")
        self.kill()
        with contextlib.closing(sqlite3.connect(self.file())) as database:
            database.execute("UPDATE meta SET value = 'another boot' WHERE key = 'boot'")
            database.commit()
        pathlib.Path(self.file("store.db-wal")).touch(mode=0o600)  # SQLite has removed it
        self._expect_opened("killed", ["the machine has restarted while the store was open"])
        self.daemon.stop()
        self._expect_opened("closed", [])
        self.daemon.stop()

    def test_after_a_failed_write_the_file_is_checked_however_the_process_ended(self):
        for end in (self.kill, lambda: self.daemon.stop()):
            self.start()
            if not self.endpoints():
                self.add("a")
            os.rename(self.file(), self.file("moved"))
            with self.assertFault(CODE.FAILED_PRECONDITION, "STORE_FAILED"):
                self.add("b")
            os.rename(self.file("moved"), self.file())
            end()
            self._expect_opened("failed", ["a write had failed"])
            self.kill()
            self._expect_opened("killed", [])
            self.daemon.stop()


class Together(WithStateDir):
    def test_many_at_once_share_commits_and_one_name_has_one_owner(self):
        self.start()
        adding = [
            self.admin().AddProducer.future(ADD(endpoint=endpoint(f"p{i % 100}", f"127.0.0.1:{1 + i}")))
            for i in range(400)
        ]
        outcomes = {}
        for i, call in enumerate(adding):
            if not call.exception():
                self.assertNotIn(f"p{i % 100}", outcomes, "two got one name")
                outcomes[f"p{i % 100}"] = f"127.0.0.1:{1 + i}"
            else:
                self.assertEqual(Fault(call.exception()).reason, "NAME_TAKEN")
        self.assertEqual(len(outcomes), 100)
        self.restart()
        self.assertEqual({name: each.endpoint.address for name, each in self.endpoints().items()}, outcomes)
        self.daemon.stop()

    def test_what_the_hub_refuses_after_the_commit_is_undone_on_the_disk(self):
        self.start("--max-producers", "5", "--local-peer-share", "100")
        add = self.admin().AddProducer
        adding = [add.future(ADD(endpoint=endpoint(f"p{i}", NOWHERE))) for i in range(60)]
        added = set()
        for i, call in enumerate(adding):
            if not call.exception():
                added.add(f"p{i}")
            else:
                self.assertEqual(Fault(call.exception()).reason, "TOO_MANY_PRODUCERS")
        self.assertEqual(len(added), 5)
        self.assertEqual(self.endpoints().keys(), added)
        self.kill()
        self.assertEqual(self.records().keys(), added)

    def test_an_update_that_is_refused_leaves_the_record_as_it_was(self):
        self.start()
        self.add("a", "127.0.0.1:8")
        with self.assertFault(CODE.INVALID_ARGUMENT, "BAD_ADDRESS", "endpoint.address"):
            self.update("a", "nonsense")
        with self.assertFault(CODE.NOT_FOUND, "PRODUCER_NOT_FOUND"):
            self.update("b")
        with self.assertFault(CODE.ALREADY_EXISTS, "NAME_TAKEN", contains=["endpoint.name"]):
            self.add("a")
        self.add("a", "127.0.0.1:7", on_duplicate=ADD.REPLACE)
        self.kill()
        self.assertEqual({name: each.address for name, each in self.records().items()}, {"a": "127.0.0.1:7"})

    def test_unknown_fields_have_a_bound(self):
        self.start("--max-batch-bytes", "8M")
        body = endpoint("a", NOWHERE).SerializeToString() + b"\xfa\x3e\x80\x80\xc0\x01" + bytes(3 << 20)
        size = len(body)
        length = [size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, size >> 21]
        raw = b"\x0a" + bytes(length) + body
        call = self.daemon.channel.unary_unary("/tributary.v1.Admin/AddProducer")
        with self.assertFault(CODE.INVALID_ARGUMENT, "TOO_LONG", "endpoint"):
            call(raw, timeout=PATIENCE)
        self.daemon.stop()


class Refused(WithStateDir):
    def made(self):
        self.start()
        self.add("a")
        self.daemon.stop()

    def test_a_second_daemon_is_kept_out(self):
        self.start()
        holder = f"another tributaryd uses it (process {self.daemon.pid})"
        self.refused_start(os.path.realpath(self.state), holder)
        self.add("a")
        self.kill()
        self.start()
        self.assertEqual(self.endpoints().keys(), {"a"})
        self.daemon.stop()

    def test_a_file_of_somebody_else(self):
        os.mkdir(self.state, 0o700)
        pathlib.Path(self.file()).write_bytes(b"letter " * 100)
        os.chmod(self.file(), 0o600)
        self.refused_start("store.db", "no SQLite database")
        self.assertEqual(pathlib.Path(self.file()).read_bytes(), b"letter " * 100)

    def test_another_programs_database_and_a_later_version(self):
        self.made()
        self.sql("PRAGMA application_id=1")
        self.refused_start("store.db", "application_id is 0x00000001")
        self.sql("PRAGMA application_id=0x74726962", "PRAGMA user_version=7")
        self.refused_start("store.db", "user_version is 7")
        self.sql("PRAGMA user_version=6")
        self.start()
        self.assertEqual(self.endpoints().keys(), {"a"})
        self.daemon.stop()

    def test_an_earlier_version_is_brought_to_the_present_form(self):
        self.made()
        self.sql("DROP TABLE topic", "DROP TABLE publisher", "DROP TABLE due", "DROP TABLE ids",
                 "DROP TABLE consumer_group", "DROP TABLE cursor",
                 "DELETE FROM meta WHERE key IN ('topic_id', 'id_key')",
                 "UPDATE meta SET value = '1' WHERE key = 'schema'", "PRAGMA user_version=1")
        for _ in range(2):
            self.start()
            self.assertEqual(self.endpoints().keys(), {"a"})
            self.daemon.stop()

    def test_a_damaged_record(self):
        self.made()
        self.sql("UPDATE record SET value = x'00'")
        self.refused_start("store.db", "'a' is damaged")

    def test_a_damaged_log_is_told_and_used_up_to_the_damage(self):
        self.start()
        for name in "abcd":
            self.add(name)
        self.kill()
        log = self.file("store.db-wal")
        content = bytearray(pathlib.Path(log).read_bytes())
        content[len(content) // 2] ^= 1
        pathlib.Path(log).write_bytes(content)
        self.start()
        (line,) = self.daemon.log("store.log_cut")
        self.assertEqual((line["level"], line["path"]), ("warn", self.file()))
        self.assertIn("is damaged: confirmed changes are missing", line["reason"])
        self.assertGreater(line["unused"], 1)
        self.assertLess(self.endpoints().keys(), set("abcd"))
        self.add("e")
        self.kill()
        self.start()
        self.assertEqual(self.daemon.log("store.log_cut"), [])
        self.assertIn("e", self.endpoints())
        self.daemon.stop()

    def test_a_folder_that_others_may_write_to_or_that_cannot_be_made(self):
        os.mkdir(self.state, 0o700)
        os.chmod(self.state, 0o777)
        self.refused_start(self.state, "others may write")
        shutil.rmtree(self.state)
        self.state = os.path.join(self.state, "deep")
        self.refused_start(self.state, "No such file or directory")

    def test_a_path_that_no_answer_could_show(self):
        self.state = os.fsdecode(os.fsencode(self.state) + b"\xff")
        self.refused_start("its absolute path is not valid UTF-8")

    def test_a_read_only_folder(self):
        self.made()
        if os.geteuid() == 0:
            folder = self.mount("tmpfs", "size=4m")
            shutil.copytree(self.state, os.path.join(folder, "state"),
                            ignore=shutil.ignore_patterns("store.ballast"))
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
            self.state = os.path.join(folder, "state")
            self.refused_start(self.state, "read-only")
        else:
            os.chmod(self.state, 0o500)
            os.chmod(self.file(), 0o400)
            self.refused_start(self.state)
            os.chmod(self.state, 0o700)


class Damaged(WithStateDir):
    rounds = 5 if instrumented() else 10

    def test_random_damage_is_refused_or_what_is_loaded_was_right_once(self):
        """Bits, pages and lengths of each file of a killed store. The end of the log may be missing: that
        cannot be told from a log that ends there."""
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        self.start()
        ever = {}
        for i in range(30):
            name, address = f"p{i % 20}", f"127.0.0.1:{1000 + i}"
            self.add(name, address, on_duplicate=ADD.REPLACE, requests=[bytes(rng.randrange(4000))])
            ever.setdefault(name, set()).add(address)
        self.kill()
        whole = f"{self.state}.whole"
        shutil.copytree(self.state, whole)
        for number in range(self.rounds):
            shutil.rmtree(self.state)
            shutil.copytree(whole, self.state)
            what = self._damage(rng)
            with self.subTest(seed=seed, number=number, what=what):
                try:
                    self.start()
                except AssertionError as error:
                    self.assertIn("store.refused", str(error))
                    self.assertNotRegex(str(error), REPORT)
                    continue
                for name, producer in self.endpoints().items():
                    self.assertIn(producer.endpoint.address, ever.get(name, ()), name)
                self.assertEqual(self.daemon.log("endpoint.not_loaded"), [])
                self.add("new")
                self.kill()
                self.assertNotRegex(self.daemon.stderr(), REPORT)

    def _damage(self, rng):
        name = rng.choice(("store.db", "store.db-wal", "store.db-wal", "store.db-shm"))
        path = pathlib.Path(self.file(name))
        content = bytearray(path.read_bytes())
        at, kind = rng.randrange(len(content)), rng.choice(("bit", "bytes", "page", "end", "header"))
        if kind == "bit":
            content[at] ^= 1 << rng.randrange(8)
        elif kind == "bytes":
            content[at : at + 16] = rng.randbytes(len(content[at : at + 16]))
        elif kind == "page":
            content[at : at + 4096] = bytes(len(content[at : at + 4096]))
        elif kind == "end":
            del content[at:]
        else:
            content[rng.randrange(min(100, len(content)))] = rng.randrange(256)
        path.write_bytes(content)
        return f"{kind} of {path.name} at {at}"


class Displaced(WithStateDir):
    """Somebody tidies up while the daemon runs. No OK may be for a file that has no name any more."""

    def _expect_failed(self, what):
        with self.assertFault(CODE.FAILED_PRECONDITION, "STORE_FAILED", contains=["READONLY_DBMOVED", what]):
            self.add("b")
        self.assertEqual(self.endpoints().keys(), {"a"}, "what is in effect stays")
        self.assertEqual(self.store().state, STORE.FAILED)
        self.daemon.stop()

    def test_the_folder_is_removed_or_moved(self):
        for tidy_up in (shutil.rmtree, lambda path: os.rename(path, path + ".old")):
            self.start()
            self.add("a")
            tidy_up(self.state)
            self._expect_failed("store.db was removed, moved")
            self.start()
            self.assertEqual(self.endpoints().keys(), set())
            self.daemon.stop()
            shutil.rmtree(self.state)

    def test_the_file_is_replaced_by_a_copy(self):
        self.start()
        self.add("a")
        shutil.copy2(self.file(), self.file("copy"))
        os.rename(self.file("copy"), self.file())
        self._expect_failed("store.db was removed, moved")

    def test_the_log_is_removed_or_cut(self):
        for tidy_up in (os.unlink, lambda path: os.truncate(path, 0)):
            self.start()
            self.add("a")
            tidy_up(self.file("store.db-wal"))
            self._expect_failed("store.db-wal was removed, moved")
            shutil.rmtree(self.state)

    def test_an_orderly_end_brings_a_log_without_a_name_into_the_file(self):
        self.start()
        self.add("a")
        os.unlink(self.file("store.db-wal"))
        self._expect_failed("store.db-wal was removed, moved")
        self.start()
        self.assertEqual(self.endpoints().keys(), {"a"})
        self.daemon.stop()


class FullDisk(WithStateDir):
    def test_a_full_disk_refuses_and_goes_on_when_there_is_space(self):
        if os.geteuid() == 0:
            folder = self.mount("tmpfs", "size=40m,mode=0700")
            self.state = os.path.join(folder, "state")
            self.start()
            self.add("first")
            whole = 10 << 20  # a quarter of a small disk, written in steps
            ballast = self.file("store.ballast")
            eventually(lambda: os.path.exists(ballast) and os.path.getsize(ballast) == whole, "the ballast")
            filler = os.path.join(folder, "filler")
            with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
        else:
            self.skipTest("only root can make a small file system")
        added = {"first"}
        fault = self._add_until_refused(added)
        self.assertEqual((fault.code, fault.reason), (CODE.RESOURCE_EXHAUSTED, "STORE_FULL"), str(fault))
        self.assertEqual(self.store().state, STORE.FULL)
        self.assertEqual(self.store().code, "SQLITE_FULL")
        self.assertEqual(self.endpoints().keys(), added, "nothing that was refused is in effect")
        os.unlink(filler)
        self.add("last")
        eventually(lambda: self.store().state == STORE.HEALTHY, "the store to recover")
        eventually(lambda: os.path.exists(self.file("store.ballast")), "the ballast to come back")
        events = [line["event"] for line in self.daemon.log() if line["event"].startswith("store.")]
        self.assertEqual([event for event in events if event not in ("store.disk_low", "store.ballast")],
                         ["store.opened", "store.full", "store.recovered"])
        self.kill()
        self.start()
        self.assertEqual(self.endpoints().keys(), added | {"last"})
        self.daemon.stop()

    def _add_until_refused(self, added):
        for i in range(200):
            try:
                self.add(f"p{i}", requests=[bytes(8000)])
            except grpc.RpcError as error:
                return Fault(error)
            added.add(f"p{i}")
        self.fail("the disk is never full")

    def test_a_limit_of_file_sizes_is_a_full_disk(self):
        self.start()
        self.add("first")
        subprocess.run(["prlimit", "--fsize=200000:unlimited", "--pid", str(self.daemon.pid)], check=True)
        added = {"first"}
        fault = self._add_until_refused(added)
        self.assertEqual((fault.code, fault.reason), (CODE.RESOURCE_EXHAUSTED, "STORE_FULL"), str(fault))
        # a checkpoint may have made space since then: the log says how the store was
        lines = lambda: [line for line in self.daemon.log() if line["event"] == "store.full"]
        self.assertIn("File too large", eventually(lines, "the log")[0]["reason"])
        subprocess.run(["prlimit", "--fsize=unlimited:unlimited", "--pid", str(self.daemon.pid)], check=True)
        self.add("last")
        self.restart()
        self.assertEqual(self.endpoints().keys(), added | {"last"})
        self.daemon.stop()


class BadDisk(OnBadDisk, WithStateDir):
    def test_the_first_failed_sync_is_final_and_live_streams_go_on(self):
        upstream = Upstream()
        self.addCleanup(upstream.stop)
        self.start_on_bad_disk()
        self.add("a", upstream.address)
        consumer = self.consumer()
        upstream.wait_calls(1).send(b"1")
        with self.disk_that("fail"):
            with self.assertFault(CODE.INTERNAL, "STORE_UNKNOWN", contains=["SQLITE_IOERR_FSYNC"]):
                self.add("b")
        for edit in (lambda: self.add("c"), lambda: self.update("a"), lambda: self.remove("a")):
            with self.assertFault(CODE.FAILED_PRECONDITION, "STORE_FAILED", contains=["SQLITE_IOERR_FSYNC"]):
                edit()
        store = self.store()
        self.assertEqual((store.state, store.code), (STORE.FAILED, "SQLITE_IOERR_FSYNC"))
        self.assertIn("Input/output error", store.message)
        self.assertEqual(len(self.daemon.log("store.failed")), 1)
        upstream.calls[0].send(b"2")
        consumer.wait(lambda: len(consumer.received.events) == 2, "events still flow")
        self.assertEqual(self.endpoints().keys(), {"a"})
        self.daemon.stop()
        self.start()
        self.assertIn("a", self.endpoints())
        self.assertLessEqual(self.endpoints().keys(), {"a", "b"})
        self.daemon.stop()

    def test_an_update_of_unknown_outcome_says_that_it_may_not_be_kept(self):
        self.start_on_bad_disk()
        self.add("a", "127.0.0.1:8")
        with self.disk_that("fail"), self.assertFault(CODE.INTERNAL, "STORE_UNKNOWN"):
            self.update("a", "127.0.0.1:7")
        producer = self.endpoints()["a"]
        self.assertEqual(producer.endpoint.address, "127.0.0.1:8", "the change is not in effect")
        self.assertEqual((producer.kept, producer.not_kept_reason), (False, PRODUCER.NOT_KEPT_STORE_FAILED))
        self.daemon.stop()

    def test_a_disk_that_does_not_answer_delays_nobody_else_and_what_is_late_is_undone(self):
        self.start_on_bad_disk()
        self.add("a")
        with self.disk_that("wait") as waits:
            late = [
                self.admin().AddProducer.future(ADD(endpoint=endpoint("b", NOWHERE))),
                self.admin().RemoveProducer.future(REMOVE(name="a", mode=REMOVE.CANCEL)),
                self.admin().AddProducer.future(ADD(endpoint=endpoint("c", NOWHERE))),
            ]
            began = time.monotonic()
            self.publish("live", [])
            for _ in range(20):
                self.store()
            self.assertLess(time.monotonic() - began, 5, "the loop does not wait")
            faults = [Fault(call.exception()) for call in late]
            self.assertEqual([fault.reason for fault in faults], ["STORE_LATE"] * 3)
            self.assertTrue(all(fault.code == CODE.DEADLINE_EXCEEDED for fault in faults))
            self.assertEqual(self.endpoints().keys(), {"a"}, "nothing of it is in effect")
            waits.unlink()
            self.add("d")
        self.assertEqual(self.endpoints().keys(), {"a", "d"})
        self.kill()
        self.assertEqual(self.records().keys(), {"a", "d"})

    def test_a_drain_ends_though_the_disk_does_not_answer(self):
        self.start_on_bad_disk()
        with self.disk_that("wait"):
            call = self.admin().AddProducer.future(ADD(endpoint=endpoint("b", NOWHERE)))
            eventually(lambda: self.daemon.counters()["live.edit_bytes"] > 0, "the edit waits")
            self.daemon.close_channel()
            self.daemon.terminate()
            self.assertEqual(self.daemon.wait(60), 1)
            self.assertTrue(call.exception())
            self.assertEqual(len(self.daemon.log("server.store_late")), 1, "the call waits for the disk")

    def test_an_end_without_calls_does_not_wait_for_the_disk_for_ever(self):
        self.start_on_bad_disk()
        with self.disk_that("wait"):
            self.daemon.close_channel()
            self.daemon.terminate()
            self.assertEqual(self.daemon.wait(60), 1)
            self.assertEqual(len(self.daemon.log("store.not_closed")), 1)
            self.assertEqual(self.daemon.log("server.store_late"), [])

    def test_another_program_that_has_the_file_locked(self):
        self.start()
        self.add("a")
        shell = sqlite3.connect(self.file(), isolation_level=None)
        self.addCleanup(shell.close)
        shell.execute("BEGIN IMMEDIATE")
        with self.assertFault(CODE.UNAVAILABLE, "STORE_LOCKED"):
            self.add("b")
        shell.execute("ROLLBACK")
        self.add("b")
        self.restart()
        self.assertEqual(self.endpoints().keys(), {"a", "b"})
        self.daemon.stop()


if __name__ == "__main__":
    main()
