"""Publishers and a reader of a stored topic that outlive the daemon, and know what was confirmed.
Each is a thread."""
import collections
import os
import queue
import random
import threading
import time

import grpc

from .client import connect
from .protos import v1

WINDOW = 16  # batches without an answer
PAUSE = 0.005
# A daemon that is being started is tried again soon.
SOON = {
    "initial_reconnect_backoff_ms": 20,
    "min_reconnect_backoff_ms": 20,
    "max_reconnect_backoff_ms": 50,
}


class NumberedPublisher(threading.Thread):
    """Publishes batches with numbers, and sends what was not confirmed again after each loss."""

    def __init__(self, address, topic, name, seed):
        super().__init__(daemon=True)
        self.address, self.topic, self.name_of_producer = address, topic, name
        self.random = random.Random(seed)
        self.id = os.urandom(16)
        self.life = time.time_ns()
        self.unconfirmed = collections.deque()  # (first number, texts)
        self.next_number = 1
        self.confirmed = 0  # the last number that was
        self.duplicates = self.losses = 0
        self.problems = []
        self.stopping = threading.Event()

    def text(self, number):
        return f"{self.name_of_producer} {number}"

    def request(self, batch):
        first, count = batch
        return v1.PublishStreamRequest(
            events=[
                v1.Event(topic=self.topic, data=self.text(number).encode())
                for number in range(first, first + count)
            ],
            producer=self.name_of_producer,
            confirm=v1.CONFIRM_STORED,
            publisher=v1.PublisherNumbers(id=self.id, first_number=first, life=self.life),
        )

    def new_batch(self):
        count = self.random.choice((1, 1, 2, 7, 40))
        batch = (self.next_number, count)
        self.next_number += count
        self.unconfirmed.append(batch)
        return batch

    def run(self):
        while not self.stopping.is_set() or self.unconfirmed:
            with connect(self.address, **SOON) as channel:
                try:
                    self.stream(channel)
                except grpc.RpcError as error:
                    if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL):
                        self.problems.append(str(error))
                        return
                    self.losses += 1
                    time.sleep(PAUSE)

    def stream(self, channel):
        """One call. Returns once the publisher shall stop and everything is confirmed."""
        requests = queue.SimpleQueue()
        sent = collections.deque(self.unconfirmed)
        for batch in sent:
            requests.put(self.request(batch))
        while len(sent) < WINDOW and not self.stopping.is_set():
            requests.put(self.request(self.new_batch()))
            sent.append(self.unconfirmed[-1])
        if not sent:
            return
        answered = duplicates = 0
        for answer in v1.stub("Publisher", channel).PublishStream(
            iter(requests.get, None), wait_for_ready=True, timeout=600
        ):
            if answer.refused:
                self.problems.append(f"refused: {answer.refused}")
                requests.put(None)
                return
            self.duplicates += answer.duplicates - duplicates
            duplicates = answer.duplicates
            while answered < answer.confirmed_batch:
                answered += 1
                first, count = self.unconfirmed.popleft()
                self.confirmed = first + count - 1
                if not self.stopping.is_set():
                    requests.put(self.request(self.new_batch()))
            if not self.unconfirmed:
                requests.put(None)


class ResumingReader(threading.Thread):
    """Reads a topic from its first event, and goes on by its token after each loss; every other time
    with the position of the last event besides, so that nothing comes twice."""

    def __init__(self, address, topic):
        super().__init__(daemon=True)
        self.address, self.topic = address, topic
        self.events = []  # the data, by sequence - 1
        self.origins = []
        self.epoch = 0
        self.token = b""
        self.resumed = self.repeated = 0
        self.problems = []
        self.call = None
        self.stopping = threading.Event()
        self.grown = threading.Condition()

    def request(self):
        start = v1.Start()
        self.exact = bool(self.token) and self.resumed % 2 == 1
        if self.exact:
            start.positions.resume_token = self.token
            start.positions.positions.add(
                source="@" + self.topic, epoch=self.epoch, sequence=len(self.events)
            )
        elif self.token:
            start.resume = self.token
        else:
            start.earliest.SetInParent()
        return v1.SubscribeRequest(selectors=[v1.Selector(topic=self.topic)], start=start)

    def run(self):
        while not self.stopping.is_set():
            with connect(self.address, **SOON) as channel:
                try:
                    self.call = v1.stub("Subscriber", channel).Subscribe(self.request(), wait_for_ready=True)
                    for batch in self.call:
                        self.apply(batch)
                except grpc.RpcError as error:
                    final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED)
                    if error.code() not in final:
                        self.problems.append(str(error))
                        return
                    self.resumed += 1
                    time.sleep(PAUSE)

    def apply(self, batch):
        if batch.lost:
            self.problems.append(f"lost: {batch.lost}")
        for run in batch.runs:
            if run.source != "@" + self.topic:
                self.problems.append(f"a run of {run.source}")
                continue
            if self.epoch not in (0, run.epoch):
                self.problems.append(f"epoch {run.epoch} behind {self.epoch}")
            self.epoch = run.epoch
            for i, event in enumerate(run.events):
                self.take(run.sequences[i] if run.sequences else run.first_sequence + i, run.origin, event)
        # The token is about what came before it.
        if batch.HasField("started") and batch.started.resume_token:
            self.token = batch.started.resume_token
        if batch.HasField("progress") and batch.progress.resume_token:
            self.token = batch.progress.resume_token
        with self.grown:
            self.grown.notify_all()

    def take(self, sequence, origin, event):
        have = len(self.events)
        if sequence == have + 1:
            self.events.append(event.data)
            self.origins.append(origin)
        elif sequence > have + 1:
            self.problems.append(f"sequence {sequence} behind {have}")
        elif self.exact:
            self.problems.append(f"sequence {sequence} again, behind the position {have}")
        elif self.events[sequence - 1] != event.data:
            self.problems.append(f"sequence {sequence} was {self.events[sequence - 1]}, and is {event.data}")
        else:
            self.repeated += 1

    def wait(self, count, patience):
        with self.grown:
            return self.grown.wait_for(lambda: len(self.events) >= count or self.problems, patience)

    def stop(self):
        self.stopping.set()
        if self.call is not None:
            self.call.cancel()
