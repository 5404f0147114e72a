#!/usr/bin/python3
"""Endpoints that fail are dialled by turns."""
import socket
import threading
import time

from harness.case import main
from harness.client import subscribe_request
from harness.daemon import eventually
from harness.endpoints import ACTIVE, ENDPOINT, WithUpstreams
from harness.protos import duration
from harness.sessions import of

PER_SECOND, GOOD_PER_SECOND = 25, 50


class Closing:
    """Accepts connections, counts them, and closes each at once."""

    def __init__(self):
        self.dials = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.address = "127.0.0.1:%d" % self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            while True:
                self._socket.accept()[0].close()
                self.dials += 1
        except OSError:
            pass

    def stop(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Turns(WithUpstreams):
    def test_failing_endpoints_share_their_dials_by_turns_and_others_do_not_wait(self):
        fast = dict(activation=ENDPOINT.SHARED, backoff=duration(0.01), max_backoff=duration(0.01))
        servers = [Closing() for _ in range(30)]
        for i, server in enumerate(servers):
            self.addCleanup(server.stop)
            self.add(f"fails-{i}", server.address, **fast)
        eventually(lambda: all(server.dials >= 2 for server in servers), "each has its turn")
        began, before = time.monotonic(), [server.dials for server in servers]
        eventually(lambda: sum(s.dials for s in servers) - sum(before) >= 120, "they go on")
        taken, dials = time.monotonic() - began, [s.dials - b for s, b in zip(servers, before)]
        self.assertLessEqual(sum(dials), PER_SECOND * taken + 3)
        self.assertLessEqual(max(dials) - min(dials), 3, dials)
        upstream = self.upstream()
        began = time.monotonic()
        self.add("works", upstream.address, **fast)
        consumer = self.consumer(subscribe_request(of("works")))
        self.wait_state(consumer, "works", ACTIVE)
        self.assertLess(time.monotonic() - began, 5)

    def test_A23_a_cancel_prevents_further_dials(self):
        server = Closing()
        self.addCleanup(server.stop)
        self.add("never", server.address, backoff=duration(0.01), max_backoff=duration(0.01))
        consumer = self.consumer(subscribe_request(of("never")))
        eventually(lambda: server.dials >= 3, "it is dialled again and again")
        consumer.cancel()
        eventually(lambda: self.daemon.producer("never").upstream_calls == 0, "no call is left")
        dials = server.dials
        time.sleep(0.5)
        self.assertLessEqual(server.dials - dials, 1, "one that was under way")


if __name__ == "__main__":
    main()
