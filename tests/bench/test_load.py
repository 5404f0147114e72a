#!/usr/bin/env python3
"""test_load - the load generator against the relay, the daemon, and relays that lose, repeat and
reorder frames.

  TRIBUTARY_BIN=build/dev/bin tests/bench/test_load.py -v [Class.test_name]
"""

import contextlib
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BIN = pathlib.Path(os.environ.get("TRIBUTARY_BIN", "build/dev/bin"))
PATIENCE = 60
SHORT = ["--seconds", "0.3", "--warm-up-ms", "50"]


@contextlib.contextmanager
def server(program, *options):
    """A server of ours on a port that the kernel chooses. Yields (address, pid)."""
    with tempfile.TemporaryDirectory() as folder:
        ready = pathlib.Path(folder) / "ready"
        process = subprocess.Popen(
            [BIN / program, "--listen", "127.0.0.1:0", "--ready-file", ready, *options]
        )
        try:
            until = time.monotonic() + PATIENCE
            while not ready.exists() or not ready.read_text().endswith("\n"):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{program} does not serve")
                time.sleep(0.01)
            yield ready.read_text().split()[0], process.pid
        finally:
            process.terminate()
            status = process.wait(PATIENCE)
        if status != 0:
            raise RuntimeError(f"{program} ended with {status}")


def load(address, *options, protocol="raw", pid=None):
    command = [
        BIN / "load",
        "--protocol",
        protocol,
        "--server",
        address,
        *SHORT,
        *(["--pid", str(pid)] if pid else []),
        *options,
    ]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=PATIENCE)


class Case(unittest.TestCase):
    def result_of(self, process):
        self.assertEqual((process.returncode, process.stderr), (0, ""))
        return json.loads(process.stdout)

    def check(self, result, consumers):
        self.assertEqual(sum(result["consumer_delivered"]), result["delivered"])
        self.assertEqual(len(result["consumer_delivered"]), consumers)
        self.assertGreater(min(result["consumer_delivered"]), 0)
        self.assertGreater(result["latency_us"]["p50"], 0)
        self.assertGreaterEqual(result["latency_us"]["p99"], result["latency_us"]["p50"])
        self.assertGreaterEqual(result["latency_us"]["max"], result["latency_us"]["p99"])
        self.assertGreater(result["server_cpu_s_per_M"], 0)
        self.assertGreater(result["rss_bytes"], 0)


class Relay(Case):
    def test_every_consumer_gets_every_event(self):
        with server("relay") as (address, pid):
            for producers, consumers, more in (
                (1, 1, []),
                (3, 2, []),
                (2, 4, ["--per-message", 1]),
                (2, 2, ["--payload", 16]),
                (1, 2, ["--payload", 32768, "--per-message", 4]),
            ):
                with self.subTest(producers=producers, consumers=consumers, more=more):
                    self.check(
                        self.result_of(
                            load(address, "--producers", producers, "--consumers", consumers, *more, pid=pid)
                        ),
                        consumers,
                    )

    def test_an_open_loop_keeps_its_rate(self):
        with server("relay") as (address, pid):
            result = self.result_of(
                load(
                    address,
                    "--producers",
                    3,
                    "--consumers",
                    2,
                    "--rate",
                    4000,
                    "--per-message",
                    1,
                    "--seconds",
                    1,
                    pid=pid,
                )
            )
        self.check(result, 2)
        self.assertAlmostEqual(result["published_per_s"], 4000, delta=1000)

    def test_a_consumer_that_does_not_read_blocks_the_producer_and_loses_nothing(self):
        frame = struct.pack("<I", 65532) + bytes(65532)
        with server("relay") as (address, pid), contextlib.ExitStack() as stack:
            host, port = address.split(":")
            consumer, producer = (
                stack.enter_context(socket.create_connection((host, int(port)), PATIENCE)) for _ in range(2)
            )
            consumer.sendall(b"C")
            self.assertEqual(consumer.recv(4, socket.MSG_WAITALL), bytes(4))
            producer.sendall(b"P")
            producer.settimeout(1)
            sent = 0
            with self.assertRaises(TimeoutError):
                while sent < 1 << 30:
                    sent += producer.send(frame[sent % len(frame) :])
            self.assertLess(sent, 128 << 20, "queue and socket buffers are bounded")
            whole = sent // len(frame) * len(frame)
            received = 0
            while received < whole:
                received += len(consumer.recv(1 << 20))
            consumer.settimeout(0.1)
            with self.assertRaises(TimeoutError):
                received += len(consumer.recv(1 << 20))
            self.assertEqual(received, whole)

    def test_a_malformed_frame_ends_only_its_producer(self):
        with server("relay") as (address, pid):
            host, port = address.split(":")
            for wrong in (struct.pack("<I", 0), struct.pack("<I", 1 << 30)):
                with socket.create_connection((host, int(port)), PATIENCE) as peer:
                    peer.sendall(b"P" + wrong)
                    self.assertEqual(peer.recv(1), b"")
            with socket.create_connection((host, int(port)), PATIENCE) as peer:
                peer.sendall(b"X")
                self.assertEqual(peer.recv(1), b"")
            self.check(self.result_of(load(address, pid=pid)), 1)


class Daemon(Case):
    def test_every_consumer_gets_every_event(self):
        with server("tributaryd", "--log-level", "error") as (address, pid):
            for producers, consumers, more in (
                (1, 1, []),
                (3, 2, []),
                (2, 4, ["--per-message", 1]),
                (2, 2, ["--payload", 2000]),
                (2, 1, ["--payload", 16, "--rate", 5000, "--per-message", 1]),
            ):
                with self.subTest(producers=producers, consumers=consumers, more=more):
                    result = self.result_of(
                        load(
                            address,
                            "--producers",
                            producers,
                            "--consumers",
                            consumers,
                            *more,
                            protocol="tributary",
                            pid=pid,
                        )
                    )
                    self.check(result, consumers)

    def test_every_consumer_gets_every_event_of_dialled_producers(self):
        with server("tributaryd", "--log-level", "error") as (address, pid):
            for producers, consumers, more in (
                (1, 1, []),
                (20, 2, []),
                (3, 1, ["--endpoint", "per-consumer"]),
                (3, 2, ["--endpoint", "raw", "--per-message", 1]),
                (2, 3, ["--filter", "key"]),
                (2, 1, ["--payload", 100000, "--per-message", 1]),
                (2, 2, ["--rate", 5000, "--per-message", 1]),
            ):
                with self.subTest(producers=producers, consumers=consumers, more=more):
                    result = self.result_of(
                        load(
                            address,
                            *("--producers", producers, "--consumers", consumers, *more),
                            protocol="dialled",
                            pid=pid,
                        )
                    )
                    self.check(result, consumers)
            left = subprocess.run(
                [BIN / "tributary", "producers", "ls", "-s", address],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=True,
            )
            self.assertNotIn("load", left.stdout, "the endpoints are removed again")

    def test_a_server_that_refuses_an_endpoint_is_reported(self):
        with server("tributaryd", "--log-level", "error", "--max-producers", "2") as (address, pid):
            result = load(address, "--producers", 3, protocol="dialled", pid=pid)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("AddProducer", result.stderr)

    def test_each_consumer_gets_its_share_through_a_filter(self):
        with server("tributaryd", "--log-level", "error") as (address, pid):
            for what in ("key", "type", "topic"):
                with self.subTest(filter=what):
                    result = self.result_of(
                        load(
                            address,
                            "--producers",
                            2,
                            "--consumers",
                            3,
                            "--filter",
                            what,
                            protocol="tributary",
                            pid=pid,
                        )
                    )
                    self.check(result, 3)
                    self.assertLess(result["delivered"], 2 * result["published"])

    def test_a_stalled_consumer_blocks_no_other(self):
        with server("tributaryd", "--log-level", "error") as (address, pid):
            result = self.result_of(
                load(
                    address,
                    "--consumers",
                    3,
                    "--stall",
                    1,
                    "--overflow",
                    "drop-oldest",
                    "--rate",
                    5000,
                    "--per-message",
                    1,
                    protocol="tributary",
                    pid=pid,
                )
            )
        self.assertGreater(min(result["consumer_delivered"][:2]), 500)
        self.assertLess(result["consumer_delivered"][2], 500)

    def test_a_flood_is_not_part_of_the_latency_and_takes_no_event_of_the_others(self):
        options = ["--producers", 5, "--rate", 1000, "--per-message", 1, "--flood", 16, "--seconds", 1]
        with server("tributaryd", "--log-level", "error") as (address, pid):
            for more, mixed in ((["--consumers", 3, "--flood-apart"], False), (["--consumers", 2], True)):
                with self.subTest(mixed=mixed):
                    result = self.result_of(load(address, *options, *more, protocol="tributary", pid=pid))
                    self.check(result, more[1])
                    self.assertAlmostEqual(result["latency_us"]["count"], 2000, delta=600)
                    *others, last = result["consumer_delivered"]
                    self.assertGreater(last, 20000, "the flood")
                    for received in others:
                        if mixed:
                            self.assertGreater(received, 20000)
                        else:
                            self.assertAlmostEqual(received, 1000, delta=300)

    def test_idle_consumers_are_counted_in_memory(self):
        with server("tributaryd", "--log-level", "error") as (address, pid):
            result = self.result_of(
                load(address, "--idle", "--producers", 5, "--consumers", 40, protocol="tributary", pid=pid)
            )
        self.assertEqual(result["delivered"], 0)
        self.assertIsNone(result["latency_us"]["p50"])
        self.assertGreater(result["rss_bytes"], result["rss_before_bytes"])


class Faulty:
    """A relay for one producer and one consumer. It forwards the frames that `fault(number, frame)`
    returns as a list."""

    def __init__(self, fault):
        self.fault = fault
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self.address

    def __exit__(self, *_):
        self.thread.join(PATIENCE)
        self.listener.close()

    def serve(self):
        with contextlib.ExitStack() as stack:
            peers = {}
            while len(peers) < 2:
                peer = stack.enter_context(self.listener.accept()[0])
                peer.settimeout(PATIENCE)
                peers[peer.recv(1)] = peer
                if b"C" in peers and len(peers) == 1 or peer is peers.get(b"C"):
                    peer.sendall(bytes(4))
            with contextlib.suppress(OSError, struct.error), peers[b"P"].makefile("rb") as frames:
                self.relay(frames, peers[b"C"])
            peers[b"P"].close()
            with contextlib.suppress(OSError):
                peers[b"C"].recv(1)

    def relay(self, frames, consumer):
        number = 0
        while True:
            head = frames.read(4)
            frame = head + frames.read(struct.unpack("<I", head)[0])
            for out in self.fault(number, frame):
                consumer.sendall(out)
            number += 1


class Faults(Case):
    """`load` must exit with 1 and report what is wrong."""

    OPTIONS = ["--producers", 1, "--per-message", 2, "--payload", 64, "--in-flight", 256]

    def fails(self, fault, *words, options=()):
        with Faulty(fault) as address:
            result = load(address, *self.OPTIONS, *options)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        for word in words:
            self.assertIn(word, result.stderr)

    def test_it_notices_a_lost_frame(self):
        self.fails(lambda number, frame: [] if number == 9 else [frame], "number 18 is due, not number 20")

    def test_it_notices_a_lost_frame_of_one_event(self):
        self.fails(
            lambda number, frame: [] if number == 9 else [frame],
            "number 9 is due, not number 10",
            options=("--per-message", 1),
        )

    def test_it_notices_a_frame_that_comes_twice(self):
        self.fails(
            lambda number, frame: [frame] * (2 if number == 9 else 1), "number 20 is due, not number 18"
        )

    def test_it_notices_two_frames_in_the_wrong_order(self):
        held = []

        def swap(number, frame):
            if number == 9:
                held.append(frame)
                return []
            return [frame, *held] if number == 10 else [frame]

        self.fails(swap, "number 18 is due, not number 20")

    def test_it_notices_a_changed_payload(self):
        self.fails(
            lambda number, frame: [frame[:12] + b"\xff" + frame[13:] if number == 9 else frame],
            "number 18 is due",
        )

    def test_it_notices_a_last_frame_that_never_comes(self):
        """Nothing is out of order: only the count shows it."""
        self.fails(
            lambda number, frame: [frame] if number < 100 else [],
            "waiting for the rest: nothing has moved for 1 s",
            options=("--rate", 1000, "--patience", 1),
        )

    def test_it_notices_that_no_server_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            address = "127.0.0.1:%d" % probe.getsockname()[1]
        result = load(address)
        self.assertEqual(result.returncode, 1)
        self.assertIn("refused", result.stderr)

    def test_a_wrong_command_line_exits_with_2(self):
        result = load("127.0.0.1:1", "--payload", "3")
        self.assertEqual(result.returncode, 2)
        self.assertIn('--payload "3": must be 16 to 131072', result.stderr)
        for options, words in (
            (["--endpoint", "raw"], "raw: one event in a message"),
            (["--endpoint", "per-consumer", "--consumers", 2], "per-consumer: one consumer"),
            (["--endpoint", "none"], '--endpoint "none": no such word'),
            (["--idle"], "--idle excludes"),
        ):
            with self.subTest(options=options):
                result = load("127.0.0.1:1", *options, protocol="dialled")
                self.assertEqual(result.returncode, 2)
                self.assertIn(words, result.stderr)
        result = load("127.0.0.1:1", "--endpoint", "raw", "--per-message", "1")
        self.assertIn("--endpoint is for the protocol dialled", result.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main())
