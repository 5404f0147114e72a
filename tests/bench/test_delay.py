#!/usr/bin/env python3
"""test_delay - the proxy that delays: what comes out is what went in, as much later as it should be,
and ends as it ended.

  TRIBUTARY_BIN=build/dev/bin tests/bench/test_delay.py -v [Class.test_name]
"""

import contextlib
import hashlib
import os
import pathlib
import random
import socket
import threading
import time
import unittest

from harness import servers

BIN = pathlib.Path(os.environ.get("TRIBUTARY_BIN", "build/dev/bin"))
PATIENCE_S = 60
ROUND_TRIP_S = 0.04


def echo(connection):
    with connection:
        while data := connection.recv(1 << 20):
            connection.sendall(data)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)


class Delay(unittest.TestCase):
    def setUp(self):
        self.target = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.target.close)
        to = f"127.0.0.1:{self.target.getsockname()[1]}"
        options = ["--to", to, "--round-trip-us", str(round(ROUND_TRIP_S * 1e6))]
        proxy = self.enterContext(servers.running(servers.Delay, str(BIN / "delay"), options))
        host, port = proxy.address.split(":")
        self.address = host, int(port)

    def connect(self):
        near = socket.create_connection(self.address, timeout=PATIENCE_S)
        self.addCleanup(near.close)
        far, _ = self.target.accept()
        self.addCleanup(far.close)
        far.settimeout(PATIENCE_S)
        return near, far

    def test_each_way_takes_half_of_the_round_trip(self):
        near, far = self.connect()
        for source, sink in ((near, far), (far, near)):
            for _ in range(3):
                began = time.monotonic()
                source.sendall(b"x")
                self.assertEqual(sink.recv(10), b"x")
                self.assertGreaterEqual(time.monotonic() - began, ROUND_TRIP_S / 2)

    def test_all_bytes_arrive_in_order_with_more_under_way_than_a_socket_takes(self):
        near, far = self.connect()
        server = threading.Thread(target=echo, args=(far,))
        server.start()
        sent, got = hashlib.sha256(), hashlib.sha256()

        def send():
            chance = random.Random(1)
            for _ in range(200):
                data = chance.randbytes(chance.randrange(1, 600000))
                sent.update(data)
                near.sendall(data)
            near.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        while data := near.recv(1 << 20):
            got.update(data)
        sender.join()
        server.join()
        self.assertEqual(sent.hexdigest(), got.hexdigest())

    def test_one_side_can_end_and_still_receive(self):
        near, far = self.connect()
        near.sendall(b"last")
        near.shutdown(socket.SHUT_WR)
        received = b""
        while data := far.recv(10):
            received += data
        self.assertEqual(received, b"last")
        far.sendall(b"answer")
        far.close()
        received = b""
        while data := near.recv(10):
            received += data
        self.assertEqual(received, b"answer")

    def test_a_lost_connection_ends_the_other_side_and_no_other_connection(self):
        lost, other = self.connect(), self.connect()
        lost[1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        lost[1].close()
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(lost[0].recv(10), b"")
        other[0].sendall(b"x")
        self.assertEqual(other[1].recv(10), b"x")

    def test_a_target_that_refuses_ends_the_connection(self):
        self.target.close()
        with socket.create_connection(self.address, timeout=PATIENCE_S) as near:
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(near.recv(10), b"")


if __name__ == "__main__":
    unittest.main()
