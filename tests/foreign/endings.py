"""endings - each ending by the server, and how to cause it. See reasons."""
import base64
import json
import queue
import subprocess
import threading
import time

import frame_relay
from frame_relay import Relay
from harness.client import subscribe_request
from harness.daemon import Daemon, eventually
from harness.protos import duration, v1
from harness.sessions import ACK, CREDIT, REJECT, STEP, Session, drain_step, of

MB = 1 << 20
STANDSTILL = 2.0  # seconds for which a client does not read
PATIENCE = 60
LARGE = dict(max_events=1 << 20, max_bytes=64 * MB)
STILL = dict(heartbeat_interval=0)  # nothing comes but what the row is about


class Trial:
    """A daemon, and one call of a client's process to it."""

    def __init__(self, client, options):
        self.client, self.daemon = client, Daemon(*options)
        self.process = self.relay = self.started = self._method = None
        self._lines, self._answers = queue.SimpleQueue(), []
        self.others = []  # what else has to be ended: objects with cancel()

    # ---- the client

    def call(self, method, *requests, close=False, relay=None, **settings):
        """Begins a call. `relay`: a change of the client's frames, or True for none."""
        service, self._method = method.split("/")
        address = self.daemon.address
        if relay:
            self.relay = Relay(address, None if relay is True else relay)
            address = self.relay.address
        words = [*self.client, f"address={address}", f"method=/tributary.v1.{method}",
                 *(f"{name}={value}" for name, value in settings.items())]
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read_lines, daemon=True).start()
        self.send(*requests)
        if close:
            self.command("close")

    def _read_lines(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def command(self, text):
        try:
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the call has ended

    def send(self, *requests):
        for request in requests:
            self.command("send " + base64.b64encode(request.SerializeToString()).decode())

    def _next(self):
        """The next answer, or how the call ended (a dictionary)."""
        line = self._lines.get(timeout=PATIENCE)
        verb, _, rest = line.partition(" ")
        if verb == "end":
            return json.loads(rest)
        if verb != "answer":
            raise RuntimeError(f"the client ended with {self.process.wait()} and said {line!r}")
        kind = {"Subscribe": v1.EventBatch, "Consume": v1.EventBatch, "Register": v1.RegisterResponse,
                "Publish": v1.PublishResponse, "PublishStream": v1.PublishStreamResponse,
                "Finish": v1.FinishResponse}[self._method]
        answer = kind.FromString(base64.b64decode(rest))
        self._answers.append(answer)
        return answer

    def answer(self):
        self.command("answer")
        return self._next()

    def result(self):
        """Lets the client read on, to the end."""
        self.command("read")
        ended = self._next()
        while not isinstance(ended, dict):
            ended = self._next()
        ended["seen"] = seen(self._answers)
        return ended

    def subscribe(self, close=True, relay=None, seconds=0, **options):
        """Subscribes, and waits until the subscription is there."""
        request = subscribe_request(**STILL, **options)
        if close:
            self.call("Subscriber/Subscribe", request, close=True, relay=relay, seconds=seconds)
        else:
            self.call("Subscriber/Consume", STEP(init=request), relay=relay, seconds=seconds)
        self.started = self.answer().started.subscription_id

    def register(self, name="p", **hello):
        self.call("Publisher/Register", v1.RegisterRequest(hello=v1.Hello(name=name, **hello)))
        self.answer()

    # ---- the daemon

    def publish(self, size=MB - 100, producer="p", count=1, **fields):
        for _ in range(count):
            v1.stub("Publisher", self.daemon.channel).Publish(
                v1.PublishRequest(producer=producer, events=[v1.Event(data=bytes(size), **fields)]),
                timeout=PATIENCE)

    def subscription(self):
        return self.daemon.subscription(self.started)

    def stand_still(self):
        """Publishes until the client, which does not read, stands in the middle of a message, and its
        channel is full; or until the server has ended it. Its windows, and what its library reads
        ahead, take some messages."""
        def full():
            seen_before = self.subscription()
            if not seen_before:
                return True
            self.publish()
            for wait_s in (0.1, 0.5):  # a busy machine may be slow to take it
                time.sleep(wait_s)
                now = self.subscription()
                if not now:
                    return True
                # One event is in flight, and one waits.
                if now.delivered.events > seen_before.delivered.events or now.queued.events < 2:
                    return False
            return True

        eventually(full, "the client's windows are full")

    def admin(self, method, request):
        return getattr(self.daemon.admin(), method)(request, timeout=PATIENCE)

    def other(self, thing):
        self.others.append(thing)
        return thing

    def close(self):
        for each in self.others:
            each.cancel()
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
        if self.relay:
            self.relay.close()
        self.daemon.close_channel()
        self.daemon.kill()


def seen(answers):
    """What stood in the stream beside events: each kind once, in the order of its first appearance."""
    found = []
    for answer in answers:
        for lost in getattr(answer, "lost", ()):
            found.append("Lost " + v1.enum_name("LossReason", lost.reason)[len("LOSS_REASON_"):])
        for refused in getattr(answer, "refused", ()):
            found.append(f"refused ({refused.reason})")
        for result in getattr(answer, "ack_results", ()):
            found.append(f"ack_results ({result.reason})")
        if isinstance(answer, v1.EventBatch) and answer.HasField("closing"):
            found.append("Closing " + v1.enum_name("ClosingReason", answer.closing.reason)[
                len("CLOSING_REASON_"):])
        for command in getattr(answer, "commands", ()):
            if command.HasField("closing"):
                found.append("Closing " + command.closing.reason)
    return list(dict.fromkeys(found))


# ---- consumers that are ended at once

def kicked(trial):
    trial.subscribe(max_events=1)
    trial.stand_still()
    trial.admin("Disconnect", v1.DisconnectRequest(subscription_id=trial.started))
    time.sleep(STANDSTILL)
    return trial.result()


def too_slow(trial):
    trial.subscribe(max_events=1, overflow=v1.OVERFLOW_DISCONNECT)
    eventually(lambda: trial.publish() or time.sleep(0.1) or not trial.subscription(), "it is too slow")
    time.sleep(STANDSTILL)
    return trial.result()


def too_slow_without_credit(trial):
    trial.subscribe(close=False, max_events=1, overflow=v1.OVERFLOW_BLOCK, block_timeout=0.1)
    trial.send(STEP(credit=CREDIT(events=1)))
    eventually(lambda: trial.publish(1) or trial.subscription().dropped.events, "its fallback is active")
    return trial.result()


def not_reading(trial):
    trial.subscribe(max_events=1)
    trial.stand_still()
    time.sleep(1 + STANDSTILL)
    return trial.result()


def deadline(trial):
    trial.subscribe(seconds=4)  # a JVM on a busy machine needs some of it
    return trial.result()


def no_memory_for_a_route(trial):
    trial.subscribe(selectors=[v1.Selector(producer="*", keys=[f"{n}" + "k" * 200 for n in range(60)])])
    for number in range(1000):
        trial.publish(1, f"p{number}")
        if not trial.subscription():
            return trial.result()
    raise RuntimeError("memory did not run out")


def short_memory(overflow):
    def run(trial):
        trial.subscribe(close=False, overflow=overflow, **LARGE)
        trial.send(STEP(credit=CREDIT(events=1)))
        trial.publish(100_000, count=200)
        if trial.subscription():
            trial.send(STEP(credit=CREDIT(events=1000)), drain_step(PATIENCE))
        return trial.result()

    return run


# ---- consumers that are ended gently

def shutdown(trial):
    trial.subscribe(max_events=1)
    trial.stand_still()
    trial.daemon.terminate()
    time.sleep(STANDSTILL)
    return trial.result()


def forced(trial):
    trial.subscribe(max_events=1)
    trial.stand_still()
    trial.daemon.terminate()
    eventually(lambda: trial.daemon.log("server.draining"), "the drain has begun")
    trial.daemon.terminate()
    time.sleep(STANDSTILL)
    return trial.result()


def finished(trial):
    trial.subscribe()
    v1.stub("Subscriber", trial.daemon.channel).Finish(v1.FinishRequest(subscription_id=trial.started))
    return trial.result()


def late_finish(trial):
    trial.subscribe(max_events=1)
    trial.stand_still()
    v1.stub("Subscriber", trial.daemon.channel).Finish(
        v1.FinishRequest(subscription_id=trial.started, drain=duration(1)))
    time.sleep(STANDSTILL)
    return trial.result()


def kicked_gently(trial):
    trial.subscribe()
    trial.admin("Disconnect", v1.DisconnectRequest(subscription_id=trial.started, drain=True))
    return trial.result()


def half_closed(trial):
    trial.subscribe(close=False)
    trial.command("close")
    return trial.result()


def drained(trial):
    trial.subscribe(close=False)
    trial.send(drain_step())
    return trial.result()


def acknowledged(trial):
    trial.subscribe(close=False)
    trial.send(STEP(ack=ACK()), STEP(init=subscribe_request()))
    trial.command("close")
    return trial.result()


def limit_events(trial):
    trial.subscribe(limit_events=2)
    trial.publish(1, count=3)
    return trial.result()


def all_ended(trial):
    session = trial.other(SessionOf(trial, v1.Hello.PER_CONSUMER))
    trial.subscribe(end_when=v1.END_WHEN_ALL_ENDED)
    session.end(session.wait_starts(1)[0])
    return trial.result()


# ---- sessions and publishers

class SessionOf(Session):
    """A session of the daemon's own channel."""

    def __init__(self, trial, mode):
        super().__init__(trial.daemon.channel, "p", mode)

    def cancel(self):
        self.call.cancel()


def removed(**options):
    def run(trial):
        trial.register()
        trial.admin("RemoveProducer", v1.RemoveProducerRequest(name="p", **options))
        return trial.result()

    return run


def replaced(trial):
    trial.register()
    trial.other(SessionOf(trial, v1.Hello.SHARED))
    return trial.result()


def name_taken(trial):
    trial.other(SessionOf(trial, v1.Hello.SHARED))
    trial.call("Publisher/Register", v1.RegisterRequest(hello=v1.Hello(name="p", on_duplicate=REJECT)))
    return trial.result()


def session_at_shutdown(trial):
    trial.register()
    trial.daemon.terminate()
    return trial.result()


def session_does_not_read(trial):
    trial.register(mode=v1.Hello.PER_CONSUMER)
    for number in range(150):
        call = trial.other(v1.stub("Subscriber", trial.daemon.channel).Subscribe(
            subscribe_request(request=bytes(60_000))))
        next(call)
    eventually(lambda: not trial.daemon.producer("p"), "the session is over")
    return trial.result()


def session_uses_up_memory(trial):
    trial.register(mode=v1.Hello.PER_CONSUMER)
    for _ in range(8):
        steps = queue.SimpleQueue()
        steps.put(STEP(init=subscribe_request(overflow=v1.OVERFLOW_BLOCK)))
        steps.put(STEP(credit=CREDIT(events=1)))
        next(trial.other(v1.stub("Subscriber", trial.daemon.channel).Consume(iter(steps.get, None))))
    for _ in range(10):
        for activation in range(1, 9):
            trial.send(v1.RegisterRequest(activation=activation, events=[v1.Event(data=bytes(25_000))]))
    return trial.result()


def unknown_activation(trial):
    trial.register(mode=v1.Hello.PER_CONSUMER)
    trial.send(v1.RegisterRequest(activation=7, events=[v1.Event()]))
    return trial.result()


def bad_batch(trial):
    trial.call("Publisher/PublishStream", v1.PublishStreamRequest(producer="p", events=[v1.Event()]),
               v1.PublishStreamRequest(events=[v1.Event(topic="\n")]), close=True)
    return trial.result()


def publisher_at_shutdown(trial):
    trial.call("Publisher/PublishStream", v1.PublishStreamRequest(producer="p", events=[v1.Event()]))
    trial.answer()
    trial.daemon.terminate()
    return trial.result()


# ---- calls that are refused

def publish(size=0, **options):
    def run(trial):
        event = v1.Event(data=bytes(size) or b"text" * 1000)
        request = v1.PublishRequest(producer="p", events=[event])
        trial.call("Publisher/Publish", request, close=True, **options)
        return trial.result()

    return run


def bad_name(trial):
    request = v1.PublishRequest(producer='100%41 "ä"\n', events=[v1.Event()])
    trial.call("Publisher/Publish", request, close=True)
    return trial.result()


def subscribe_refused(trial):
    """With --max-subscriptions 1."""
    next(trial.other(v1.stub("Subscriber", trial.daemon.channel).Subscribe(subscribe_request())))
    trial.call("Subscriber/Subscribe", subscribe_request(), close=True)
    return trial.result()


def unknown_subscription(trial):
    trial.call("Subscriber/Finish", v1.FinishRequest(subscription_id="nobody"), close=True)
    return trial.result()


def not_served(trial):
    trial.call("Subscriber/Nothing", close=True)
    return trial.result()


def unknown_token(trial):
    trial.call("Subscriber/Subscribe", subscribe_request(start=v1.Start(resume=b"no token")), close=True)
    return trial.result()


# ---- connections that are ended

def connection(cause):
    def run(trial):
        trial.subscribe(relay=True)
        cause(trial.relay)
        return trial.result()

    return run


def aged(trial):
    trial.subscribe()
    return trial.result()


DRAIN = ("--drain-timeout", "2s")
# The process ends and waits for nobody. A client that reads only then finds the status, a part of
# it, or a reset.
AT_THE_END = ("UNAVAILABLE", "INTERNAL", "UNKNOWN")
# By group: title, options of the daemon, how it is caused, and the codes of which any may be seen,
# without details; absent: there is one.
ENDINGS = {
    "Consumers": (
        ("an operator disconnects it", (), kicked),
        ("too slow, with DISCONNECT", (), too_slow),
        ("too slow: BLOCK, and no credit for `--write-timeout`", ("--write-timeout", "1s"),
         too_slow_without_credit),
        ("not reading for `--write-timeout`, in the middle of a message", ("--write-timeout", "1s"),
         not_reading),
        ("its own deadline", (), deadline),
        ("no memory for the route of a new producer", ("--memory-limit", "1M"), no_memory_for_a_route),
        ("memory is short: it loses events, and sends `drain`",
         ("--memory-limit", "16M", "--channel-share", "100"), short_memory(v1.OVERFLOW_DROP_OLDEST)),
        ("memory is short, with DISCONNECT", ("--memory-limit", "16M", "--channel-share", "100"),
         short_memory(v1.OVERFLOW_DISCONNECT)),
        ("the server drains, and it reads on in time", (), shutdown),
        ("the server drains, and it does not read on in time", DRAIN, shutdown, AT_THE_END),
        ("the server drains, and a second signal ends it at once", (), forced, AT_THE_END),
        ("`Finish`", (), finished),
        ("`Finish` with a drain of 1 s, and it does not read on in time", (), late_finish),
        ("`Disconnect` with a drain", (), kicked_gently),
        ("it half-closes a Consume", (), half_closed),
        ("it sends `drain` in a Consume", (), drained),
        ("it sends `ack` and a second `init` in a Consume, and half-closes", (), acknowledged),
        ("`limit_events` is reached", (), limit_events),
        ("ALL_ENDED: every activation has ended", (), all_ended),
    ),
    "Sessions and publishers": (
        ("an operator removes the session", (), removed()),
        ("an operator removes the session at once", (), removed(mode=v1.RemoveProducerRequest.CANCEL)),
        ("another session takes the name", (), replaced),
        ("the name is taken, with REJECT", (), name_taken),
        ("the server drains, with a session", (), session_at_shutdown),
        ("a session does not read for `--write-timeout`", ("--write-timeout", "1s"), session_does_not_read),
        ("a session uses up the memory", ("--memory-limit", "1M"), session_uses_up_memory),
        ("events for an activation that was never started", (), unknown_activation),
        ("a bad batch in a PublishStream, and the half-close", (), bad_batch),
        ("the server drains, with a PublishStream", (), publisher_at_shutdown),
    ),
    "Calls that are refused": (
        ("a message of 2 MiB", (), publish(2 * MB)),
        ("a message of 5 MiB", (), publish(5 * MB)),
        ("a name with a line break", (), bad_name),
        ("one subscription above `--max-subscriptions`", ("--max-subscriptions", "1"), subscribe_refused),
        ("a resume token of another kind", (), unknown_token),
        ("metadata of 100 KiB", (), publish(metadata=100 << 10)),
        ("metadata of 300 KiB", (), publish(metadata=300 << 10)),
        ("a message compressed without an encoding", (), publish(relay=frame_relay.compressed_mark)),
        ("a damaged gzip message", (), publish(relay=frame_relay.damaged, gzip=1)),
        ("`Finish` of a subscription that is not there", (), unknown_subscription),
        ("a method that is not served", (), not_served),
    ),
    "Connections that are ended, with a consumer": (
        ("too many pings", (), connection(frame_relay.pings)),
        ("a flood of frames", (), connection(frame_relay.flood)),
        ("too much of unfinished messages", ("--max-unfinished-bytes", "64K", "--max-event-bytes", "64K",
                                             "--max-batch-bytes", "64K"),
         connection(frame_relay.unfinished_messages)),
        ("more than its share of `--max-kept-bytes`", ("--max-kept-bytes", "16M"),
         connection(frame_relay.unfinished_messages)),
        ("a header block that does not end", (), connection(frame_relay.unfinished_block)),
        ("no answer to keepalive pings", (), connection(frame_relay.silence)),
        ("a message of 1 GiB", (), connection(frame_relay.huge_message)),
        ("metadata of 400 KB", (), connection(frame_relay.huge_metadata)),
        ("a frame that HTTP/2 forbids", (), connection(frame_relay.forbidden)),
        ("`--max-connection-age` and its grace are over",
         ("--max-connection-age", "1s", "--connection-age-grace", "1s"), aged),
    ),
}
