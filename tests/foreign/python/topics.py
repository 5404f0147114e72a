"""topics.py - publishes to a stored topic, and reads it, with grpcio. ../topics says what it reads and
writes."""
import collections
import json
import os
import queue
import sys
import threading
import time

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tributary.v1 import event_pb2, publisher_pb2, publisher_pb2_grpc, subscriber_pb2, subscriber_pb2_grpc

WINDOW = 16  # batches without an answer
PACK = 7  # events of a batch
PAUSE = 0.002  # seconds between two batches
BEAT = Duration(nanos=200_000_000)


def connect(address):
    return grpc.insecure_channel(address, options=[("grpc.initial_reconnect_backoff_ms", 100),
                                                   ("grpc.max_reconnect_backoff_ms", 200)])


def ending(error):
    """What the library says of the end of a call."""
    status, info = rpc_status.from_call(error), error_details_pb2.ErrorInfo()
    for part in status.details if status else []:
        part.Unpack(info)
    return {"code": error.code().value[0], "message": error.details(), "reason": info.reason,
            "domain": info.domain, "metadata": dict(info.metadata)}


class Publisher:
    """Numbers its events, and sends what was not confirmed again after a stream was lost."""

    def __init__(self, settings):
        self.settings = settings
        self.stub = publisher_pb2_grpc.PublisherStub(connect(settings["address"]))
        self.id, self.life = os.urandom(16), time.time_ns()
        self.unconfirmed = collections.deque()  # the first number of each batch
        self.next_number, self.confirmed = 1, 0
        self.reconnects = self.duplicates = 0
        self.stopping = threading.Event()

    def request(self, first):
        name = self.settings["name"]
        events = [event_pb2.Event(topic=self.settings["topic"], data=f"{name} {number}".encode())
                  for number in range(first, first + PACK)]
        return publisher_pb2.PublishStreamRequest(
            events=events, producer=name, confirm=publisher_pb2.CONFIRM_STORED,
            publisher=publisher_pb2.PublisherNumbers(id=self.id, first_number=first, life=self.life))

    def apply(self, answer, handled):
        """Returns how many batches of the stream were handled until now."""
        if answer.refused:
            raise RuntimeError(f"refused: {answer.refused[0]}")
        for _ in range(answer.confirmed_batch - handled):
            self.unconfirmed.popleft()
            self.confirmed += PACK
        return answer.confirmed_batch

    def stream(self):
        """One stream. Returns whether everything was sent and confirmed."""
        outbox, answers = queue.SimpleQueue(), queue.SimpleQueue()
        call = self.stub.PublishStream(iter(outbox.get, None), wait_for_ready=True)

        def read():
            try:
                for each in call:
                    answers.put(each)
                answers.put(None)
            except grpc.RpcError as error:
                answers.put(error)

        threading.Thread(target=read, daemon=True).start()
        sent = handled = duplicates = 0
        while True:
            try:
                answer = answers.get(timeout=PAUSE)
            except queue.Empty:
                # The first batch of a life goes alone.
                if sent - handled < (WINDOW if self.confirmed else 1):
                    if sent - handled == len(self.unconfirmed) and not self.stopping.is_set():
                        self.unconfirmed.append(self.next_number)
                        self.next_number += PACK
                    if sent - handled < len(self.unconfirmed):
                        outbox.put(self.request(self.unconfirmed[sent - handled]))
                        sent += 1
                    elif not self.unconfirmed:
                        outbox.put(None)
                continue
            if answer is None or isinstance(answer, grpc.RpcError):
                outbox.put(None)
                self.duplicates += duplicates
                if answer is not None and answer.code() != grpc.StatusCode.UNAVAILABLE:
                    raise answer
                return answer is None
            handled, duplicates = self.apply(answer, handled), answer.duplicates

    def run(self):
        threading.Thread(target=lambda: (sys.stdin.read(), self.stopping.set()), daemon=True).start()
        while not self.stream():
            self.reconnects += 1
        again = gap = None
        # A batch that is stored already, and one behind a gap.
        requests = [self.request(self.next_number - PACK), self.request(self.next_number + 10)]
        for answer in self.stub.PublishStream(iter(requests)):
            again = answer.duplicates
            for refused in answer.refused:
                gap = {"batch": refused.batch, "code": refused.code, "reason": refused.reason,
                       "message": refused.message}
        return {"confirmed": self.confirmed, "reconnects": self.reconnects, "duplicates": self.duplicates,
                "again": again, "gap": gap}


class Reader:
    """Reads a topic from its first event on, and resumes when a stream was lost."""

    def __init__(self, settings):
        self.source = "@" + settings["topic"]
        self.stub = subscriber_pb2_grpc.SubscriberStub(connect(settings["address"]))
        self.until = 0
        self.token, self.epoch = b"", 0
        self.events, self.caught_up = [], []  # (sequence, origin, data); (epoch, sequence)
        self.resumed = self.lost = self.repeated = 0

    def request(self, start, **fields):
        return subscriber_pb2.SubscribeRequest(
            selectors=[subscriber_pb2.Selector(producer=self.source)], start=start, heartbeat_interval=BEAT,
            **fields)

    def start(self):
        """By turns the newest token, and the newest token with the position of the last event."""
        if not self.token:
            return subscriber_pb2.Start(earliest=subscriber_pb2.Start.Earliest())
        self.resumed += 1
        if self.resumed % 2:
            return subscriber_pb2.Start(resume=self.token)
        here = event_pb2.Position(source=self.source, epoch=self.epoch, sequence=len(self.events))
        return subscriber_pb2.Start(positions=subscriber_pb2.Start.Positions(
            resume_token=self.token, positions=[here] if self.events else []))

    def add(self, run, is_exact):
        self.epoch = run.epoch
        for i, event in enumerate(run.events):
            row = [run.first_sequence + i, run.origin, event.data.decode()]
            if row[0] <= len(self.events):
                self.repeated += 1
                if is_exact or self.events[row[0] - 1] != row:
                    raise RuntimeError(f"repeated: {row}")
            else:
                self.events.append(row)

    def stream(self):
        start = self.start()
        is_caught_up = False
        for batch in self.stub.Subscribe(self.request(start), wait_for_ready=True):
            self.lost += len(batch.lost)
            for run in batch.runs:
                self.add(run, start.HasField("positions"))
            for each in batch.caught_up:
                is_caught_up = True
                self.caught_up.append([str(each.epoch), each.sequence])
            self.token = (batch.progress.resume_token or batch.started.resume_token or self.token)
            if is_caught_up and self.until and len(self.events) >= self.until:
                return

    def run(self):
        def wait_for_end():
            self.until = int(sys.stdin.readline())

        threading.Thread(target=wait_for_end, daemon=True).start()
        while True:
            try:
                self.stream()
                return {"events": self.events, "epoch": str(self.epoch), "caught_up": self.caught_up,
                        "resumed": self.resumed, "repeated": self.repeated, "lost": self.lost}
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise

    def below_the_first(self):
        """Starts at sequence 1, which is not kept, and then where the error says."""
        end = {}
        try:
            list(self.stub.Subscribe(self.request(subscriber_pb2.Start(sequence=1))))
        except grpc.RpcError as error:
            end = ending(error)
        first = int(end["metadata"]["bound"].split()[-1])
        for batch in self.stub.Subscribe(self.request(subscriber_pb2.Start(sequence=first),
                                                      end_when=subscriber_pb2.END_WHEN_CAUGHT_UP)):
            for run in batch.runs:
                self.events += [run.first_sequence + i for i in range(len(run.events))]
        return {"end": end, "sequences": self.events}


def main():
    settings = dict(argument.split("=", 1) for argument in sys.argv[1:])
    if settings["mode"] == "publish":
        result = Publisher(settings).run()
    elif settings["mode"] == "read":
        result = Reader(settings).run()
    else:
        result = Reader(settings).below_the_first()
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
