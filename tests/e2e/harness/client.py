"""Producers and consumers as users write them: with Python's gRPC, from the .proto files."""
import queue
import threading
import time

import grpc

from .daemon import PATIENCE
from .protos import v1, duration, Fault

EVERYTHING = [v1.Selector(producer="*")]


def connect(address, **options):
    """A connection of its own. By default Python shares one between channels to the same
    address."""
    options.setdefault("use_local_subchannel_pool", 1)
    options.setdefault("max_receive_message_length", 8 << 20)
    return grpc.insecure_channel(
        address, options=[(f"grpc.{name}", value) for name, value in options.items()]
    )


def event(number=0, size=0, **fields):
    """An event with its number in its data, padded to `size` bytes."""
    return v1.Event(data=b"%d " % number + b"." * (size - len(b"%d " % number)), **fields)


def number_of(data):
    return int(data.split(b" ", 1)[0])


def subscribe_request(
    selectors=EVERYTHING,
    overflow=0,
    max_events=0,
    max_bytes=0,
    block_timeout=None,
    fallback=0,
    max_age=None,
    **fields,
):
    buffer = v1.Buffer(max_events=max_events, max_bytes=max_bytes, overflow=overflow, fallback=fallback)
    if block_timeout is not None:
        buffer.block_timeout.CopyFrom(duration(block_timeout))
    if max_age is not None:
        buffer.max_age.CopyFrom(duration(max_age))
    for name in ("linger", "heartbeat_interval"):
        if isinstance(fields.get(name), (int, float)):
            fields[name] = duration(fields[name])
    return v1.SubscribeRequest(selectors=selectors, buffer=buffer, **fields)


class Received:
    """What a consumer has received: every event, every loss, and the latest of everything else.

    It checks the order: the sequences of a source must rise within an epoch."""

    def __init__(self, keep=True):
        self.keep = keep
        self.events = []  # (source, epoch, sequence, Event)
        self.lost = []  # Lost
        self.states = []  # ProducerStatus
        self.origins = {}  # (source, sequence) -> Run.origin, where a run has one
        self.catches = []  # CaughtUp and FellBehind
        self.progress = None
        self.closing = None
        self.delivered = self.delivered_bytes = self.batches = self.heartbeats = 0
        # (source, epoch) -> [first sequence known, last sequence delivered, events delivered, lost]
        self.positions = {}

    def apply(self, batch):
        self.batches += 1
        if batch.ByteSize() == 0:
            self.heartbeats += 1
        self.catches += batch.fell_behind
        for lost in batch.lost:
            self._apply_lost(lost)
        for run in batch.runs:
            self._apply_run(run)
        self.catches += batch.caught_up
        self.states += batch.producers
        if batch.HasField("progress"):
            self.progress = batch.progress
        if batch.HasField("closing"):
            self.closing = batch.closing

    def _position(self, source, epoch, first):
        return self.positions.setdefault((source, epoch), [first, 0, 0, 0])

    def _apply_lost(self, lost):
        self.lost.append(lost)
        if lost.reason == v1.LOSS_REASON_RESUME_GAP:
            return
        position = self._position(lost.source, lost.epoch, lost.first_sequence)
        position[0] = min(position[0], lost.first_sequence)
        position[3] += lost.count

    def _apply_run(self, run):
        assert run.events, "a run holds at least one event"
        assert not run.sequences or len(run.sequences) == len(
            run.events
        ), "sequences, where set, name each event"
        position = self._position(run.source, run.epoch, run.first_sequence)
        # A loss after these events may have been reported before them.
        position[0] = min(position[0], run.first_sequence)
        if not self.keep and not run.sequences:
            assert (
                run.first_sequence > position[1]
            ), f"{run.source}: sequence {run.first_sequence} after {position[1]}"
            position[1] = run.first_sequence + len(run.events) - 1
            position[2] += len(run.events)
            self.delivered += len(run.events)
            return
        for offset, each in enumerate(run.events):
            sequence = run.sequences[offset] if run.sequences else run.first_sequence + offset
            assert sequence > position[1], f"{run.source}: sequence {sequence} after {position[1]}"
            position[1] = sequence
            position[2] += 1
            self.delivered += 1
            if self.keep:
                self.events.append((run.source, run.epoch, sequence, each))
            if self.keep and run.origin:
                self.origins[run.source, sequence] = run.origin

    def numbers(self, source):
        """The numbers in the data of a source's events, in the order of arrival."""
        return [number_of(each.data) for name, _, _, each in self.events if name == source]

    def lost_count(self, reason=None, source=None):
        return sum(
            lost.count
            for lost in self.lost
            if reason in (None, lost.reason) and source in (None, lost.source)
        )


class Consumer:
    """One Subscribe. A thread of its own reads it into a Received, unless hold() was called."""

    def __init__(self, channel, request=None, keep=True, timeout=None, on_batch=None):
        self.received = Received(keep)
        self.started = None
        self.fault = None  # how it ended, where not with OK
        self.ended = False
        self._on_batch = on_batch
        self._failed = None
        self._changed = threading.Condition()
        self._may_read = threading.Event()
        self._may_read.set()
        self.call = v1.stub("Subscriber", channel).Subscribe(request or subscribe_request(), timeout=timeout)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.wait(lambda: self.started or self.ended, "the stream's first message")
        if self.fault and not self.started:
            raise AssertionError(f"Subscribe ended before Started: {self.fault}")

    @property
    def id(self):
        return self.started.subscription_id

    def _read(self):
        fault = None
        try:
            for batch in self.call:
                with self._changed:
                    if batch.HasField("started"):
                        assert (
                            self.started is None and self.received.batches == 0
                        ), "Started comes once, first"
                        self.started = batch.started
                    self.received.apply(batch)
                    self._changed.notify_all()
                if self._on_batch:
                    self._on_batch(batch)
                self._may_read.wait()
        except grpc.RpcError as error:
            fault = Fault(error)
        except Exception as error:  # the waiting test raises it
            self._failed = error
            self.call.cancel()
        with self._changed:
            self.fault, self.ended = fault, True
            self._changed.notify_all()

    def hold(self):
        """Stops reading. What comes now waits in the HTTP/2 window of this process, and then in the
        server."""
        self._may_read.clear()

    def resume(self):
        self._may_read.set()

    def wait(self, condition, what, patience=PATIENCE):
        until = time.monotonic() + patience
        with self._changed:
            while not condition():
                if self._failed:
                    raise AssertionError(
                        f"while waiting for {what}: {self._failed}; "
                        f"settings {self.started.settings if self.started else None}"
                    ) from self._failed
                left = until - time.monotonic()
                if left <= 0:
                    raise AssertionError(
                        f"did not happen within {patience:g} s: {what}; delivered {self.received.delivered}, "
                        f"lost {self.received.lost_count()}, ended {self.ended} {self.fault or ''}"
                    )
                self._changed.wait(left)
        if self._failed:
            raise AssertionError(
                f"{self._failed}; settings {self.started.settings if self.started else None}"
            ) from self._failed

    def wait_events(self, count, patience=PATIENCE):
        self.wait(
            lambda: self.received.delivered >= count or self.ended, f"{count} events delivered", patience
        )
        if self.received.delivered < count:
            raise AssertionError(
                f"the stream ended with {self.received.delivered} of {count} events: {self.fault}"
            )

    def complete(self, counts):
        """Expects for each source exactly so many events of one epoch, from sequence 1 on, none
        lost."""
        found = {source: position for (source, _), position in self.received.positions.items()}
        wanted = {source: [1, count, count, 0] for source, count in counts.items()}
        assert found == wanted, f"positions (first, last, delivered, lost): {found}, not {wanted}"

    def wait_accounted(self, count, patience=PATIENCE):
        """Waits until delivered and lost are `count` together."""
        self.wait(
            lambda: self.received.delivered + self.received.lost_count() >= count,
            f"{count} events accounted for",
            patience,
        )

    def wait_end(self, patience=PATIENCE):
        self.wait(lambda: self.ended, "the stream ends", patience)
        self._thread.join(patience)
        return self.fault

    def cancel(self):
        self.resume()
        self.call.cancel()
        return self.wait_end()


class Publishing:
    """One PublishStream. send() gives it a batch; a thread of its own reads the answers."""

    def __init__(self, channel, producer="", timeout=None):
        self._producer, self._outbox = producer, queue.SimpleQueue()
        self.sent = 0
        self.answers = []
        self.refused = []
        self.confirmed = 0
        self.fault = None
        self.ended = False
        self._changed = threading.Condition()
        self.call = v1.stub("Publisher", channel).PublishStream(iter(self._outbox.get, None), timeout=timeout)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        fault = None
        try:
            for answer in self.call:
                with self._changed:
                    assert answer.confirmed_batch >= self.confirmed, "confirmations never go back"
                    self.answers.append(answer)
                    self.refused += answer.refused
                    self.confirmed = answer.confirmed_batch
                    self._changed.notify_all()
        except grpc.RpcError as error:
            fault = Fault(error)
        with self._changed:
            self.fault, self.ended = fault, True
            self._changed.notify_all()

    def send(self, events, producer=None):
        name = producer if producer is not None else (self._producer if self.sent == 0 else "")
        self._outbox.put(v1.PublishStreamRequest(events=events, producer=name))
        self.sent += 1

    def wait(self, condition, what, patience=PATIENCE):
        until = time.monotonic() + patience
        with self._changed:
            while not condition():
                left = until - time.monotonic()
                if left <= 0:
                    raise AssertionError(
                        f"did not happen within {patience:g} s: {what}; "
                        f"{self.confirmed} of {self.sent} confirmed, ended {self.ended} {self.fault or ''}"
                    )
                self._changed.wait(left)

    def wait_confirmed(self, batches=None, patience=PATIENCE):
        wanted = self.sent if batches is None else batches
        self.wait(lambda: self.confirmed >= wanted or self.ended, f"batch {wanted} confirmed", patience)
        if self.confirmed < wanted:
            raise AssertionError(
                f"the stream ended with {self.confirmed} of {wanted} batches confirmed: {self.fault or 'OK'}"
            )

    def half_close(self):
        self._outbox.put(None)

    def finish(self, patience=PATIENCE):
        """Half-closes. Every batch must be confirmed, and the end must be OK."""
        self.half_close()
        self.wait(lambda: self.ended, "the publishing stream ends", patience)
        if self.fault:
            raise AssertionError(f"PublishStream ended badly: {self.fault}")
        if self.confirmed != self.sent:
            raise AssertionError(f"{self.confirmed} of {self.sent} batches confirmed")

    def cancel(self):
        self.call.cancel()
        self._outbox.put(None)
        self.wait(lambda: self.ended, "the publishing stream ends")


def publish(channel, producer, events, timeout=PATIENCE):
    return v1.stub("Publisher", channel).Publish(
        v1.PublishRequest(producer=producer, events=events), timeout=timeout
    )
