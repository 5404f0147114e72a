#!/usr/bin/python3
"""The daemon as a program: its addresses, its options, its limits, GetInfo, and its log (A25)."""
import grp
import http.client
import json
import os
import pathlib
import re
import resource
import subprocess
import tempfile
import unittest

import grpc

from harness.case import Case, main
from harness.client import Consumer, connect, event, publish, subscribe_request
from harness.daemon import PATIENCE, binary, eventually
from harness.protos import v1

CODE = grpc.StatusCode


def run(*arguments):
    """Runs it to its end. Returns (status, stdout, stderr)."""
    done = subprocess.run(
        [binary(), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )
    return done.returncode, done.stdout, done.stderr


class CommandLine(Case):
    shared_daemon = False

    def test_an_address_that_others_reach_is_refused_with_an_explanation(self):
        for address in ("0.0.0.0:0", "[::]:0"):
            status, _, errors = run("--listen", address)
            self.assertEqual(status, 2, errors)
            self.assertIn("--insecure-listen", errors)
            self.assertIn(address, errors)
            self.assertRegex(errors.lower(), "encrypt|plaintext|authenticat")

    def test_it_is_served_with_insecure_listen(self):
        daemon = self.start_daemon("--insecure-listen", listen=("0.0.0.0:0",))
        port = daemon.address.rpartition(":")[2]
        channel = connect(f"127.0.0.1:{port}")
        self.assertTrue(v1.stub("Admin", channel).GetInfo(v1.GetInfoRequest(), timeout=PATIENCE).version)
        channel.close()
        daemon.stop()

    def test_a_wrong_command_line_ends_with_2_and_names_the_option(self):
        for arguments, expected in (
            (["--no-such"], "no-such"),
            (["--wire-threads", "0"], "wire-threads"),
            (["--log-level", "loud"], "log-level"),
            (["--drain-timeout", "soon"], "drain-timeout"),
            (["--listen", "nowhere"], "nowhere"),
            (["stray"], "stray"),
            (["--memory-limit", "12Q"], "memory-limit"),
        ):
            with self.subTest(arguments=arguments):
                status, _, errors = run(*arguments)
                self.assertEqual(status, 2, errors)
                self.assertIn(expected, errors)

    def test_descriptors_are_raised_to_the_hard_limit_and_what_fits_is_logged(self):
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, limits[1]))
        daemon = self.start_daemon()
        found = re.search(r"Max open files +(\d+) +(\d+)",
                          pathlib.Path(f"/proc/{daemon.pid}/limits").read_text())
        (line,) = daemon.log("server.descriptors")
        self.assertEqual([int(found.group(1)), int(found.group(2))], [limits[1], limits[1]])
        self.assertEqual(line["limit"], limits[1])
        self.assertEqual(line["connections"], min(limits[1] - 128, 10000))
        daemon.stop()

    def test_it_does_not_start_where_no_connection_fits(self):
        for limit, starts in ((128, False), (129, True)):
            done = subprocess.run(
                ["/bin/sh", "-c", f"ulimit -n {limit}; exec timeout 1 {binary()} --listen 127.0.0.1:0"],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
            expected = f"limit={limit} kept=128 connections={limit - 128} max_connections=10000"
            self.assertIn(expected, done.stderr)
            self.assertEqual("server.listening" in done.stderr, starts, done.stderr)
            self.assertEqual("ulimit -n" in done.stderr, not starts, done.stderr)
            self.assertEqual(done.returncode, 124 if starts else 1)

    def test_it_does_not_serve_where_the_core_reads_past_the_guard(self):
        # The core then watches its sockets with poll(), which nobody stands in front of.
        done = subprocess.run(
            [binary(), "--listen", "127.0.0.1:0"], env=os.environ | {"GRPC_POLL_STRATEGY": "poll"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn('server.failed step="check the guard: gRPC core reads past it"', done.stderr)
        self.assertNotIn("server.listening", done.stderr)

    def test_help_version_and_errors_are_printed(self):
        for option, expected in (("--help", "--listen"), ("--version", "."), ("--errors", "EVENT_TOO_LARGE")):
            status, output, errors = run(option)
            self.assertEqual((status, errors), (0, ""), option)
            self.assertIn(expected, output)

    def test_an_address_in_use_is_reported(self):
        daemon = self.start_daemon()
        status, _, errors = run("--listen", daemon.address)
        self.assertEqual(status, 1, errors)
        self.assertIn(daemon.address.rpartition(":")[2], errors)
        daemon.stop()


class UnixSocket(Case):
    shared_daemon = False

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "socket")

    def serve(self, daemon):
        channel = connect(f"unix:{self.path}")
        self.addCleanup(channel.close)
        consumer = Consumer(channel)
        publish(channel, "over a socket", [event(1)])
        consumer.wait_events(1)
        peers = [
            each.peer
            for each in v1.stub("Admin", channel)
            .ListSubscriptions(v1.ListSubscriptionsRequest())
            .subscriptions
        ]
        consumer.cancel()
        channel.close()
        return peers

    def test_it_serves_and_only_its_owner_may_connect(self):
        daemon = self.start_daemon(listen=(f"unix:{self.path}",))
        self.assertEqual(daemon.address, f"unix:{self.path}")
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        peer, = self.serve(daemon)
        self.assertTrue(peer.startswith("unix:"), peer)
        daemon.stop()
        self.assertFalse(os.path.exists(self.path), "the socket file is gone afterwards")

    def test_a_stale_socket_file_is_replaced_and_a_live_one_is_not(self):
        first = self.start_daemon(listen=(f"unix:{self.path}",))
        status, _, errors = run("--listen", f"unix:{self.path}")
        self.assertEqual(status, 1, errors)
        self.assertIn(self.path, errors)
        self.serve(first)
        first.process.kill()
        first.process.wait()
        self.assertTrue(os.path.exists(self.path))
        second = self.start_daemon(listen=(f"unix:{self.path}",))
        self.serve(second)
        second.stop()

    def test_several_addresses_are_one_server(self):
        daemon = self.start_daemon(listen=("127.0.0.1:0", f"unix:{self.path}", "[::1]:0"))
        self.assertEqual(len(daemon.addresses), 3)
        channels = [connect(address) for address in daemon.addresses]
        consumers = [Consumer(channel) for channel in channels]
        for number, channel in enumerate(channels):
            publish(channel, "everywhere", [event(number)])
        for consumer in consumers:
            consumer.wait_events(3)
            consumer.cancel()
        for channel in channels:
            channel.close()
        self.assertEqual(list(daemon.admin().GetInfo(v1.GetInfoRequest()).listening), daemon.addresses)
        daemon.stop()

    def test_K5_mode_and_group_of_socket_files(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            for arguments, mode, group in (
                ((), 0o600, os.getegid()),
                (("--unix-mode", "0660"), 0o660, os.getegid()),
                (("--unix-mode", "777", "--unix-group", str(os.getegid())), 0o777, os.getegid()),
            ):
                daemon = self.start_daemon(*arguments, listen=(f"unix:{path}", "127.0.0.1:0"))
                there = os.stat(path)
                self.assertEqual((there.st_mode & 0o777, there.st_gid), (mode, group))
                publish(daemon.channel, "one", [event(1)])
                daemon.stop()
                self.assertFalse(os.path.exists(path))

    @unittest.skipUnless(os.geteuid() == 0, "only root may give a file to any group")
    def test_K5_the_group_of_a_socket_file_is_given_by_name(self):
        group = next(each for each in grp.getgrall() if each.gr_gid != os.getegid())
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            daemon = self.start_daemon(
                "--unix-mode", "0660", "--unix-group", group.gr_name, listen=(f"unix:{path}",)
            )
            self.assertEqual(os.stat(path).st_gid, group.gr_gid)
            daemon.stop()


class Info(Case):
    arguments = (
        "--max-connections",
        "20",
        "--max-subscriptions",
        "8",
        "--max-producers",
        "12",
        "--local-peer-share",
        "100",
        "--max-event-bytes",
        "1000",
        "--max-batch-bytes",
        "5000",
    )

    # Finding 37: the version is that of gRPC, not of its core.
    def test_info_has_limits_addresses_and_counters(self):
        info = self.daemon.admin().GetInfo(v1.GetInfoRequest())
        self.assertEqual(
            (info.pid, list(info.listening), info.draining), (self.daemon.pid, self.daemon.addresses, False)
        )
        self.assertEqual(
            (info.max_event_bytes, info.max_batch_bytes, info.max_batch_events), (1000, 5000, 65536)
        )
        self.assertEqual((info.max_calls_per_connection, info.max_connections), (1000, 20))
        self.assertTrue(info.version and info.memory_limit_bytes)
        self.assertRegex(info.grpc_version, r"^1\.\d+\.\d+", "K3 37")

    def test_counters_count(self):
        before = self.daemon.counters()
        consumer = self.consumer()
        self.publish("counted", [event(1), event(2)])
        consumer.wait_events(2)
        consumer.cancel()
        after = self.daemon.counters()
        self.assertEqual(
            {name: after[name] - before[name] for name in ("events.in", "events.out", "messages.in")},
            {"events.in": 2, "events.out": 2, "messages.in": 1},
        )

    def test_events_and_batches_are_limited_by_the_options(self):
        self.publish("p", [v1.Event(data=b"d" * 990)])
        with self.assertFault(CODE.INVALID_ARGUMENT, "EVENT_TOO_LARGE", "events[0]", ["1000"]):
            self.publish("p", [v1.Event(data=b"d" * 1001)])
        with self.assertFault(CODE.INVALID_ARGUMENT, "BATCH_TOO_LARGE", contains=["5000"]):
            self.publish("p", [v1.Event(data=b"d" * 900)] * 6)

    def test_subscriptions_beyond_the_limit_are_refused(self):
        consumers = [self.consumer() for _ in range(8)]
        with self.assertFault(CODE.RESOURCE_EXHAUSTED, "TOO_MANY_SUBSCRIPTIONS", contains=["8"]):
            next(v1.stub("Subscriber", self.channel()).Subscribe(subscribe_request()))
        consumers.pop().cancel()
        eventually(lambda: self.daemon.live()["live.subscriptions"] == 7, "one is gone")
        self.consumer()

    def test_producers_beyond_the_limit_are_refused(self):
        with self.assertFault(CODE.RESOURCE_EXHAUSTED, "TOO_MANY_PRODUCERS", contains=["12"]):
            for number in range(13):
                self.publish(f"number {number}", [event(1)])

    def test_connections_beyond_the_limit_are_refused_and_free_places_are_used_again(self):
        connections = [self.raw() for _ in range(25)]
        eventually(lambda: sum(each.closed for each in connections) >= 6, "those beyond the limit are closed")
        self.assertTrue(self.daemon.counters()["connections.refused"] >= 6, "one is that of this request")
        for each in connections:
            each.close()
        eventually(lambda: self.daemon.live()["live.connections"] == 1, "their places are free")
        self.consumer()


class Log(Case):
    shared_daemon = False

    def test_A25_every_change_is_logged_once(self):
        daemon = self.start_daemon("--transient-forget", "200ms")
        channel = connect(daemon.address)
        consumers = [Consumer(channel, subscribe_request(name=f"consumer {n}")) for n in range(3)]
        for name in ("one", "two"):
            for _ in range(5):
                publish(channel, name, [event(1)])
        for consumer in consumers:
            consumer.wait_events(10)
        ids = [consumer.id for consumer in consumers]
        v1.stub("Subscriber", channel).Finish(v1.FinishRequest(subscription_id=ids[0]))
        v1.stub("Admin", channel).Disconnect(v1.DisconnectRequest(subscription_id=ids[1], reason="enough"))
        for consumer in consumers:
            consumer.cancel()
        eventually(lambda: len(daemon.log("producer.removed")) >= 2, "both producers are forgotten")
        eventually(lambda: len(daemon.log("subscription.ended")) >= 3, "the ends are logged")
        channel.close()
        daemon.close_channel()
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)

        self.assertEqual(sorted(line["producer"] for line in daemon.log("producer.added")), ["one", "two"])
        self.assertEqual(sorted(line["producer"] for line in daemon.log("producer.removed")), ["one", "two"])
        self.assertEqual(
            sorted(line["subscription"] for line in daemon.log("subscription.added")), sorted(ids)
        )
        self.assertEqual(
            sorted(line["subscription"] for line in daemon.log("subscription.ended")), sorted(ids)
        )
        for name in ("server.listening", "server.draining", "server.stopped"):
            self.assertEqual(len(daemon.log(name)), 1, name)
        for line in daemon.log():
            self.assertTrue({"time", "level", "event"} <= line.keys(), line)

    def test_A25_events_are_not_logged(self):
        daemon = self.start_daemon()
        before = len(daemon.log())
        for number in range(100):
            publish(daemon.channel, "one", [event(number)])
        self.assertLessEqual(len(daemon.log()) - before, 1)
        daemon.stop()

    def test_hostile_names_cannot_break_a_line(self):
        for form in ("json", "text"):
            daemon = self.start_daemon("--log-format", form)
            channel = connect(daemon.address)
            name = 'quote " backslash \\ brace } snow ☃'
            publish(channel, name, [event(1)])
            stream = v1.stub("Publisher", channel)
            for bad in ("esc \x1b[31m", "line\n{\"event\":\"forged\"}"):
                with self.assertRaises(grpc.RpcError):
                    stream.Publish(v1.PublishRequest(producer=bad, events=[event(1)]))
            Consumer(channel, subscribe_request(name=name)).cancel()
            channel.close()
            daemon.close_channel()
            daemon.terminate()
            self.assertEqual(daemon.wait(), 0)
            lines = daemon.stderr().splitlines()
            self.assertTrue(all(line.isprintable() for line in lines))
            if form == "json":
                added = [json.loads(line) for line in lines if '"producer.added"' in line]
                self.assertEqual([line["producer"] for line in added], [name])

    def test_refused_connections_are_counted_by_their_reason(self):
        daemon = self.start_daemon()
        first_bytes = {"not_http2": b"GET / HTTP/1.1\r\n\r\n", "no_preface": b"PRI"}

        def counted():
            counts = dict.fromkeys(first_bytes, 0)
            for line in daemon.log("connection.refused"):
                counts[line["reason"]] += line["count"]
            return counts

        for _ in range(5):
            for each in first_bytes.values():
                connection = self.raw(daemon.address, preface=None, read=False)
                connection.send(each)
                connection.close()
        eventually(lambda: set(counted().values()) == {5}, "five of each are counted")
        daemon.stop()

    def test_K5_a_request_of_http1_gets_a_readable_answer(self):
        daemon = self.start_daemon()
        host, port = daemon.address.rsplit(":", 1)
        for method, body in (("GET", None), ("POST", b"x" * 30000), ("HEAD", None)):
            connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
            connection.request(method, "/", body)
            answer = connection.getresponse()
            self.assertEqual((answer.status, answer.reason), (505, "HTTP Version Not Supported"))
            self.assertEqual(b"gRPC server" in answer.read(), method != "HEAD")
            connection.close()
        publish(daemon.channel, "one", [event(1)])
        eventually(
            lambda: sum(line["count"] for line in daemon.log("connection.refused")) == 3,
            "each is counted once",
        )
        daemon.stop()

    def test_a_level_silences_what_is_below_it(self):
        daemon = self.start_daemon(level="warn")
        publish(daemon.channel, "one", [event(1)])
        daemon.close_channel()
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)
        self.assertEqual(daemon.log("producer.added"), [])

    # Finding 44.
    def test_K4_44_the_ready_file_replaces_nothing_but_a_regular_file(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "aim").write_text("mine")
            (folder / "link").symlink_to("aim")
            os.mkfifo(folder / "pipe")
            (folder / "folder").mkdir()
            for path in ("link", "pipe", "folder"):
                with self.subTest(path=path):
                    status, _, errors = run("--listen", "127.0.0.1:0", "--ready-file", str(folder / path))
                    self.assertEqual(status, 1, errors)
                    self.assertIn("no regular file", errors)
            (folder / "ready.new").symlink_to("aim")
            process = subprocess.Popen(
                [binary(), "--listen", "127.0.0.1:0", "--ready-file", str(folder / "ready")],
                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
            self.addCleanup(process.kill)
            eventually((folder / "ready").exists, "it is written")
            process.terminate()
            self.assertEqual(process.wait(PATIENCE), 0)
            self.assertEqual((folder / "aim").read_text(), "mine")
            self.assertTrue((folder / "link").is_symlink() and (folder / "pipe").is_fifo())

    def test_the_ready_file_names_every_address(self):
        daemon = self.start_daemon(listen=("127.0.0.1:0", "127.0.0.1:0"))
        self.assertEqual(len(set(daemon.addresses)), 2)
        self.assertTrue(pathlib.Path(daemon.folder.name, "ready").read_text().endswith("\n"))
        daemon.stop()


if __name__ == "__main__":
    main()
