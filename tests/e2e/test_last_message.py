#!/usr/bin/python3
"""What a consumer or session gets last when the server ends it while a message is on its way to it:
the whole message, and then the status with its details (finding 26).

The peers here are HTTP/2 by hand. They stand still, the server ends them, and they read on three
seconds later. A peer that finds a status in the middle of a message may lose it: grpc-go reports
INTERNAL, "unexpected EOF"."""
import base64
import time

import grpc

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import eventually
from harness.protos import duration, rpc, v1
from harness.sessions import WithSessions

CODE = grpc.StatusCode
STANDSTILL = 3.0


def error_info(stream):
    """(reason, domain) of grpc-status-details-bin; None: the trailers have no details."""
    text = stream.trailers.get("grpc-status-details-bin")
    if text is None:
        return None
    status = rpc.Status.FromString(base64.b64decode(text + b"=" * (-len(text) % 4)))
    info = rpc.ErrorInfo()
    return (info.reason, info.domain) if status.details[0].Unpack(info) else None


class LastMessage(WithSessions, Case):
    def with_message_in_flight(self, address=None, **options):
        """A consumer that stands still in the middle of a message, and its activation."""
        session = self.per_consumer("p") if address is None else None
        consumer = self.stalled(address, **options)
        if not session:
            return consumer, None, 0
        activation = session.wait_starts(1)[0]
        session.send(activation, [event(1, size=20000)])
        session.wait_confirmed()
        self.await_torn(consumer)
        return consumer, session, activation

    def await_torn(self, consumer):
        """A part of a message has arrived, and the window is full."""
        eventually(lambda: len(consumer.stream._body) > 0, "a part of the message arrives")

    def stand_still_and_read(self, consumer, began):
        time.sleep(max(0, began + STANDSTILL - time.monotonic()))
        self.assertFalse(consumer.stream.ended, "nothing can arrive while it does not read")
        consumer.read()
        consumer.wait_end()

    def check_end(self, stream, code, reason):
        self.assertEqual(bytes(stream._body), b"", "no message was torn")
        self.assertEqual(stream.status, code.value[0], stream.status_message)
        self.assertEqual(error_info(stream), (reason, "tributary"))

    def test_finding_26_one_that_an_operator_disconnects(self):
        consumer, session, activation = self.with_message_in_flight()
        began = time.monotonic()
        self.disconnect(consumer)
        self.assertEqual(session.wait_stop(activation).reason, "KICKED")
        self.assertLess(time.monotonic() - began, 1, "its producer does not wait for it")
        self.stand_still_and_read(consumer, began)
        self.assertEqual(consumer.received.numbers("p"), [1])
        self.check_end(consumer.stream, CODE.CANCELLED, "KICKED")

    def test_finding_26_one_that_is_too_slow(self):
        consumer, session, activation = self.with_message_in_flight(
            overflow=v1.OVERFLOW_DISCONNECT, max_events=3
        )
        began = time.monotonic()
        session.send(activation, [event(number) for number in range(2, 20)])
        self.assertEqual(session.wait_stop(activation).reason, "TOO_SLOW")
        self.assertLess(time.monotonic() - began, 1, "its producer does not wait for it")
        eventually(lambda: not self.daemon.subscription(consumer.id), "the operator sees it gone")
        self.stand_still_and_read(consumer, began)
        self.assertEqual(consumer.received.numbers("p"), [1])
        self.check_end(consumer.stream, CODE.RESOURCE_EXHAUSTED, "TOO_SLOW")
        ended = self.daemon.log("subscription.ended")[-1]
        self.assertEqual((ended["subscription"], ended["reason"]), (consumer.id, "TOO_SLOW"))
        self.assertEqual(ended["accepted"], ended["delivered"] + ended["dropped"] + ended["queued"])

    def test_finding_26_one_whose_drain_is_over(self):
        consumer, session, activation = self.with_message_in_flight()
        session.send(activation, [event(number) for number in range(2, 20)])
        session.wait_confirmed()
        began = time.monotonic()
        v1.stub("Subscriber", self.daemon.channel).Finish(
            v1.FinishRequest(subscription_id=consumer.id, drain=duration(0.2))
        )
        self.stand_still_and_read(consumer, began)
        self.assertEqual(consumer.received.numbers("p"), [1])
        dropped = consumer.received.lost_count(v1.LOSS_REASON_DRAIN_CUT)
        self.assertEqual(dropped, 18, "it hears of what was dropped")
        self.assertEqual(bytes(consumer.stream._body), b"")
        self.assertEqual(consumer.stream.status, 0)

    def test_finding_26_a_session_that_is_replaced(self):
        connection = self.raw(window=200, replenish=False)
        stream = connection.request("/tributary.v1.Publisher/Register")
        hello = v1.Hello(name="p", mode=v1.Hello.PER_CONSUMER)
        payload = v1.RegisterRequest(hello=hello).SerializeToString()
        stream.send(b"\0" + len(payload).to_bytes(4, "big") + payload)
        connection.wait(lambda: stream.messages, "welcome")
        self.consumer(subscribe_request(request=b"r" * 20000))
        eventually(lambda: len(stream._body) > 0, "a part of the command arrives")
        self.per_consumer("p")
        eventually(lambda: self.daemon.log("producer.removed"), "the older session is over")
        time.sleep(STANDSTILL)
        self.assertFalse(stream.ended)
        connection.replenish = True
        stream.grant(1 << 24)
        stream.wait_end()
        self.check_end(stream, CODE.ABORTED, "REPLACED")
        # What waited behind the message in flight comes too.
        commands = [command for each in stream.messages
                    for command in v1.RegisterResponse.FromString(each).commands]
        self.assertEqual(commands[0].WhichOneof("command"), "welcome")
        closing = [command.closing for command in commands if command.HasField("closing")]
        self.assertEqual([each.reason for each in closing], ["REPLACED"])


class Limits(WithSessions, Case):
    shared_daemon = False

    def blocked_mid_message(self, daemon):
        consumer = self.stalled(daemon.address)
        self.publish("p", [event(1, size=20000)], channel=daemon.channel)
        eventually(lambda: len(consumer.stream._body) > 0, "a part of the message arrives")
        return consumer

    def kick(self, daemon, consumer):
        daemon.admin().Disconnect(v1.DisconnectRequest(subscription_id=consumer.id))

    def test_finding_26_the_write_timeout_cuts_the_message(self):
        """The one case in which a peer gets its status in the middle of a message."""
        daemon = self.start_daemon("--write-timeout", "1s")
        for end, code in ((self.kick, CODE.CANCELLED), (lambda *_: None, CODE.RESOURCE_EXHAUSTED)):
            with self.subTest(code=code.name):
                consumer = self.blocked_mid_message(daemon)
                end(daemon, consumer)
                # Trailers need no window.
                consumer.stream.wait_end(patience=STANDSTILL)
                self.assertGreater(len(consumer.stream._body), 0)
                self.assertEqual(consumer.stream.status, code.value[0])
                self.assertIsNone(error_info(consumer.stream))

    def test_finding_26_the_drain_of_the_server_does_not_wait_longer(self):
        daemon = self.start_daemon("--drain-timeout", "2s")
        consumer, kicked = self.blocked_mid_message(daemon), self.blocked_mid_message(daemon)
        self.kick(daemon, kicked)
        daemon.terminate()
        began = time.monotonic()
        self.assertEqual(daemon.wait(), 0)
        self.assertLess(time.monotonic() - began, 2.2)
        reasons = {line["subscription"]: line["reason"] for line in daemon.log("subscription.ended")}
        self.assertEqual((reasons[consumer.id], reasons[kicked.id]), ("DRAINING", "KICKED"))

    def test_finding_26_a_second_signal_does_not_wait(self):
        daemon = self.start_daemon()
        consumer = self.blocked_mid_message(daemon)
        daemon.terminate()
        eventually(lambda: daemon.log("server.draining"), "it drains")
        daemon.terminate()
        began = time.monotonic()
        self.assertEqual(daemon.wait(), 1)
        self.assertLess(time.monotonic() - began, 2)
        self.assertEqual(daemon.log("subscription.ended")[-1]["reason"], "DRAINING")
        self.assertEqual(daemon.log("subscription.ended")[-1]["subscription"], consumer.id)

    def test_finding_26_one_that_reads_on_while_the_server_drains(self):
        daemon = self.start_daemon()
        consumer = self.blocked_mid_message(daemon)
        daemon.terminate()
        time.sleep(STANDSTILL)
        consumer.read()
        consumer.wait_end()
        self.assertEqual(bytes(consumer.stream._body), b"")
        self.assertEqual(consumer.stream.status, CODE.UNAVAILABLE.value[0])
        self.assertEqual(error_info(consumer.stream), ("DRAINING", "tributary"))
        self.assertEqual(daemon.wait(), 0)


if __name__ == "__main__":
    main()
