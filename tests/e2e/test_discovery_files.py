#!/usr/bin/python3
"""Endpoints that files in a watched folder define: both layouts, every way to change a file, bad files,
and names that are in use."""
import contextlib
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile
import time

import grpc

from harness.case import Case, main
from harness.client import subscribe_request
from harness.daemon import PATIENCE, Daemon, binary, eventually, instrumented
from harness.protos import fault_of, message_class, v1
from harness.sessions import of
from harness.upstreams import Upstream, endpoint

CODE = grpc.StatusCode
ENDPOINT = message_class("tributary.v1.Endpoint")
PRODUCER = message_class("tributary.v1.Producer")
METHOD = "/demo.Feed/Watch"


class WithFolder(Case):
    shared_daemon = False
    folders = 1

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="tributary-endpoints-"))
        self.addCleanup(shutil.rmtree, self.root)
        self.folder = self.root / "endpoints"
        self.folder.mkdir()
        self.prepare()
        self.daemon = Daemon("--transient-forget", "2s", "--endpoints-dir", str(self.folder), *self.more())
        self._started.append(self.daemon)
        self.addCleanup(self.daemon.stop)

    def prepare(self):
        """What is there before the daemon starts."""

    def more(self):
        return ()

    def write(self, name, content, folder=None):
        """As a careful writer does it: the file appears whole."""
        path = (folder or self.folder) / name
        draft = path.with_name(f".{name}.new")
        draft.write_bytes(content if isinstance(content, bytes) else content.encode())
        draft.rename(path)

    def write_json(self, name, content):
        self.write(name, json.dumps(content))

    def names(self):
        request = v1.ListProducersRequest(page_size=1000)
        return sorted(each.name for each in self.daemon.admin().ListProducers(request).producers)

    def wait_names(self, *expected):
        eventually(lambda: self.names() == sorted(expected), f"the producers are {sorted(expected)}")

    def wait_counter(self, name, value):
        eventually(lambda: self.daemon.counters()[name] == value, f"{name} is {value}")

    def wait_refused(self, text, count=1):
        """The log's lines about refused files that have this text."""
        def lines():
            return [each for each in self.daemon.log("endpoints.file_refused") if text in each["reason"]]

        eventually(lambda: len(lines()) >= count, f"a file is refused: {text}")
        return lines()[-1]

    def upstream(self, **options):
        upstream = Upstream(**options)
        self.addCleanup(upstream.stop)
        return upstream


class OneEach(WithFolder):
    def prepare(self):
        self.write("first.yml", f"address: 127.0.0.1:9\nmethod: {METHOD}\n")

    def test_every_field_may_be_given_in_yaml_and_in_json(self):
        self.write(
            "all.yaml",
            """# everything
name: "all"
address: dns:upstream.example:9090
method: /demo.Feed/Watch
requests:
- text: "hello"
- hex: 00fF10
- base64: /+8=
- ""
half_close: KEEP_OPEN
metadata: {token: secret}
labels:
  zone: eu
  port: 9090
activation: SHARED
restart: ALWAYS
backoff: 500ms
max_backoff: 1m
connect_timeout: 3s
first_message_timeout: 1m30s
idle_timeout: 2h
decode: RAW
authority: other.example
each_address: true
resolve_period: 10s
""",
        )
        self.write_json("json.json", {"address": "127.0.0.1:9", "labels": {"smile": "\U0001f600/"}})
        self.wait_names("first", "all", "json")
        shown = self.daemon.producer("all")
        self.assertEqual((shown.origin, shown.origin_text), (PRODUCER.FILE, str(self.folder / "all.yaml")))
        self.assertEqual(dict(shown.labels), {"zone": "eu", "port": "9090"})
        found = shown.endpoint
        self.assertEqual(list(found.requests), [b"hello", b"\x00\xff\x10", b"\xff\xef", b""])
        self.assertEqual((found.half_close, found.activation), (ENDPOINT.KEEP_OPEN, ENDPOINT.SHARED))
        self.assertEqual((found.restart, found.decode), (ENDPOINT.ALWAYS, ENDPOINT.RAW))
        self.assertEqual((found.backoff.nanos, found.idle_timeout.seconds), (500_000_000, 7200))
        self.assertEqual((found.first_message_timeout.seconds, found.resolve_period.seconds), (90, 10))
        self.assertEqual((found.metadata["token"], found.authority), ("***", "other.example"))
        self.assertEqual(self.daemon.producer("json").labels["smile"], "\U0001f600/")

    def test_an_unchanged_definition_keeps_its_stream_and_a_changed_one_is_replaced(self):
        one, two = self.upstream(), self.upstream()
        text = f"address: {one.address}\nmethod: {METHOD}\nlabels: {{a: x, b: y}}\n"
        self.write("feed.yml", text)
        self.wait_names("first", "feed")
        consumer = self.consumer(subscribe_request(of("feed")))
        call = one.wait_calls(1)
        call.send(b"1")
        consumer.wait_events(1)
        same = f"labels: {{b: y, a: x}}\nmethod: {METHOD}\naddress: {one.address}\n"
        self.write("feed.yml", f"# the same\n{same}")
        self.write("other.yml", "address: 127.0.0.1:9\n")
        self.wait_names("first", "feed", "other")
        call.send(b"2")
        consumer.wait_events(2)
        self.assertEqual(len(one.calls), 1)
        self.write("feed.yml", text.replace(one.address, two.address))
        two.wait_calls(1).send(b"3")
        self.assertTrue(call.over.wait(10))
        consumer.wait_events(3)
        os.unlink(self.folder / "feed.yml")
        self.wait_names("first", "other")
        self.assertTrue(two.calls[0].over.wait(10))

    def test_a_bad_file_changes_nothing_and_the_log_says_where(self):
        self.wait_names("first")
        good = f"address: 127.0.0.1:9\nmethod: {METHOD}\n"
        for text, number, key, reason in (
            (good + "backof: 1s\n", 3, "backof", "no such field"),
            (good + "backoff: 1ms\n", 3, "backoff", "out of its bounds"),
            (good + "backoff: soon\n", 3, "backoff", '(got "soon")'),
            (good + "restart: SOMETIMES\n", 3, "restart", "one of ON_FAILURE ALWAYS NEVER"),
            (good + "each_address: maybe\n", 3, "each_address", "true or false"),
            (good + "labels: [a]\n", 3, "labels", "a mapping is wanted"),
            (good + "metadata:\n  Bad-Key: x\n", 4, "metadata", "a key or value that a call may not carry"),
            (good + "requests: [abc]\n", 3, "requests", "text:, hex: or base64:"),
            (good + "requests: [{hex: abc}]\n", 3, "requests", "hexadecimal"),
            (good + "address: 127.0.0.1:8\n", 3, '"address"', "in line 1 already"),
            ("method: x\n", 1, "method", "no path of a gRPC method"),
            (f"method: {METHOD}\n", 1, "address", "a value is missing"),
            ("address: &x 127.0.0.1:9\nauthority: *x\n", 1, "", "an anchor (&x) is not supported"),
            ("just words\n", 1, "", "a list or a mapping is wanted"),
            ("", 0, "", "the file is empty"),
            (good + "name: '@x'\n", 3, "name", "begin with '@' are for topics"),
            ("a: [1, 2\nb: 3\n", 2, "", "flow sequence"),
        ):
            self.write("first.yml", text)
            line = self.wait_refused(reason)
            self.assertEqual((line["file"], line["line"]), (str(self.folder / "first.yml"), number), line)
            self.assertIn(key, line["key"], line)
            self.wait_counter("live.bad_endpoint_files", 1)
        self.assertEqual(self.daemon.producer("first").endpoint.method, METHOD)
        self.write("first.yml", good + "labels: {now: good}\n")
        eventually(lambda: "now" in self.daemon.producer("first").labels, "it is read again")
        self.wait_counter("live.bad_endpoint_files", 0)

    def test_hostile_files_are_refused_by_name(self):
        self.wait_names("first")
        bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
            for before, name in zip("abcdefgh", "bcdefghi")
        )
        (self.folder / "pipe.yml").unlink(missing_ok=True)
        os.mkfifo(self.folder / "pipe.yml")
        for name, content, reason in (
            ("bomb.yml", bomb, "anchor"),
            ("deep.yml", "[" * 5000 + "]" * 5000, "more than 16 levels"),
            ("deep.json", "[" * 500000, "more than 16 levels"),
            ("huge.json", "[" + " " * (1 << 20) + "]", "more than 1048576 bytes"),
            ("many.json", json.dumps([{"targets": ["h:1"] * 100001}]), "more than 100000 values"),
            ("nul.json", '{"name": "a\\u0000b", "address": "127.0.0.1:9"}', "NUL"),
            ("raw.json", b'{"name": "a\0b"}', "not valid UTF-8, or a NUL"),
            ("utf8.json", b'{"name": "\xff"}', "not valid UTF-8"),
            ("utf8.yml", b"name: \xff\n", "invalid"),
            ("key.json", json.dumps({"k" * 257: 1}), "at most 256 bytes"),
            ("half.json", '{"name": "\\ud83d"}', "half of a pair of surrogates"),
            ("tag.yml", "!!python/object:os.system x\n", "a tag"),
            ("tags.yml", "".join(f"%TAG !t{i}! x\n" for i in range(50000)) + "--- {}\n", "%TAG"),
            ("two.yml", "--- {}\n--- {}\n", "a second document"),
            ("keys.json", json.dumps({f"k{i}": 1 for i in range(257)}), "at most 256 keys"),
            ("trailing.json", '[{"targets": ["h:1"],}]', "does not fit"),
        ):
            self.write(name, content)
            line = self.wait_refused(reason)
            self.assertLess(len(json.dumps(line)), 1000)
            os.unlink(self.folder / name)
        self.wait_refused("no regular file")
        self.assertEqual(self.names(), ["first"])
        os.unlink(self.folder / "pipe.yml")

    def test_a_file_that_is_there_and_cannot_be_looked_at_is_not_gone(self):
        self.wait_names("first")
        first = self.daemon.producer("first").epoch
        path = self.folder / "first.yml"
        for leads_to in ("first.yml", "/no/such/file"):  # a circle, and nowhere
            os.symlink(leads_to, self.folder / ".link")
            (self.folder / ".link").rename(path)
            self.wait_counter("live.bad_endpoint_files", 1)
            self.assertEqual(self.daemon.producer("first").epoch, first, "its producer stays")
            self.write("first.yml", f"address: 127.0.0.1:9\nmethod: {METHOD}\n")
            self.wait_counter("live.bad_endpoint_files", 0)
        reasons = [line["reason"] for line in self.daemon.log("endpoints.file_refused")]
        self.assertEqual(
            reasons,
            [
                "it cannot be opened: Too many levels of symbolic links",
                "it cannot be opened: No such file or directory",
            ],
        )
        self.assertEqual(self.daemon.producer("first").epoch, first)

    def test_names_that_no_answer_could_show_are_refused(self):
        """A string of protobuf that is not UTF-8 makes a whole answer unreadable for its clients."""
        self.wait_names("first")
        name = os.fsencode(self.folder) + b"/a\xffb.yml"
        with open(name, "wb") as file:
            file.write(b"name: good\naddress: 127.0.0.1:9\n")
        self.wait_refused("its name is not valid UTF-8")
        self.assertEqual(self.names(), ["first"])
        os.unlink(name)
        self.wait_counter("live.bad_endpoint_files", 0)
        folder = os.fsencode(self.root) + b"/\xff"
        os.mkdir(folder)
        command = [binary(), "--listen", "127.0.0.1:0", "--endpoints-dir", folder]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"its path is not valid UTF-8", done.stderr)

    def test_a_device_is_not_opened_and_a_socket_is_no_file(self):
        self.wait_names("first")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.folder / "socket.yml"))
            self.wait_refused("it is no regular file")
        os.symlink("/dev/tty", self.folder / "tty.yml")
        self.wait_refused("it is no regular file", count=2)
        for name in ("socket.yml", "tty.yml"):
            os.unlink(self.folder / name)
        self.wait_counter("live.bad_endpoint_files", 0)

    def test_the_folder_is_gone_for_a_while_and_nothing_changes(self):
        self.wait_names("first")
        moved = self.root / "moved"
        self.folder.rename(moved)
        eventually(lambda: self.daemon.log("endpoints.folder_failed"), "it is said")
        self.wait_counter("live.bad_endpoint_folders", 1)
        self.assertEqual(self.names(), ["first"])
        moved.rename(self.folder)
        self.wait_counter("live.bad_endpoint_folders", 0)
        self.write("second.yml", "address: 127.0.0.1:9\n")
        self.wait_names("first", "second")


class Storm(WithFolder):
    """Files change faster than they are read, in every way. What stands there at the end counts."""

    more_folders = 2
    seconds = 3

    def more(self):
        self.all = [self.folder, *(self.root / f"more-{i}" for i in range(self.more_folders))]
        for folder in self.all[1:]:
            folder.mkdir()
        return [word for folder in self.all[1:] for word in ("--endpoints-dir", str(folder))]

    def test_what_stands_there_at_the_end_counts(self):
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        consumer = self.consumer()
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                self._change(rng, rng.choice(self.all))
            time.sleep(rng.random() * 0.004)
        expected = set()
        for number, folder in enumerate(self.all):
            for path in folder.iterdir():
                path.unlink()
            for i in range(20):
                content, names = self._content(rng, f"last{number}-{i}")
                self.write(f"last{number}-{i}.json", content, folder)
                expected |= names
        with self.subTest(seed=seed):
            self.wait_names(*expected)
            self.wait_counter("live.bad_endpoint_files", 0)
        for folder in self.all:
            for path in folder.iterdir():
                path.unlink()
        self.wait_names()
        consumer.cancel()

    def _content(self, rng, stem):
        """A good file, and the names that it defines. Some names stand in several files."""
        if rng.random() < 0.5:
            name = f"shared{rng.randrange(5)}" if rng.random() < 0.4 else stem
            labels = {"version": str(rng.randrange(9))}
            return json.dumps({"name": name, "address": "127.0.0.1:9", "labels": labels}), {name}
        targets = {f"127.0.0.1:{rng.randrange(1, 9)}" for _ in range(rng.randrange(4))}
        return json.dumps([{"targets": sorted(targets)}]), {f"{stem}@{each}" for each in targets}

    def _change(self, rng, folder):
        name, other = (f"n{rng.randrange(20)}.json" for _ in range(2))
        kind = rng.randrange(10)
        if kind < 4:
            self.write(name, self._content(rng, name[:-5])[0], folder)
        elif kind == 4:  # in pieces
            content = self._content(rng, name[:-5])[0]
            (folder / name).write_text(content[: len(content) // 2])
            (folder / name).write_text(content)
        elif kind == 5:
            self.write(name, rng.choice((b"{", b"", b"\xff", b"[1]", rng.randbytes(3000))), folder)
        elif kind == 6:
            (folder / name).unlink()
        elif kind == 7:
            (folder / name).rename(folder / other)
        elif kind == 8:
            os.symlink(name, folder / ".link")
            (folder / ".link").rename(folder / name)
        else:
            folder.rename(f"{folder}.moved")
            pathlib.Path(f"{folder}.moved").rename(folder)


class Lists(WithFolder):
    def test_targets_with_labels_and_a_template(self):
        self.write("template.yml", f"method: {METHOD}\nrestart: NEVER\nlabels: {{team: shop, zone: none}}\n")
        self.write_json(
            "web.json",
            [
                {"targets": ["127.0.0.1:9", "127.0.0.2:9"], "labels": {"zone": "eu", "__scheme__": "x"}},
                {"targets": ["[::1]:9"]},
            ],
        )
        self.wait_names("web@127.0.0.1:9", "web@127.0.0.2:9", "web@[::1]:9")
        first, third = self.daemon.producer("web@127.0.0.1:9"), self.daemon.producer("web@[::1]:9")
        self.assertEqual(dict(first.labels), {"team": "shop", "zone": "eu"})
        self.assertEqual(dict(third.labels), {"team": "shop", "zone": "none"})
        self.assertEqual((first.endpoint.method, first.endpoint.restart), (METHOD, ENDPOINT.NEVER))
        self.write("template.yml", f"method: {METHOD}\nrestart: ALWAYS\n")
        eventually(
            lambda: (now := self.daemon.producer("web@127.0.0.1:9"))
            and now.endpoint.restart == ENDPOINT.ALWAYS,
            "a new template counts for all of them",
        )
        self.write("template.yml", "restart: NO\n")
        self.wait_refused("one of ON_FAILURE")
        self.write_json("web.json", [{"targets": ["127.0.0.3:9"]}])
        self.wait_names("web@127.0.0.3:9")
        self.assertEqual(self.daemon.producer("web@127.0.0.3:9").endpoint.restart, ENDPOINT.ALWAYS)
        os.unlink(self.folder / "template.yml")
        eventually(
            lambda: (now := self.daemon.producer("web@127.0.0.3:9")) and now.endpoint.method == "",
            "without it the defaults count",
        )

    def test_a_template_may_be_renamed_and_its_calls_go_on(self):
        upstream = self.upstream()
        self.write("template.yml", f"method: {METHOD}\nactivation: SHARED\n")
        self.write_json("web.json", [{"targets": [upstream.address]}])
        upstream.wait_calls(1)
        name = f"web@{upstream.address}"
        epoch = self.daemon.producer(name).epoch
        for before, after in (("yml", "yaml"), ("yaml", "yml")):  # the new one comes first, and last
            (self.folder / f"template.{before}").rename(self.folder / f"template.{after}")
            eventually(
                lambda: [line for line in self.daemon.log("endpoints.file_gone")
                         if line["file"].endswith(f"template.{before}")],
                "it is noticed",
            )
        self.write("more.json", '[{"targets": ["127.0.0.1:9"]}]')
        self.wait_names(name, "more@127.0.0.1:9")
        self.assertEqual(self.daemon.producer("more@127.0.0.1:9").endpoint.method, METHOD)
        self.assertEqual(self.daemon.log("endpoints.file_refused"), [])
        self.assertEqual(self.daemon.producer(name).epoch, epoch)
        self.assertEqual(len(upstream.calls), 1)

    def test_an_empty_list_drains_all_and_a_broken_one_none(self):
        self.write_json("web.json", [{"targets": [f"127.0.0.1:{port}" for port in range(1, 30)]}])
        eventually(lambda: len(self.names()) == 29, "29 producers")
        whole = (self.folder / "web.json").read_text()
        with open(self.folder / "web.json", "w", encoding="ascii") as file:
            half = whole.index(",") + 1
            file.write(whole[:half])
            file.flush()
            self.wait_refused("the file ends too early")
            self.assertEqual(len(self.names()), 29)
            file.write(whole[half:])
        self.wait_counter("live.bad_endpoint_files", 0)
        self.assertEqual(len(self.names()), 29)
        self.write("web.json", "[]")
        self.wait_names()

    def test_a_target_that_is_there_twice_is_refused(self):
        self.write("web.yml", "- targets: ['127.0.0.1:9']\n- targets:\n  - 127.0.0.2:9\n  - 127.0.0.1:9\n")
        self.assertEqual(self.wait_refused("web@127.0.0.1:9 is in line 1 already")["line"], 4)


class Links(WithFolder):
    def test_links_that_are_swapped_as_kubernetes_does_it(self):
        for version, port in (("v1", 1), ("v2", 2)):
            (self.folder / f"..{version}").mkdir()
            (self.folder / f"..{version}" / "web.yml").write_text(f"- targets: ['127.0.0.1:{port}']\n")
        (self.folder / "..data").symlink_to("..v1")
        (self.folder / "web.yml").symlink_to("..data/web.yml")
        self.wait_names("web@127.0.0.1:1")
        (self.folder / "..new").symlink_to("..v2")
        (self.folder / "..new").rename(self.folder / "..data")
        self.wait_names("web@127.0.0.1:2")

    def test_the_folder_itself_is_a_link_that_is_swapped(self):
        for version in (1, 2):
            (self.root / f"v{version}").mkdir()
            self.write("web.yml", f"- targets: ['127.0.0.1:{version}']\n", self.root / f"v{version}")
        shutil.rmtree(self.folder)
        self.folder.symlink_to("v1")
        self.wait_names("web@127.0.0.1:1")
        (self.root / "new").symlink_to("v2")
        (self.root / "new").rename(self.folder)
        self.wait_names("web@127.0.0.1:2")

    def test_a_file_that_is_removed_and_made_again_at_once_keeps_its_streams(self):
        upstream = self.upstream()
        text = f"address: {upstream.address}\nmethod: {METHOD}\n"
        self.write("feed.yml", text)
        self.wait_names("feed")
        self.consumer(subscribe_request(of("feed")))
        call = upstream.wait_calls(1)
        for _ in range(20):
            os.unlink(self.folder / "feed.yml")
            (self.folder / "feed.yml").write_text(text)
        self.write("other.yml", "address: 127.0.0.1:9\n")
        self.wait_names("feed", "other")
        self.assertFalse(call.over.is_set())
        self.assertEqual(len(upstream.calls), 1)


class Owners(WithFolder):
    def more(self):
        (self.root / "second").mkdir()
        return ("--endpoints-dir", str(self.root / "second"))

    def test_what_a_file_defines_is_changed_there_only(self):
        self.write("mine.yml", "address: 127.0.0.1:9\n")
        self.wait_names("mine")
        admin = self.daemon.admin()
        for call in (
            lambda: admin.RemoveProducer(v1.RemoveProducerRequest(name="mine")),
            lambda: admin.UpdateProducer(v1.UpdateProducerRequest(endpoint=endpoint("mine", "127.0.0.1:1"))),
            lambda: admin.AddProducer(
                v1.AddProducerRequest(
                    endpoint=endpoint("mine", "127.0.0.1:1"), on_duplicate=v1.AddProducerRequest.REPLACE
                )
            ),
        ):
            fault = fault_of(call)
            self.assertEqual((fault.code, fault.reason), (CODE.FAILED_PRECONDITION, "DEFINED_ELSEWHERE"))
            self.assertIn("endpoints/mine.yml", fault.message)

    def test_a_name_that_is_in_use_is_said_and_taken_when_it_is_free(self):
        admin = self.daemon.admin()
        admin.AddProducer(v1.AddProducerRequest(endpoint=endpoint("x", "127.0.0.1:1")))
        self.write("x.yml", "address: 127.0.0.1:2\n")
        self.wait_counter("live.waiting_file_producers", 1)
        [line] = self.daemon.log("endpoints.producer_waits")
        self.assertEqual((line["producer"], line["file"]), ("x", str(self.folder / "x.yml")))
        self.assertIn("another producer has this name", line["reason"])
        self.assertEqual(self.daemon.producer("x").origin, PRODUCER.OPERATOR)
        admin.RemoveProducer(v1.RemoveProducerRequest(name="x", mode=v1.RemoveProducerRequest.CANCEL))
        eventually(
            lambda: (now := self.daemon.producer("x")) and now.origin == PRODUCER.FILE,
            "the file has the name",
        )
        self.wait_counter("live.waiting_file_producers", 0)
        self.assertEqual(len(self.daemon.log("endpoints.producer_waits")), 1)

    def test_two_files_want_a_name_and_the_second_gets_it_when_the_first_goes(self):
        self.write("a.yml", "name: x\naddress: 127.0.0.1:1\n")
        self.wait_names("x")
        self.write("b.yml", "name: x\naddress: 127.0.0.1:2\n", self.root / "second")
        self.wait_counter("live.waiting_file_producers", 1)
        os.unlink(self.folder / "a.yml")
        eventually(
            lambda: (now := self.daemon.producer("x")) and now.origin_text.endswith("second/b.yml"),
            "the other file has the name",
        )

    def test_sets_of_addresses_come_from_files_too(self):
        self.write("local.yml", "address: localhost:9\neach_address: true\n")
        eventually(lambda: self.daemon.producer("local@127.0.0.1:9"), "an address of localhost")
        os.unlink(self.folder / "local.yml")
        self.wait_names()
        self.wait_counter("live.dns_sets", 0)


class Scale(WithFolder):
    def test_1000_endpoints_come_and_go_under_load_and_nothing_is_left(self):
        upstream, steady = self.upstream(threads=4), self.upstream()
        self.write("steady.yml", f"address: {steady.address}\nmethod: {METHOD}\n")
        self.wait_names("steady")
        consumer = self.consumer(subscribe_request(of("steady")), keep=False)
        feed = steady.wait_calls(1)
        targets = [upstream.address] + [f"127.8.{i // 250}.{1 + i % 250}:9" for i in range(999)]

        def descriptors():
            return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))

        def round_of(number):
            self.write_json("many.json", [{"targets": targets}])
            self.wait_counter("live.file_producers", 1001)
            upstream.wait_calls(number)
            feed.send(*[b"x" * 100] * 50)
            self.write("many.json", "[]")
            self.wait_counter("live.file_producers", 1)
            self.wait_counter("live.endpoints", 1)
            consumer.wait_accounted(50 * number, patience=60)

        memory, open_before = self.daemon.memory_bytes(), descriptors()
        everything = self.consumer()  # it matches all of them: each is dialled
        round_of(1)
        live = self.daemon.live()
        for number in range(2, 6):
            round_of(number)
        after = self.daemon.live()
        for name in ("live.endpoints", "live.sessions", "live.producers", "live.calls", "live.activations"):
            self.assertEqual(after[name], live[name], name)
        eventually(lambda: descriptors() <= open_before + 5, "no descriptor is left")
        if not instrumented():  # a sanitizer keeps what was freed
            # The core keeps some KiB of each channel that has failed until its backoff is over.
            eventually(
                lambda: self.daemon.memory_bytes() - memory < 24 << 20, "the memory is given back", 60
            )
        self.assertFalse(feed.over.is_set())
        self.assertEqual(len(steady.calls), 2, "one for each consumer")
        self.assertTrue(all(call.over.wait(10) for call in upstream.calls), "no upstream call is left")
        everything.cancel()


class Start(Case):
    shared_daemon = False

    def test_a_folder_that_is_not_there_is_an_error_at_the_start(self):
        with self.assertRaises(AssertionError) as caught:
            self.start_daemon("--endpoints-dir", "/nonexistent/folder")
        self.assertIn("/nonexistent/folder", str(caught.exception))
        self.assertIn("No such file", str(caught.exception))


if __name__ == "__main__":
    main()
