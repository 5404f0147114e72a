#!/usr/bin/python3
"""Peers and their shares: one peer takes all that it may have, and others are still served
(finding 11)."""
import contextlib
import os
import tempfile

import grpc

from harness.case import Case, eventually, main, v1
from harness.client import connect, event, subscribe_request
from harness.daemon import PATIENCE, instrumented
from harness.protos import Fault
from harness.rawh2 import message
from harness.sessions import Session

CODE = grpc.StatusCode


class Shares(Case):
    """Three peers: 127.0.0.1, ::1, and this user on a unix socket. The test itself asks the daemon as
    the first one."""

    shared_daemon = False
    limits = ("--max-producers", "100", "--max-subscriptions", "20", "--max-connections", "40",
              "--local-peer-share", "50", "--transient-forget", "2s")

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "socket")
        self.daemon = self.start_daemon(
            *self.limits, listen=("127.0.0.1:0", "[::1]:0", f"unix:{self.path}"))
        self.first, self.second, self.third = (self.channel(address) for address in self.daemon.addresses)

    def check_released(self):
        """Waits until every peer may have its whole share once more."""
        eventually(lambda: self.daemon.live()["live.producers"] == 0, "the producers are forgotten")
        eventually(lambda: self.daemon.live()["live.subscriptions"] == 0, "the subscriptions are gone")

    def take_producers(self, channel, prefix, count=50):
        for number in range(count):
            self.publish(f"{prefix} {number}", [event(number)], channel)

    def test_producers(self):
        for _ in range(2):
            self.take_producers(self.first, "first")
            with self.assertFault(CODE.RESOURCE_EXHAUSTED, "PEER_PRODUCERS",
                                  contains=["127.0.0.1 has 50, at most 50 of 100"]):
                self.publish("one more", [event(1)], self.first)
            self.publish("first 7", [event(1)], self.first)  # it is known
            self.publish("of the second", [event(1)], self.second)
            self.take_producers(self.third, "third", 49)
            with self.assertFault(CODE.RESOURCE_EXHAUSTED, "TOO_MANY_PRODUCERS", contains=["at most 100"]):
                self.publish("one more", [event(1)], self.second)
            self.check_released()
        self.daemon.stop()

    def test_sessions(self):
        sessions = [Session(self.third, f"session {number}") for number in range(50)]
        refused = Session(self.third, "one more", welcomed=False)
        self.check_fault(refused.wait_end(), CODE.RESOURCE_EXHAUSTED, "PEER_PRODUCERS",
                         contains=[f"unix:uid={os.geteuid()} has 50, at most 50 of 100"])
        again = Session(self.third, "session 7")
        other = Session(self.second, "session 8")
        more = Session(self.third, "one more")
        refused = Session(self.third, "session 8", welcomed=False)
        self.check_fault(refused.wait_end(), CODE.RESOURCE_EXHAUSTED, "PEER_PRODUCERS")
        for each in (*sessions, again, other, more):
            each.cancel()
        self.check_released()
        self.take_producers(self.third, "third")
        self.daemon.stop()

    def test_subscriptions(self):
        for _ in range(3):
            consumers = [self.consumer(channel=self.first) for _ in range(10)]
            with self.assertFault(CODE.RESOURCE_EXHAUSTED, "PEER_SUBSCRIPTIONS",
                                  contains=["127.0.0.1 has 10, at most 10 of 20"]):
                next(v1.stub("Subscriber", self.first).Subscribe(subscribe_request(), timeout=PATIENCE))
            consumers.append(self.consumer(channel=self.second))
            consumers.append(self.consumer(channel=self.third))
            self.publish("p", [event(1)], self.first)
            for each in consumers:
                each.wait_events(1)
                each.cancel()
            self.check_released()
        self.daemon.stop()

    def test_connections(self):
        address = self.daemon.address
        at_start = self.daemon.live()["live.connections"]
        for _ in range(3):
            taken = [self.raw(address, source="127.0.0.2") for _ in range(20)]
            eventually(lambda: all(each.settings_acked for each in taken), "none of them waits any more")
            more = [self.raw(address, source="127.0.0.2") for _ in range(5)]
            eventually(lambda: all(each.closed for each in more), "those beyond the share are closed")
            self.assertFalse(any(each.closed for each in taken))
            other = self.raw(address, source="127.0.0.3")
            call = other.request("/tributary.v1.Admin/GetInfo")
            call.send(message(b""), end=True)
            call.wait_end()
            self.assertEqual(call.status, 0, "another peer is served")
            line = self.daemon.log("connection.refused")[0]
            self.assertEqual((line["reason"], line["peer"].split(":")[0]), ("peer_connections", "127.0.0.2"))
            for each in (other, *taken, *more):
                each.close()
            eventually(lambda: self.daemon.live()["live.connections"] == at_start, "their places are free")
        self.daemon.stop()

    def test_silent_connections_of_a_peer_keep_nobody_out(self):
        address = self.daemon.address
        silent = [self.raw(address, source="127.0.0.2", preface=b"") for _ in range(60)]
        eventually(lambda: sum(each.closed for each in silent) == 40, "20 of them are within the share")
        speaking = self.raw(address, source="127.0.0.2")
        eventually(lambda: sum(each.closed for each in silent) == 41, "a silent one gives way")
        self.assertFalse(speaking.closed)
        self.publish("p", [event(1)], self.first)
        for each in (*silent, speaking):
            each.close()
        self.check_released()
        self.daemon.stop()


class Soak(Case):
    """Peers that take their whole shares and leave, again and again."""

    shared_daemon = False

    def test_every_place_comes_back(self):
        limits = ("--max-producers", "20", "--max-subscriptions", "20", "--local-peer-share", "40",
                  "--transient-forget", "50ms")
        daemon = self.start_daemon(*limits, listen=("127.0.0.1:0", "[::1]:0"))
        refused = 0
        for number in range(30):
            channels = [connect(address) for address in daemon.addresses]
            with contextlib.ExitStack() as stack:
                for channel in channels:
                    stack.callback(channel.close)
                    for each in range(10):
                        call = v1.stub("Subscriber", channel).Subscribe(subscribe_request(), timeout=PATIENCE)
                        stack.callback(call.cancel)
                        try:
                            next(call)
                            self.publish(f"{number} {each}", [event(1)], channel)
                        except grpc.RpcError as error:
                            self.assertIn(Fault(error).reason, ("PEER_SUBSCRIPTIONS", "PEER_PRODUCERS"))
                            refused += 1
            eventually(lambda: daemon.live()["live.subscriptions"] == 0, "the subscriptions are gone")
            eventually(lambda: daemon.live()["live.producers"] == 0, "the producers are forgotten")
        self.assertGreater(refused, 30)
        for channel in [self.channel(address) for address in daemon.addresses]:
            consumers = [self.consumer(channel=channel) for _ in range(8)]
            self.assertEqual(len(consumers), 8)
        daemon.stop()


class Metadata(Case):
    """What a call keeps of metadata counts to --max-kept-bytes, and not only 12 KiB for each call."""
    arguments = ("--max-kept-bytes", "16M")
    fields = [(f"x-{number}", "v" * 30) for number in range(900)]

    def test_calls_with_much_metadata_end_the_connection_that_has_most_of_them(self):
        request = subscribe_request(notices=v1.NOTICES_NONE).SerializeToString()
        innocent, greedy = self.raw(), self.raw()
        for _ in range(100):
            innocent.call("/tributary.v1.Subscriber/Subscribe", request)
        innocent.wait(lambda: all(each.messages for each in innocent.streams.values()), "all have begun")
        before = self.daemon.memory_bytes()
        try:
            for _ in range(300):  # about 126 KiB each
                greedy.call("/tributary.v1.Subscriber/Subscribe", request, headers=self.fields)
        except OSError:
            pass
        eventually(lambda: greedy.closed, "the connection is ended")
        (line,) = self.daemon.log("connection.ended")
        self.assertEqual(line["reason"], "KEPT_BY_PEER")
        if not instrumented():
            self.assertLess(self.daemon.memory_bytes() - before, 40 << 20)
        self.assertFalse(any(each.ended for each in innocent.streams.values()))

    def test_what_has_ended_counts_no_more(self):
        connection = self.raw()
        for _ in range(300):
            call = connection.call("/tributary.v1.Admin/GetInfo", b"", headers=self.fields)
            call.wait_end()
            self.assertEqual(call.status, 0, call.status_message)
            del connection.streams[call.number]


if __name__ == "__main__":
    main()
