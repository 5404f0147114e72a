#!/usr/bin/python3
"""A server for tests of sessions and of subscribers that consume: it plays one scene for each name.

Usage: fake_sessions.py PROTO_FOLDER [ADDRESS]

ADDRESS is 127.0.0.1:0 unless it is given. The port is printed as the first line.

A scene that fails ends its call with INTERNAL and the cause. The client does not retry after INTERNAL.
"""

import os, queue, shutil, subprocess, sys, tempfile, threading, time
from concurrent import futures

import grpc

folder = sys.argv[1]
out = tempfile.mkdtemp(prefix="fake-")
files = [
    os.path.join(at, f)
    for at, _, names in os.walk(folder)
    for f in names
    if f.endswith(".proto") and "/tributary/" in at + "/"
]
subprocess.check_call(
    [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-I",
        folder,
        "-I",
        "/usr/include",
        "--python_out=" + out,
        "--grpc_python_out=" + out,
    ]
    + files
)
sys.path.insert(0, out)
from tributary.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    event_pb2,
    publisher_pb2,
    publisher_pb2_grpc,
    subscriber_pb2,
    subscriber_pb2_grpc,
)

shutil.rmtree(out)

QUIET = 0.15  # how long a silence must last to count
PATIENCE = 8
visits = {}  # how often each name has called


class Wrong(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Wrong(what)


class Inbox:
    """The messages of a call; next() waits for at most PATIENCE seconds."""

    def __init__(self, requests):
        self.queue = queue.Queue()
        threading.Thread(target=self.pump, args=(requests,), daemon=True).start()

    def pump(self, requests):
        try:
            for request in requests:
                self.queue.put(request)
        except grpc.RpcError:
            pass
        except Exception:
            pass
        self.queue.put(None)

    def next(self):
        try:
            return self.queue.get(timeout=PATIENCE)
        except queue.Empty:
            raise Wrong("nothing came")

    def silent(self):
        try:
            message = self.queue.get(timeout=QUIET)
        except queue.Empty:
            return
        raise Wrong("this should not have come: %s" % message)


def visit(name):
    visits[name] = visits.get(name, 0) + 1
    return visits[name]


def command(**what):
    return publisher_pb2.RegisterResponse(commands=[publisher_pb2.RegisterResponse.Command(**what)])


R = publisher_pb2.RegisterResponse
WELCOME = dict(welcome=R.Welcome(epoch=7, reserve_events=1024, reserve_bytes=262144))


def confirm(number):
    return command(confirm=R.Confirm(message=number))


def soon(seconds=5):
    return time.time_ns() + int(seconds * 1e9)


class Shared:
    """Confirms the numbers 0, 1, 2, ... and fails if one is missing."""

    def __init__(self):
        self.next = 0
        self.number = 1

    def take(self, message):
        self.number += 1
        expect(message.activation == 0 and not message.HasField("hello"), "a message that is not shared")
        for event in message.events:
            number = int(event.data)
            expect(number <= self.next, "event %d came where %d was due" % (number, self.next))
            self.next = max(self.next, number + 1)
        return confirm(self.number)


def take_all(inbox, shared):
    while True:
        message = inbox.next()
        if message is None:
            return
        yield shared.take(message)


again = Shared()


def scene_again(inbox, context, count):
    """The call is lost with two unconfirmed messages. Both come again on the next call."""
    again.number = 1
    if count == 1:
        again.take(inbox.next())
        again.take(inbox.next())
        context.abort(grpc.StatusCode.UNAVAILABLE, "lost on purpose")
    yield from take_all(inbox, again)


def scene_replaced(inbox, context, count):
    yield command(closing=R.Closing(reason="REPLACED", deadline_unix_nano=soon(1)))
    context.abort(grpc.StatusCode.ABORTED, "another session took this name")


def scene_replaced_first(inbox, context, count):
    """The client half-closes before the server sends its status: the status is OK, but the session
    was replaced."""
    yield command(closing=R.Closing(reason="REPLACED", deadline_unix_nano=soon()))
    yield from take_all(inbox, Shared())


def scene_removed(inbox, context, count):
    yield command(closing=R.Closing(reason="REMOVED", deadline_unix_nano=soon(1)))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "an operator removed this producer")


draining = Shared()


def scene_draining(inbox, context, count):
    """The server drains, and no event is lost."""
    draining.number = 1
    if count == 1:
        yield draining.take(inbox.next())
        yield command(closing=R.Closing(reason="DRAINING", deadline_unix_nano=soon()))
        while (message := inbox.next()) is not None:  # may have been on its way
            yield draining.take(message)
        context.abort(grpc.StatusCode.UNAVAILABLE, "the server is draining")
    yield from take_all(inbox, draining)


def scene_goes(inbox, context, count):
    yield Shared().take(inbox.next())
    yield command(closing=R.Closing(reason="DRAINING", deadline_unix_nano=soon()))
    expect(inbox.next() is None, "it closes")
    context.abort(grpc.StatusCode.UNAVAILABLE, "the server is draining")


def scene_shared(inbox, context, count):
    yield from take_all(inbox, Shared())


def numbers(messages):
    return [int(event.data) for message in messages for event in message.events]


def start(activation, request=b"what"):
    return command(start=R.Start(activation=activation, request=request, subscription_id="s%d" % activation))


def gather(inbox, activation, but=None):
    """Returns the messages of one activation up to its end. Messages of activation `but` may come
    between them and are ignored."""
    messages = []
    while not messages or not messages[-1].HasField("end"):
        message = inbox.next()
        expect(message is not None, "closed before the end")
        if but is not None and message.activation == but:
            continue
        expect(
            (message.end.activation if message.HasField("end") else message.activation) == activation,
            "another activation",
        )
        messages.append(message)
    return messages


def scene_pause(inbox, context, count):
    """While one activation is paused, another one goes on. After the resume the waiting events come
    in order, then the end."""
    yield start(1)
    first = inbox.next()
    expect(first.activation == 1, "activation 1")
    yield command(pause=R.Pause(activation=1))
    yield start(2)
    two = gather(inbox, 2)
    expect(numbers(two) == [0], "activation 2 says %s" % numbers(two))
    inbox.silent()
    yield command(resume=R.Resume(activation=1))
    rest = gather(inbox, 1)
    expect(numbers([first] + rest) == list(range(100)), "out of order: %s" % numbers([first] + rest))
    expect(rest[-1].end.code == 3 and rest[-1].end.message == "done", "its end")
    yield confirm(1000)
    expect(inbox.next() is None, "nothing after the end")


def scene_stuck(inbox, context, count):
    """The activation is paused and never resumed: the client drops the waiting events in time and
    half-closes."""
    yield start(1)
    inbox.next()
    yield command(pause=R.Pause(activation=1))
    yield confirm(2)
    message = inbox.next()
    expect(message is None, "nothing more of a paused activation: %s" % message)


def scene_full(inbox, context, count):
    """The activation is paused from its start, so the client's queue fills. Confirmations make space."""
    yield publisher_pb2.RegisterResponse(
        commands=[R.Command(start=R.Start(activation=1)), R.Command(pause=R.Pause(activation=1))]
    )
    inbox.silent()
    yield command(resume=R.Resume(activation=1))
    number = 1
    while True:
        message = inbox.next()
        number += 1
        yield confirm(number)
        if message is None or message.HasField("end"):
            break
    while inbox.next() is not None:
        pass


def scene_stop(inbox, context, count):
    """Activation 1 is stopped at once. Activation 2 is stopped with a deadline, and ends before it."""
    for activation in (1, 2):
        yield start(activation)
    seen = set()
    while seen != {1, 2}:
        seen.add(inbox.next().activation)
    yield command(stop=R.Stop(activation=1, reason="CANCELLED"))
    yield command(stop=R.Stop(activation=2, reason="FINISHED", deadline_unix_nano=soon()))
    messages = gather(inbox, 2, but=1)
    expect(messages[-1].end.code == 0 and numbers(messages)[-1] == 99, "the end of 2: %s" % messages[-1])
    yield confirm(1000)
    expect(inbox.next() is None, "nothing after the end")


def scene_lost(inbox, context, count):
    if count == 1:
        yield start(1)
        inbox.next()
        context.abort(grpc.StatusCode.UNAVAILABLE, "lost on purpose")
    expect(inbox.next() is None, "activation 1 is over")


class Publisher(publisher_pb2_grpc.PublisherServicer):
    def Register(self, requests, context):
        inbox = Inbox(requests)
        hello = inbox.next().hello
        count = visit(hello.name)
        if hello.name == "taken":
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "another producer has this name")
        if hello.name == "late" and count == 1:
            time.sleep(0.1)
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        yield command(**WELCOME)
        yield confirm(1)
        try:
            yield from globals().get("scene_" + hello.name, scene_shared)(inbox, context, count)
        except Wrong as wrong:
            context.abort(grpc.StatusCode.INTERNAL, "%s: %s" % (hello.name, wrong))


def batch(first, count, name="p"):
    run = event_pb2.Run(source=name, epoch=1, first_sequence=first)
    for i in range(count):
        run.events.add(data=b"%d" % (first + i))
    return event_pb2.EventBatch(runs=[run])


def size_of(event):
    size = event.ByteSize()
    return size + (2 if size < 128 else 3)


def scene_window(inbox, init, context, count):
    """Sends 100 events, within the credit. The credit is never more than the window of 10."""
    granted, sent = 0, 0
    while sent < 100:
        while granted == sent:
            step = inbox.next()
            expect(step.WhichOneof("step") == "credit", "credit")
            granted += step.credit.events
            expect(granted - sent <= 10, "%d granted" % (granted - sent))
        yield batch(sent + 1, 1)
        sent += 1


def scene_bytes(inbox, init, context, count):
    """The same with a window of 64 bytes."""
    granted, sent, number = 0, 0, 0
    while number < 30:
        message = batch(number + 1, 1)
        size = size_of(message.runs[0].events[0])
        while granted - sent < size:
            step = inbox.next()
            expect(step.WhichOneof("step") == "credit" and step.credit.events == 0, "credit in bytes")
            granted += step.credit.bytes
            expect(granted - sent <= 64, "%d granted" % (granted - sent))
        sent += size
        number += 1
        yield message


def scene_hand(inbox, init, context, count):
    """Credit is 5, then 3 by hand. After 1 of these the stream is lost. The next stream has 2 left,
    the third one none."""
    step = inbox.next()
    expect(step.WhichOneof("step") == "credit", "credit")
    if count == 1:
        expect(step.credit.events == 5, "5 to begin with, not %d" % step.credit.events)
        yield batch(1, 5)
        expect(inbox.next().credit.events == 3, "3 by hand")
        yield batch(6, 1)
        context.abort(grpc.StatusCode.UNAVAILABLE, "lost on purpose")
    if count == 2:
        expect(step.credit.events == 2, "2 were left, not %d" % step.credit.events)
        yield batch(7, 2)
        inbox.silent()
        context.abort(grpc.StatusCode.UNAVAILABLE, "lost on purpose")
    expect(step.credit.events == 0 and step.credit.bytes == 0, "none were left, and that is said")
    inbox.silent()


def scene_select(inbox, init, context, count):
    step = inbox.next()
    expect(step.select.selectors[0].producer == "bad", "the first selectors")
    yield event_pb2.EventBatch(
        ack_results=[event_pb2.AckResult(request=2, code=3, message="a bad pattern", reason="BAD_NAME")]
    )
    step = inbox.next()
    expect(
        [s.producer for s in step.select.selectors] == ["good"] and step.select.exclude[0].topic == "x",
        "the second ones",
    )
    yield batch(1, 1)
    yield event_pb2.EventBatch(settings=event_pb2.Settings(revision=1, max_events=1024))
    step = inbox.next()
    expect(step.WhichOneof("step") == "drain" and step.drain.deadline.seconds == 2, "drain")
    yield event_pb2.EventBatch(closing=event_pb2.Closing(reason=2))


def scene_reselect(inbox, init, context, count):
    """The next stream starts with the last filter that was answered, and sends the select without
    an answer again."""
    if count == 1:
        expect(init.selectors[0].producer == "*", "everything at first")
        expect(inbox.next().select.selectors[0].producer == "a", "a")
        yield event_pb2.EventBatch(settings=event_pb2.Settings(revision=1))
        expect(inbox.next().select.selectors[0].producer == "b", "b")
        context.abort(grpc.StatusCode.UNAVAILABLE, "lost on purpose")
    expect([s.producer for s in init.selectors] == ["a"], "a is in force")
    expect(inbox.next().select.selectors[0].producer == "b", "b again")
    yield event_pb2.EventBatch(settings=event_pb2.Settings(revision=1))
    yield batch(1, 1)


def scene_limit(inbox, init, context, count):
    if count == 1:
        expect(
            init.limit_events == 5
            and init.end_when == 2
            and init.start.last == 7
            and init.request == b"\0req",
            "what was asked for",
        )
        yield batch(1, 3)
        context.abort(grpc.StatusCode.UNAVAILABLE, "lost on purpose")
    if count == 2:
        expect(init.limit_events == 2 and not init.HasField("start"), "what is left of it")
        yield batch(4, 2)
        context.abort(grpc.StatusCode.UNAVAILABLE, "lost before the last word")
    raise Wrong("it had everything")


class Subscriber(subscriber_pb2_grpc.SubscriberServicer):
    def Consume(self, requests, context):
        inbox = Inbox(requests)
        first = inbox.next()
        expect(first.WhichOneof("step") == "init", "init first")
        count = visit(first.init.name)
        yield event_pb2.EventBatch(
            started=event_pb2.Started(subscription_id="c", settings=event_pb2.Settings(max_events=1024))
        )
        try:
            yield from globals()["scene_" + first.init.name](inbox, first.init, context, count)
        except Wrong as wrong:
            context.abort(grpc.StatusCode.INTERNAL, "%s: %s" % (first.init.name, wrong))


class Admin(admin_pb2_grpc.AdminServicer):
    def RemoveProducer(self, request, context):
        if request.name == "nobody":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such producer")
        drain = request.deadline.ToNanoseconds() if request.HasField("deadline") else 0
        return admin_pb2.Producer(
            name=request.name,
            kind=2,
            per_consumer=True,
            labels={"mode": str(request.mode), "drain": str(drain)},
            topics=["t"],
            activations=3,
            paused_activations=1,
            expired_activations=2,
        )


    def AddProducer(self, request, context):
        """Takes one endpoint only: the one that test_consume_server.c describes."""
        if request.endpoint.name == "taken" and request.on_duplicate == 1:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "another producer has this name")
        want = admin_pb2.Endpoint(
            name=request.endpoint.name,
            address="ipv4:127.0.0.1:9",
            method="/a.B/C",
            requests=[b"\0one", b""],
            half_close=2,
            metadata={"token": "secret", "more": ""},
            labels={"zone": "eu"},
            activation=2,
            restart=3,
            decode=2,
            authority="b",
            tls="c",
        )
        for name, ns in (
            ("backoff", 20_000_000),
            ("max_backoff", 1_500_000_000),
            ("connect_timeout", 2_000_000_000),
            ("idle_timeout", 3_000_000_000),
        ):
            getattr(want, name).FromNanoseconds(ns)
        if request.endpoint != want:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not %s" % request.endpoint)
        for name in want.metadata:
            want.metadata[name] = "***"
        failure = admin_pb2.Producer.Failure(code=14, message="refused", where=1, time_unix_nano=5)
        return admin_pb2.Producer(
            name=want.name, kind=3, state=5, endpoint=want, upstream_calls=2, failure=failure
        )

    def UpdateProducer(self, request, context):
        if request.endpoint.name == "nobody":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such producer")
        return admin_pb2.Producer(name=request.endpoint.name, kind=3, state=2, endpoint=request.endpoint)


server = grpc.server(futures.ThreadPoolExecutor(max_workers=64))
publisher_pb2_grpc.add_PublisherServicer_to_server(Publisher(), server)
subscriber_pb2_grpc.add_SubscriberServicer_to_server(Subscriber(), server)
admin_pb2_grpc.add_AdminServicer_to_server(Admin(), server)
port = server.add_insecure_port(sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:0")
server.start()
os.write(1, b"%d\n" % port)
parent = os.getppid()
while os.getppid() == parent:  # this server ends when the test does
    time.sleep(0.1)
