#!/usr/bin/python3
"""X7: SIGTERM under load. Every client is notified, what was confirmed is delivered, and the daemon
exits with 0 in time. A second SIGTERM forces the end."""
import signal
import struct
import tempfile
import time

import grpc

from harness.case import Case, main
from harness.client import Consumer, Publishing, Received, connect, event, publish, subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.h2frames import ACK, PING, SETTINGS, WINDOW_UPDATE, frame
from harness.protos import v1
from harness.sessions import PER_CONSUMER, SHARED, Session

CODE = grpc.StatusCode
REQUEST = dict(max_events=1 << 20, max_bytes=64 << 20, overflow=v1.OVERFLOW_BLOCK, block_timeout=60)


class Draining(Case):
    shared_daemon = False

    def connect(self, daemon):
        channel = connect(daemon.address)
        self.addCleanup(channel.close)
        return channel

    def test_X7_sigterm_under_load(self):
        daemon = self.start_daemon("--drain-timeout", "20s")
        consumers = [
            Consumer(self.connect(daemon), subscribe_request(**REQUEST), keep=False) for _ in range(4)
        ]
        channel = self.connect(daemon)
        streams = [Publishing(channel, f"p{n}") for n in range(8)]
        number = 0
        while number < 200 or min(stream.confirmed for stream in streams) < 50:
            for stream in streams:
                stream.send([event(number), event(number)])
            number += 1
        began = time.monotonic()
        daemon.terminate()
        while not all(stream.ended for stream in streams) and time.monotonic() - began < PATIENCE:
            for stream in streams:
                stream.send([event(number), event(number)])
            number += 1
            time.sleep(0.001)

        for consumer in consumers:
            fault = consumer.wait_end()
            self.assertIsNotNone(consumer.received.closing, "Closing came before the end")
            self.assertEqual(consumer.received.closing.reason, v1.CLOSING_REASON_SERVER_DRAINING)
            self.assertGreater(consumer.received.closing.deadline_unix_nano, 0)
            self.assertTrue(consumer.received.closing.resume_token)
            self.check_fault(fault, CODE.UNAVAILABLE, "DRAINING")
            self.assertIn("google.rpc.RetryInfo", fault.parts)
        for stream in streams:
            self.check_fault(stream.fault, CODE.UNAVAILABLE)
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 20 + 10)
        self.confirmed_is_delivered(streams, consumers)

    def confirmed_is_delivered(self, streams, consumers):
        for number, stream in enumerate(streams):
            confirmed = max(answer.last_sequence for answer in stream.answers)
            self.assertGreater(confirmed, 0)
            for consumer in consumers:
                ((_, last, delivered, lost),) = [
                    position
                    for (source, _), position in consumer.received.positions.items()
                    if source == f"p{number}"
                ]
                self.assertEqual((last, lost), (delivered, 0), "from 1 on, nothing is missing")
                self.assertGreaterEqual(delivered, confirmed)

    # Finding 35.
    def test_K3_35_SIGHUP_drains_and_is_ignored_under_nohup(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a child inherits it
        try:
            daemon = self.start_daemon()
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
            ignoring = self.start_daemon()
        finally:
            signal.signal(signal.SIGHUP, before)
        consumer = Consumer(self.connect(daemon))
        daemon.process.send_signal(signal.SIGHUP)
        self.check_fault(consumer.wait_end(), CODE.UNAVAILABLE, "DRAINING")
        self.assertEqual(daemon.wait(), 0)
        ignoring.process.send_signal(signal.SIGHUP)
        consumer = Consumer(self.connect(ignoring))
        publish(ignoring.channel, "p", [event(1)])
        consumer.wait_events(1)
        self.assertEqual(ignoring.log("server.draining"), [])
        consumer.cancel()
        ignoring.stop()

    def test_X7_an_idle_daemon_stops_at_once(self):
        daemon = self.start_daemon()
        consumer = Consumer(self.connect(daemon))
        began = time.monotonic()
        daemon.terminate()
        self.check_fault(consumer.wait_end(), CODE.UNAVAILABLE, "DRAINING")
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 5)

    def test_X7_what_is_queued_is_delivered_before_the_end(self):
        daemon = self.start_daemon("--drain-timeout", "20s", "--write-timeout", "60s")
        consumer = self.stalled(daemon.address, **REQUEST)
        for number in range(200):
            publish(daemon.channel, "queued", [event(number, size=500)])
        daemon.terminate()
        eventually(lambda: daemon.log("server.draining"), "the drain has begun")
        consumer.read()
        consumer.wait_accounted(200)
        consumer.wait_end()
        self.assertEqual(
            (consumer.received.numbers("queued"), consumer.received.lost), (list(range(200)), [])
        )
        self.assertEqual(consumer.received.closing.reason, v1.CLOSING_REASON_SERVER_DRAINING)
        self.assertEqual(consumer.stream.status, CODE.UNAVAILABLE.value[0])
        daemon.close_channel()
        consumer.cancel()
        self.assertEqual(daemon.wait(), 0)

    def test_X7_a_consumer_reads_all_though_it_still_sends_when_its_connection_is_closed(self):
        """A closed socket answers what still comes with a reset, which overtakes what was sent."""
        with tempfile.TemporaryDirectory(prefix="tributary-e2e-") as folder:
            for address, count in (("127.0.0.1:0", 50), (f"unix:{folder}/socket", 20)):
                with self.subTest(address=address):
                    self.reads_late(self.start_daemon("--drain-timeout", "20s", listen=[address]), count)

    def reads_late(self, daemon, count):
        """The kernel keeps `count` events for the consumer."""
        connection = self.raw(daemon.address, window=1 << 24, read=False)
        connection.send(frame(SETTINGS, ACK) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 24)))
        stream = connection.call(
            "/tributary.v1.Subscriber/Subscribe", subscribe_request(**REQUEST).SerializeToString()
        )
        eventually(daemon.subscriptions, "it is subscribed")
        for number in range(count):
            publish(daemon.channel, "p", [event(number, size=4000)])
        daemon.close_channel()
        connection.send(frame(PING, 0, 0, b"8 bytes."))
        daemon.terminate()
        # The call is over, and the connection is closed: the consumer does not answer GOAWAY.
        eventually(lambda: daemon.log("server.stopped"), "no call is left")
        daemon.process.send_signal(signal.SIGSTOP)  # so it closes nothing, however long we need
        for _ in range(2):
            connection.send(frame(PING, 0, 0, b"8 bytes."))
        connection.read()
        stream.wait_end()
        received = Received()
        for each in stream.messages:
            received.apply(v1.EventBatch.FromString(each))
        self.assertEqual(received.numbers("p"), list(range(count)))
        self.assertEqual(received.closing.reason, v1.CLOSING_REASON_SERVER_DRAINING)
        self.assertEqual(stream.status, CODE.UNAVAILABLE.value[0])
        eventually(lambda: connection.closed, "the end of the stream comes behind it")
        connection.send(frame(PING, 0, 0, b"8 bytes."))
        self.assertIsNone(daemon.process.poll(), "the daemon waits until the consumer closes")
        connection.close()
        daemon.process.send_signal(signal.SIGCONT)
        self.assertEqual(daemon.wait(), 0)

    def test_X7_a_peer_that_never_closes_is_waited_for_in_the_drain_timeout(self):
        daemon = self.start_daemon("--drain-timeout", "1s")
        connection = self.raw(daemon.address)
        connection.call("/tributary.v1.Subscriber/Subscribe", subscribe_request().SerializeToString())
        eventually(daemon.subscriptions, "it is subscribed")
        daemon.close_channel()
        began = time.monotonic()
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 1 + 1)

    # Finding 33.
    def test_X7_a_consumer_that_does_not_read_is_ended_at_the_deadline(self):
        daemon = self.start_daemon("--drain-timeout", "1s", "--write-timeout", "60s")
        self.stalled(daemon.address, **REQUEST)
        for number in range(200):
            publish(daemon.channel, "stuck", [event(number, size=500)])
        daemon.close_channel()
        began = time.monotonic()
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 1 + 1, "the timeout includes everything")

    # Finding 14.
    def test_X7_a_second_sigterm_forces_the_end(self):
        daemon = self.start_daemon("--drain-timeout", "600s", "--write-timeout", "600s")
        self.stalled(daemon.address, **REQUEST)
        for number in range(200):
            publish(daemon.channel, "stuck", [event(number, size=500)])
        daemon.close_channel()
        daemon.terminate()
        eventually(lambda: daemon.log("server.draining"), "the drain has begun")
        self.assertIsNone(daemon.process.poll(), "it waits for the consumer")
        began = time.monotonic()
        daemon.terminate()
        self.assertIn(daemon.wait(), (0, 1))
        self.assertLess(time.monotonic() - began, 5)

    def test_X7_nothing_new_begins_while_draining(self):
        daemon = self.start_daemon("--drain-timeout", "600s", "--write-timeout", "600s")
        self.stalled(daemon.address, **REQUEST)
        channel = self.connect(daemon)
        stub = v1.stub("Publisher", channel)
        for number in range(200):
            stub.Publish(v1.PublishRequest(producer="stuck", events=[event(number, size=500)]))
        daemon.terminate()
        eventually(lambda: daemon.log("server.draining"), "the drain has begun")
        for call in (
            lambda: stub.Publish(v1.PublishRequest(producer="late", events=[event(1)]), timeout=PATIENCE),
            lambda: list(v1.stub("Subscriber", channel).Subscribe(subscribe_request(), timeout=PATIENCE)),
            lambda: v1.stub("Admin", connect(daemon.address)).GetInfo(v1.GetInfoRequest(), timeout=PATIENCE),
        ):
            with self.assertRaises(grpc.RpcError) as held:
                call()
            self.assertEqual(held.exception.code(), CODE.UNAVAILABLE)
        daemon.close_channel()
        channel.close()
        daemon.terminate()
        daemon.wait()

    def test_X7_every_session_is_told_to_close_before_its_end(self):
        """Also where nobody is left to wait for: then the end follows at once."""
        daemon = self.start_daemon()
        channel = self.connect(daemon)
        sessions = [Session(channel, f"s{number}{mode}", mode)
                    for number in range(30) for mode in (SHARED, PER_CONSUMER)]
        daemon.terminate()
        for session in sessions:
            self.check_fault(session.wait_end(), CODE.UNAVAILABLE, "DRAINING")
            self.assertIsNotNone(session.closing, session.name)
            self.assertEqual(session.closing.reason, "DRAINING")
        self.assertEqual(daemon.wait(), 0)


if __name__ == "__main__":
    main()
