#!/usr/bin/python3
"""Connections that the guard or gRPC core ends: their calls carry the cause to the log and to the
producers (finding 27, and its kind). Each peer has an address of its own, so that none of them
begins on probation for another one."""
import struct
import time

from harness.case import Case, main
from harness.client import event, subscribe_request
from harness.daemon import eventually
from harness.h2frames import DATA, END_HEADERS, HEADERS, PING, RST_STREAM, frame, literal
from harness.protos import v1
from harness.rawh2 import message
from harness.sessions import WithSessions

PUBLISH = "/tributary.v1.Publisher/PublishStream"


def pings(connection, stream):
    for _ in range(40):
        connection.send(frame(PING, 0, 0, b"12345678"))
        time.sleep(0.02)


def empty_frames(connection, stream):
    connection.send(frame(DATA, 0, stream, b"") * 20000)


def resets(connection, stream):
    block = b"".join(
        literal(name, value)
        for name, value in ((":method", "POST"), (":scheme", "http"), (":path", PUBLISH), (":authority", "a"),
                            ("te", "trailers"), ("content-type", "application/grpc"))
    )
    connection.send(
        b"".join(
            frame(HEADERS, END_HEADERS, number, block) + frame(RST_STREAM, 0, number, struct.pack(">I", 8))
            for number in range(stream + 2, stream + 20000, 2)
        )
    )


def huge_message(connection, stream):
    connection.send(frame(DATA, 0, stream, struct.pack(">BI", 0, 1 << 30) + b"x"))


def idle_stream(connection, stream):
    connection.send(frame(DATA, 0, stream + 100, b"x"))


CAUSES = {
    pings: "TOO_MANY_PINGS",
    empty_frames: "FLOOD",
    resets: "FLOOD",
    huge_message: "BATCH_TOO_LARGE",
    idle_stream: "BAD_HTTP2",
}


class ConnectionEnds(WithSessions, Case):
    def peer(self, number):
        return self.raw(source=f"127.0.1.{number}", window=1 << 20)

    def end(self, connection, cause):
        stream = connection.request(PUBLISH)
        try:
            cause(connection, stream.number)
        except OSError:
            pass  # the server has closed it meanwhile
        eventually(lambda: connection.closed, "the connection ends")

    def test_finding_27_a_consumer(self):
        session = self.per_consumer("p")
        for number, (cause, reason) in enumerate(CAUSES.items(), 1):
            with self.subTest(cause=cause.__name__):
                connection = self.peer(number)
                connection.call(
                    "/tributary.v1.Subscriber/Subscribe", subscribe_request().SerializeToString()
                )
                session.wait_starts(number)
                activation = max(session.starts)
                self.end(connection, cause)
                self.assertEqual(session.wait_stop(activation).reason, reason)
                subscription = session.starts[activation].subscription_id
                ended = eventually(
                    lambda: [
                        line["reason"]
                        for line in self.daemon.log("subscription.ended")
                        if line["subscription"] == subscription
                    ],
                    "it is logged",
                )
                self.assertEqual(ended, [reason])

    def test_finding_27_a_session(self):
        for number, (cause, reason) in enumerate(CAUSES.items(), 101):
            with self.subTest(cause=cause.__name__):
                connection = self.peer(number)
                stream = connection.request("/tributary.v1.Publisher/Register")
                hello = v1.Hello(name=f"p{number}", mode=v1.Hello.SHARED)
                stream.send(message(v1.RegisterRequest(hello=hello).SerializeToString()))
                connection.wait(lambda: stream.messages, "welcome")
                self.end(connection, cause)
                removed = eventually(
                    lambda: [
                        line["reason"]
                        for line in self.daemon.log("producer.removed")
                        if line["producer"] == f"p{number}"
                    ],
                    "it is logged",
                )
                self.assertEqual(removed, [reason])

    def test_a_peer_that_closes_is_no_such_cause(self):
        session = self.per_consumer("p")
        connection = self.peer(201)
        connection.call("/tributary.v1.Subscriber/Subscribe", subscribe_request().SerializeToString())
        activation = session.wait_starts(1)[0]
        connection.close()
        self.assertEqual(session.wait_stop(activation).reason, "CANCELLED")
        self.publish("after", [event(1)])


if __name__ == "__main__":
    main()
