"""client.py - publishes and subscribes with grpcio as fast as it goes, and prints what it counted as one
JSON object. The arguments are NAME=VALUE, see main()."""
import json
import sys
import threading
import time

import grpc
from google.protobuf.duration_pb2 import Duration

from tributary.v1 import event_pb2, publisher_pb2, publisher_pb2_grpc, subscriber_pb2, subscriber_pb2_grpc


def connect(settings):
    """A connection of its own; without settings, with the library's defaults."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    if int(settings["keepalive"]):
        options += [("grpc.keepalive_time_ms", int(settings["keepalive"]) * 1000),
                    ("grpc.keepalive_permit_without_calls", 1),
                    ("grpc.http2.max_pings_without_data", 0)]
    if int(settings["window"]):
        options += [("grpc.http2.lookahead_bytes", int(settings["window"])), ("grpc.http2.bdp_probe", 0)]
    if int(settings["frame"]):
        options += [("grpc.http2.max_frame_size", int(settings["frame"]))]
    return grpc.insecure_channel(settings["address"], options=options)


class Subscriber:
    """Counts the events that arrive and those that are lost, on a thread of its own."""

    def __init__(self, settings):
        self.received = self.lost = 0
        self.failure = None
        self.stub = subscriber_pb2_grpc.SubscriberStub(connect(settings))
        buffer = subscriber_pb2.Buffer()
        if settings["overflow"] == "block":
            buffer.overflow = event_pb2.OVERFLOW_BLOCK
            buffer.block_timeout.seconds = 30
        self.batches = self.stub.Subscribe(subscriber_pb2.SubscribeRequest(
            selectors=[subscriber_pb2.Selector(producer=settings["name"])], buffer=buffer))
        self.id = next(self.batches).started.subscription_id
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()

    def receive(self):
        try:
            for batch in self.batches:
                self.received += sum(len(run.events) for run in batch.runs)
                self.lost += sum(lost.count for lost in batch.lost)
        except grpc.RpcError as error:
            self.failure = error

    def finish(self):
        self.stub.Finish(subscriber_pb2.FinishRequest(subscription_id=self.id, drain=Duration(seconds=30)))
        self.thread.join()
        if self.failure:
            raise self.failure


def publish(settings):
    """Sends messages until the time is over. Returns how many were sent, and how many confirmed."""
    events = [event_pb2.Event(topic="foreign", data=bytes(128))] * int(settings["pack"])
    request = publisher_pb2.PublishStreamRequest(producer=settings["name"], events=events)
    until = time.monotonic() + int(settings["seconds"])
    sent = confirmed = 0

    def requests():
        nonlocal sent
        while time.monotonic() < until:
            sent += 1
            yield request

    for answer in publisher_pb2_grpc.PublisherStub(connect(settings)).PublishStream(requests()):
        if answer.refused:
            raise RuntimeError(f"refused: {answer.refused[0]}")
        confirmed = answer.confirmed_batch
    return sent * len(events), confirmed * len(events)


def main():
    # window, frame, keepalive: 0 is the library's default.
    settings = {"address": "", "name": "python", "seconds": "10", "pack": "64", "overflow": "block",
                "window": "0", "frame": "0", "keepalive": "0"}
    settings.update(argument.split("=", 1) for argument in sys.argv[1:])
    subscriber = Subscriber(settings)
    began = time.monotonic()
    published, confirmed = publish(settings)
    seconds = time.monotonic() - began
    subscriber.finish()
    print(json.dumps({"published": published, "confirmed": confirmed, "received": subscriber.received,
                      "lost": subscriber.lost, "seconds": seconds}))


if __name__ == "__main__":
    main()
