#!/usr/bin/python3
"""A small server for tests of the client: every published event goes to every subscriber.

Usage: fake_server.py PROTO_FOLDER [ADDRESS]

ADDRESS is 127.0.0.1:0 unless it is given. The port is printed as the first line.

The name of a producer selects a fault: `refuse-...` has every batch refused, `lose-...` has its
call end with UNAVAILABLE, INTERNAL or UNKNOWN at each third batch, which stays unconfirmed,
`hold-...` gets no confirmation, `never` is refused for good at its third batch, `heap-...` has the
events of three batches sent in one message. `store-...` stands for a stored topic: fake_store.py has
its faults. A subscription named `silent` gets one batch and then
nothing. One named `forgetful` is lost at once, and its resume token is refused then; `tokenless` is
lost at once and has none.
"""

import collections, ctypes, itertools, os, queue, shutil, signal, subprocess, sys, tempfile, threading, time
from concurrent import futures

import grpc

# A test that fails aborts, and cannot end its server. The kernel does it then.
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

folder = sys.argv[1]
out = tempfile.mkdtemp(prefix="fake-")
files = [os.path.join(at, f) for at, _, names in os.walk(folder) for f in names if f.endswith(".proto")]
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
    + [f for f in files if "/tributary/" in f or "/health/" in f]
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
import fake_store

health = grpc.method_handlers_generic_handler(
    "grpc.health.v1.Health",
    {"Check": grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x08\x01")},
)


class Hub:
    def __init__(self):
        self.lock = threading.Lock()
        self.subscribers = {}
        self.producers = {}
        self.epoch = time.time_ns()

    def publish(self, name, events):
        with self.lock:
            first = self.producers.get(name, 0) + 1
            self.producers[name] = first + len(events) - 1
            run = event_pb2.Run(
                events=events,
                source=name,
                epoch=self.epoch,
                first_sequence=first,
                observed_time_unix_nano=time.time_ns(),
            )
            batch = event_pb2.EventBatch(
                runs=[run], progress=event_pb2.Progress(resume_token=b"%d" % first, delivered=first)
            )
            for each in self.subscribers.values():
                each.put(batch)
            return self.producers[name]


hub = Hub()
store = fake_store.Store()

# Proxies make INTERNAL and UNKNOWN of a lost connection.
lost_codes = itertools.cycle(
    (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
)


class Publisher(publisher_pb2_grpc.PublisherServicer):
    def PublishStream(self, requests, context):
        name, number, heap = "", 0, []
        for request in requests:
            number += 1
            name = name or request.producer or "anonymous"
            if name.startswith("store"):
                yield from store.stream(name, itertools.chain((request,), requests), context)
                return
            if name.startswith("hold"):
                continue
            answer = publisher_pb2.PublishStreamResponse(confirmed_batch=number, epoch=hub.epoch)
            if name.startswith("refuse"):
                answer.refused.add(batch=number, code=3, message="no", reason="EVENT_TOO_LARGE")
            elif name.startswith("lose") and number == 3:
                context.abort(next(lost_codes), "lost on purpose")
            elif name == "never" and number == 3:
                time.sleep(0.1)
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "never again")
            elif name.startswith("heap") and number % 3 != 0:
                heap += request.events
            else:
                answer.last_sequence = hub.publish(name, heap + list(request.events))
                heap = []
            yield answer


def refuse_token(context):
    info = b"\n\x09BAD_TOKEN\x12\x09tributary"
    packed = b"\n\x28type.googleapis.com/google.rpc.ErrorInfo\x12" + bytes([len(info)]) + info
    details = b"\x08\x03\x1a" + bytes([len(packed)]) + packed
    context.set_trailing_metadata((("grpc-status-details-bin", details),))
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "start.resume_token: damaged")


class Subscriber(subscriber_pb2_grpc.SubscriberServicer):
    streams = collections.Counter()

    def begin_and_lose(self, request, context):
        self.streams[request.name] += 1
        if request.start.WhichOneof("at"):
            refuse_token(context)
        if self.streams[request.name] == 1:
            token = b"a token" if request.name == "forgetful" else b""
            started = event_pb2.Started(subscription_id="lost", resume_token=token)
            yield event_pb2.EventBatch(started=started)
            context.abort(grpc.StatusCode.UNAVAILABLE, "lost on purpose")

    def Subscribe(self, request, context):
        if request.name in ("forgetful", "tokenless"):
            yield from self.begin_and_lose(request, context)
        if request.name.startswith("store"):
            yield from store.read(request.name)
            return
        if not request.selectors:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "selectors: a value is missing")
        mine, name = queue.Queue(), "s%d" % time.time_ns()
        with hub.lock:
            hub.subscribers[name] = mine
        context.add_callback(lambda: mine.put(None))
        beat = request.heartbeat_interval.ToNanoseconds() or 10**10
        settings = event_pb2.Settings(
            max_events=request.buffer.max_events or 1024, heartbeat_interval_nanos=beat
        )
        yield event_pb2.EventBatch(started=event_pb2.Started(subscription_id=name, settings=settings))
        try:
            while True:
                try:
                    batch = mine.get(timeout=None if request.name == "silent" else beat / 1e9)
                except queue.Empty:
                    batch = event_pb2.EventBatch()
                if batch is None:
                    return
                yield batch
        finally:
            with hub.lock:
                hub.subscribers.pop(name, None)

    def Finish(self, request, context):
        with hub.lock:
            mine = hub.subscribers.get(request.subscription_id)
        if mine is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such subscription")
        mine.put(event_pb2.EventBatch(closing=event_pb2.Closing(reason=2)))
        mine.put(None)
        return subscriber_pb2.FinishResponse()


class Admin(admin_pb2_grpc.AdminServicer):
    def ListProducers(self, request, context):
        answer = admin_pb2.ListProducersResponse()
        for name, last in sorted(hub.producers.items()):
            answer.producers.add(name=name, kind=1, state=3, epoch=hub.epoch, last_sequence=last)
        return answer

    def GetProducer(self, request, context):
        if request.name not in hub.producers:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such producer")
        return admin_pb2.Producer(
            name=request.name, kind=1, state=3, epoch=hub.epoch, last_sequence=hub.producers[request.name]
        )

    def ListSubscriptions(self, request, context):
        answer = admin_pb2.ListSubscriptionsResponse()
        for name in sorted(hub.subscribers):
            answer.subscriptions.add(id=name, name="x")
        return answer

    def GetInfo(self, request, context):
        return admin_pb2.Info(
            version="fake", grpc_version=grpc.__version__, started_unix_nano=hub.epoch, pid=os.getpid()
        )


server = grpc.server(
    futures.ThreadPoolExecutor(max_workers=300), options=[("grpc.max_concurrent_streams", 100)]
)
publisher_pb2_grpc.add_PublisherServicer_to_server(Publisher(), server)
subscriber_pb2_grpc.add_SubscriberServicer_to_server(Subscriber(), server)
admin_pb2_grpc.add_AdminServicer_to_server(Admin(), server)
server.add_generic_rpc_handlers((health,))
port = server.add_insecure_port(sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:0")
server.start()
os.write(1, b"%d\n" % port)  # in one piece, whatever PYTHONUNBUFFERED says
server.wait_for_termination()
