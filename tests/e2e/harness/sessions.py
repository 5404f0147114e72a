"""Producer sessions and steered consumers (Register, Consume) as users write them. Whatever the
server sends is checked when it arrives."""
import queue
import threading
import time

import grpc

from .client import Consumer, Received, subscribe_request
from .daemon import PATIENCE
from .protos import Fault, duration, message_class, v1

SHARED, PER_CONSUMER = v1.Hello.SHARED, v1.Hello.PER_CONSUMER
REJECT = v1.Hello.REJECT
STOP_FIRST, START_FIRST = v1.Hello.STOP_FIRST, v1.Hello.START_FIRST
STEP, END = v1.ConsumeRequest, message_class("tributary.v1.RegisterRequest.End")
ACK, CREDIT, DRAIN, SELECT = (
    message_class(f"tributary.v1.ConsumeRequest.{name}") for name in ("Ack", "Credit", "Drain", "Select")
)
PAIR = message_class("tributary.v1.Selector.Pair")


def of(producer, **fields):
    """Selectors for one producer, or for a pattern of names."""
    return [v1.Selector(producer=producer, **fields)]


def drain_step(seconds=None):
    step = STEP(drain=DRAIN())
    if seconds is not None:
        step.drain.deadline.CopyFrom(duration(seconds))
    return step


class Session:
    """One Register. A thread of its own reads the commands and checks their order.

    `on_start` and `on_stop` are called on that thread with (session, command). Without `on_stop`
    the session ends each activation that it is told to stop, unless `ends_on_stop` is False."""

    def __init__(
        self,
        channel,
        name,
        mode=SHARED,
        ends_on_stop=True,
        on_start=None,
        on_stop=None,
        timeout=None,
        welcomed=True,
        **hello,
    ):
        self.name, self.mode, self._ends_on_stop, self._on_start, self._on_stop = (
            name,
            mode,
            ends_on_stop,
            on_start,
            on_stop,
        )
        self.commands = []  # (kind, message, time.monotonic())
        self.welcome = self.closing = None
        self.starts, self.stops = {}, {}  # activation -> Start, Stop
        self.paused, self._ended_here = set(), set()
        self.pauses = 0
        self.sent = self.confirmed = 0
        self.fault, self.ended, self._failed = None, False, None
        self._outbox, self._sending, self._changed = (
            queue.SimpleQueue(),
            threading.Lock(),
            threading.Condition(),
        )
        self.send_request(v1.RegisterRequest(hello=v1.Hello(name=name, mode=mode, **hello)))
        self.call = v1.stub("Publisher", channel).Register(iter(self._outbox.get, None), timeout=timeout)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        if welcomed:
            self.wait_welcome()

    # ---- commands ----

    def _read(self):
        fault = None
        try:
            for response in self.call:
                for command in response.commands:
                    self._apply(command)
        except grpc.RpcError as error:
            fault = Fault(error)
        except Exception as error:  # the waiting test raises it
            self._failed = error
            self.call.cancel()
        with self._changed:
            self.fault, self.ended = fault, True
            self._changed.notify_all()
        self._outbox.put(None)

    def _apply(self, command):
        kind = command.WhichOneof("command")
        message = getattr(command, kind)
        with self._changed:
            getattr(self, "_apply_" + kind)(message)
            self.commands.append((kind, message, time.monotonic()))
            self._changed.notify_all()
        if kind == "start" and self._on_start:
            self._on_start(self, message)
        if kind == "stop" and self._on_stop:
            self._on_stop(self, message)
        elif kind == "stop" and self._ends_on_stop and message.deadline_unix_nano:
            self.end(message.activation)

    def _apply_welcome(self, message):
        assert not self.commands, f"welcome comes first, not after {self.commands}"
        self.welcome = message

    def _apply_start(self, message):
        assert self.welcome, "nothing is started before the welcome"
        assert message.activation > max(
            self.starts, default=0
        ), f"activation {message.activation} after {max(self.starts, default=0)}"
        self.starts[message.activation] = message

    def _apply_stop(self, message):
        assert message.activation in self.starts, f"stop of {message.activation}, which was never started"
        assert message.activation not in self.stops, f"activation {message.activation} is stopped twice"
        self.stops[message.activation] = message

    def _apply_pause(self, message):
        assert (
            message.activation in self.starts and message.activation not in self.paused
        ), f"pause of {message.activation}"
        self.paused.add(message.activation)
        self.pauses += 1

    def _apply_resume(self, message):
        assert message.activation in self.paused, f"resume of {message.activation}, which is not paused"
        self.paused.remove(message.activation)

    def _apply_confirm(self, message):
        assert (
            self.confirmed < message.message <= self.sent
        ), f"confirm {message.message} after {self.confirmed}, of {self.sent} sent"
        self.confirmed = message.message

    def _apply_closing(self, message):
        assert self.closing is None, "closing comes once"
        self.closing = message

    def times_of(self, kind, activation=None):
        """The times at which such commands came."""
        with self._changed:
            return [
                at
                for each, message, at in self.commands
                if each == kind and activation in (None, getattr(message, "activation", None))
            ]

    @property
    def live(self):
        """The activations that were started, were not told to stop, and were not ended by this
        side."""
        with self._changed:
            return sorted(set(self.starts) - set(self.stops) - self._ended_here)

    # ---- messages ----

    def send_request(self, request):
        with self._sending:
            self.sent += 1  # before it is sent: the confirmation may be quick
            self._outbox.put(request)

    def send(self, activation, events, end=None):
        self.send_request(v1.RegisterRequest(activation=activation, events=events, end=end))

    def end(self, activation, code=0, message="", events=()):
        with self._changed:
            self._ended_here.add(activation)
        self.send(activation if events else 0, events, END(activation=activation, code=code, message=message))

    def half_close(self):
        self._outbox.put(None)

    # ---- waiting ----

    def wait(self, condition, what, patience=PATIENCE):
        until = time.monotonic() + patience
        with self._changed:
            while not condition() and not self._failed:
                left = until - time.monotonic()
                if left <= 0:
                    raise AssertionError(
                        f"did not happen within {patience:g} s: {what}; session {self.name!r}: "
                        f"{self.confirmed} of {self.sent} messages confirmed, "
                        f"ended {self.ended} {self.fault or ''}, commands {self.commands[-20:]}"
                    )
                self._changed.wait(left)
        if self._failed:
            raise AssertionError(f"session {self.name!r}: {self._failed}") from self._failed

    def wait_welcome(self, patience=PATIENCE):
        self.wait(lambda: self.welcome or self.ended, "the welcome", patience)
        if not self.welcome:
            raise AssertionError(f"session {self.name!r} was refused: {self.fault}")
        return self.welcome

    def wait_starts(self, count, patience=PATIENCE):
        """Waits for so many activations. Returns them in their order."""
        self.wait(lambda: len(self.starts) >= count, f"{count} activations are started", patience)
        return list(self.starts)

    def start_of(self, consumer):
        """Waits for an activation for this consumer. Returns the latest."""
        def found():
            return [each for each in self.starts.values() if each.subscription_id == consumer.id]

        self.wait(found, f"an activation for {consumer.id}")
        return found()[-1].activation

    def wait_stop(self, activation, patience=PATIENCE):
        self.wait(lambda: activation in self.stops, f"activation {activation} is told to stop", patience)
        return self.stops[activation]

    def wait_confirmed(self, patience=PATIENCE):
        """Waits until everything that was sent so far is confirmed."""
        wanted = self.sent
        self.wait(lambda: self.confirmed >= wanted or self.ended, f"message {wanted} is confirmed", patience)
        if self.confirmed < wanted:
            raise AssertionError(
                f"session {self.name!r} ended with {self.confirmed} of {wanted} messages confirmed: "
                f"{self.fault or 'OK'}"
            )

    def wait_end(self, patience=PATIENCE):
        self.wait(lambda: self.ended, "the session ends", patience)
        self._thread.join(patience)
        return self.fault

    def finish(self, patience=PATIENCE):
        """Half-closes. Every message must be confirmed, and the end must be OK."""
        self.half_close()
        fault = self.wait_end(patience)
        if fault:
            raise AssertionError(f"session {self.name!r} ended badly: {fault}")
        if self.confirmed != self.sent:
            raise AssertionError(f"session {self.name!r}: {self.confirmed} of {self.sent} messages confirmed")

    def cancel(self):
        self.call.cancel()
        self.wait(lambda: self.ended, "the session ends")


class ReceivedByConsume(Received):
    """Also what only a Consume receives: answers, and which events came under which selectors."""

    def __init__(self, keep=True):
        super().__init__(keep)
        self.answers = []  # AckResult
        self.revisions = []  # (Settings, events delivered before it)

    def apply(self, batch):
        self.answers += batch.ack_results
        if batch.HasField("settings"):
            self.revisions.append((batch.settings, self.delivered))
        super().apply(batch)


class Consuming(Consumer):
    """One Consume: a Consumer that can be steered. Further `steps` are sent right after init."""

    def __init__(self, channel, request=None, keep=True, timeout=None, on_batch=None, steps=()):
        self.received = ReceivedByConsume(keep)
        self.started = self.fault = self._failed = None
        self.ended = False
        self.sent = 0
        self._on_batch = on_batch
        self._changed, self._may_read, self._outbox = (
            threading.Condition(),
            threading.Event(),
            queue.SimpleQueue(),
        )
        self._may_read.set()
        self.step(STEP(init=request or subscribe_request()))
        for step in steps:
            self.step(step)
        self.call = v1.stub("Subscriber", channel).Consume(iter(self._outbox.get, None), timeout=timeout)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.wait(lambda: self.started or self.ended, "the stream's first message")
        if self.fault and not self.started:
            raise AssertionError(f"Consume ended before Started: {self.fault}")

    def _read(self):
        super()._read()
        self._outbox.put(None)

    def step(self, step):
        """Sends a step. Returns its number."""
        self.sent += 1
        self._outbox.put(step)
        return self.sent

    def credit(self, events=0, size=0):
        return self.step(STEP(credit=CREDIT(events=events, bytes=size)))

    def select(self, selectors, exclude=()):
        return self.step(STEP(select=SELECT(selectors=selectors, exclude=exclude)))

    def drain(self, seconds=None):
        return self.step(drain_step(seconds))

    def half_close(self):
        self._outbox.put(None)

    def wait_answer(self, number):
        self.wait(
            lambda: any(each.request == number for each in self.received.answers) or self.ended,
            f"step {number} is answered",
        )
        return next(each for each in self.received.answers if each.request == number)

    def wait_revision(self, revision):
        """Waits for Settings{revision}. Returns it, and how many events were delivered before
        it."""
        self.wait(
            lambda: any(each.revision == revision for each, _ in self.received.revisions),
            f"revision {revision} is reported",
        )
        return next(each for each in self.received.revisions if each[0].revision == revision)


class WithSessions:
    """A second base of a Case that needs sessions."""

    def session(self, name, mode=SHARED, channel=None, **options):
        session = Session(channel or self.channel(), name, mode, **options)
        self.addCleanup(session.cancel)
        return session

    def per_consumer(self, name, **options):
        """A session in mode PER_CONSUMER."""
        return self.session(name, PER_CONSUMER, **options)

    def consuming(self, request=None, channel=None, **options):
        consumer = Consuming(channel or self.channel(), request, **options)
        self.addCleanup(consumer.cancel)
        return consumer

    def without_credit(self, request=None, **options):
        """A consumer that reads, but gives no credit: every event for it stays in the server."""
        consumer = self.consuming(request, steps=[STEP(credit=CREDIT()), STEP(ack=ACK())], **options)
        consumer.wait_answer(3)  # the ack is answered, so the credit before it was read
        return consumer

    def remove(self, name, mode=v1.RemoveProducerRequest.DRAIN, seconds=None):
        request = v1.RemoveProducerRequest(name=name, mode=mode)
        if seconds is not None:
            request.deadline.CopyFrom(duration(seconds))
        return self.daemon.admin().RemoveProducer(request, timeout=PATIENCE)

    def disconnect(self, consumer, drain=False, seconds=None):
        request = v1.DisconnectRequest(subscription_id=consumer.id, drain=drain)
        if seconds is not None:
            request.deadline.CopyFrom(duration(seconds))
        return self.daemon.admin().Disconnect(request, timeout=PATIENCE)

    def state_of(self, consumer, source, state, patience=PATIENCE):
        """Waits until the latest status of a source has this state. Returns the status."""
        def latest():
            return next((each for each in reversed(consumer.received.states) if each.source == source), None)

        def condition():
            found = latest()
            return found is not None and found.state == state

        consumer.wait(condition, f"{source} is reported as {v1.enum_name('ProducerState', state)}", patience)
        return latest()
