"""Workers and callers of keyed batches: Batch.Process, Run and RunStream, with Python's gRPC."""
import queue
import threading

import grpc

from .client import connect
from .daemon import PATIENCE
from .protos import Fault, duration, v1
from .rawh2 import Connection, message


def policy(window=0, deadline=0, **fields):
    """A BatchPolicy; times in seconds, 0: the default."""
    policy = v1.BatchPolicy(**fields)
    if window:
        policy.window_length.CopyFrom(duration(window))
    if deadline:
        policy.deadline.CopyFrom(duration(deadline))
    return policy


class Store:
    """What workers share: for each key a number, which operations add to, and its generation."""

    def __init__(self):
        self.values, self.generations = {}, {}
        self.lock = threading.Lock()


class Session:
    """A Process call by hand: send() and receive(), and nothing else happens."""

    def __init__(
        self, address, processor, name="", packed=False, max_batches=0, hello=True, channel=None, **rules
    ):
        """`channel`: one that is the caller's, in place of one to `address`."""
        self.channel = channel or connect(address)
        self.owns_channel = not channel
        self.outbox = queue.SimpleQueue()
        self.inbox = queue.SimpleQueue()
        self.fault = self.ended = None
        self.call = v1.stub("Batch", self.channel).Process(iter(self.outbox.get, None))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if hello:
            self.send(
                hello=dict(
                    processor=processor,
                    worker=name,
                    packed=packed,
                    max_batches=max_batches,
                    policy=policy(**rules),
                )
            )
            try:
                self.welcome = self.receive("welcome")
            except EndOfCall:
                self.close()
                raise

    def _read(self):
        try:
            for message in self.call:
                for each in [message, *message.more]:
                    if each.WhichOneof("command"):
                        self.inbox.put(each)
            self.ended = "OK"
        except grpc.RpcError as error:
            self.fault = Fault(error)
            self.ended = self.fault.code.name
        self.inbox.put(None)

    def send(self, **fields):
        self.outbox.put(v1.ProcessRequest(**fields))

    def receive(self, kind=None, timeout=PATIENCE):
        """The next command, which must be of this kind. Raises the Fault that has ended the call."""
        message = self.inbox.get(timeout=timeout)
        if message is None:
            raise EndOfCall(self.fault)
        if kind is None:
            return message
        if message.WhichOneof("command") != kind:
            raise AssertionError(f"expected {kind}, got {message}")
        return getattr(message, kind)

    def wait_end(self):
        """What the call ended with: "OK", or the name of its code."""
        while self.inbox.get(timeout=PATIENCE) is not None:
            pass
        self.reader.join(PATIENCE)
        return self.ended

    def loaded(self, batch, generation=0):
        self.send(loaded=dict(batch=batch, generation=generation))

    def result(self, batch, id, data=b"", error=None):
        self.send(result=dict(batch=batch, id=id, data=data, error=error))

    def saved(self, batch):
        self.send(saved=dict(batch=batch))

    def failed(self, batch, code=13, message="", reason=""):
        self.send(failed=dict(batch=batch, code=code, message=message, reason=reason))

    def aborted(self, batch):
        self.send(aborted=dict(batch=batch))

    def half_close(self):
        self.outbox.put(None)

    def close(self):
        self.call.cancel()
        self.outbox.put(None)
        if self.owns_channel:
            self.channel.close()
        self.reader.join(PATIENCE)


class EndOfCall(Exception):
    def __init__(self, fault):
        super().__init__(str(fault))
        self.fault = fault


class Worker(Session):
    """Adds the number in each operation to that of the key, in `store`. The result is the sum. An
    operation `fail` fails alone; `slow` waits for `self.go`."""

    def __init__(self, address, processor, store=None, **options):
        self.store = store or Store()
        self.loads, self.saves, self.order = [], [], []
        self.go = threading.Event()
        self.batches = {}
        self.runner = None
        super().__init__(address, processor, **options)
        self.runner = threading.Thread(target=self._run, daemon=True)
        self.runner.start()

    def _run(self):
        while True:
            message = self.inbox.get()
            if message is None:
                return
            kind = message.WhichOneof("command")
            getattr(self, "on_" + kind)(getattr(message, kind))

    def on_begin(self, begin):
        self.loads.append(begin.key)
        with self.store.lock:
            self.batches[begin.batch] = [begin.key, self.store.values.get(begin.key, 0)]
        self.loaded(begin.batch)

    def on_operation(self, operation):
        batch = self.batches[operation.batch]
        self.order.append(operation.data)
        if operation.data == b"slow":
            self.go.wait(PATIENCE)
            self.result(operation.batch, operation.id, b"slow")
        elif operation.data == b"fail":
            error = v1.RunError(code=9, message="it fails", reason="MY_REASON")
            self.result(operation.batch, operation.id, error=error)
        else:
            batch[1] += int(operation.data)
            self.result(operation.batch, operation.id, str(batch[1]).encode())

    def on_finish(self, finish):
        key, value = self.batches.pop(finish.batch)
        self.saves.append(key)
        with self.store.lock:
            self.store.values[key] = value
            self.store.generations[key] = self.store.generations.get(key, 0) + 1
        self.saved(finish.batch)

    def on_abort(self, abort):
        if self.batches.pop(abort.batch, None):
            self.aborted(abort.batch)

    def on_closing(self, closing):
        self.closing = closing

    def close(self):
        self.go.set()
        super().close()
        self.inbox.put(None)
        if self.runner:
            self.runner.join(PATIENCE)


class RunStream:
    """A RunStream call: send() requests, and receive() answers."""

    def __init__(self, address):
        self.channel = connect(address)
        self.outbox = queue.SimpleQueue()
        self.answers = {}
        self.messages = 0
        self.fault = self.ended = None
        self.changed = threading.Condition()
        self.call = v1.stub("Batch", self.channel).RunStream(iter(self.outbox.get, None))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        try:
            for message in self.call:
                with self.changed:
                    self.messages += 1
                    for each in [message, *message.more]:
                        if each.HasField("response") or each.HasField("error"):
                            self.answers[each.request] = each
                    self.changed.notify_all()
            self.ended = "OK"
        except grpc.RpcError as error:
            self.fault = Fault(error)
            self.ended = self.fault.code.name
        with self.changed:
            self.changed.notify_all()

    def send(self, **fields):
        self.outbox.put(v1.RunStreamRequest(**fields))

    def run(self, request, processor, key, data, **fields):
        self.send(request=request, run=v1.RunRequest(processor=processor, key=key, data=data), **fields)

    def answer(self, request):
        with self.changed:
            if not self.changed.wait_for(lambda: request in self.answers or self.ended, PATIENCE):
                raise AssertionError(f"no answer to request {request}")
            if request not in self.answers:
                raise AssertionError(f"the stream ended without an answer to {request}: {self.fault}")
            return self.answers[request]

    def wait_end(self):
        self.reader.join(PATIENCE)
        return self.ended

    def half_close(self):
        self.outbox.put(None)

    def close(self):
        self.call.cancel()
        self.outbox.put(None)
        self.channel.close()
        self.reader.join(PATIENCE)


class StalledWorker:
    """A Process call that gets what fits into `window` bytes, and reads nothing after that."""

    def __init__(self, address, processor, window=1000, **fields):
        self.connection = Connection(address, window=window, replenish=False)
        self.stream = self.connection.request("/tributary.v1.Batch/Process")
        self.send(hello=dict(processor=processor, **fields))

    def send(self, **fields):
        self.stream.send(message(v1.ProcessRequest(**fields).SerializeToString()))

    def wait(self, kind):
        """The first command of this kind."""

        def found():
            commands = map(v1.ProcessResponse.FromString, self.stream.messages)
            return [getattr(each, kind) for each in commands if each.HasField(kind)]

        self.connection.wait(found, kind)
        return found()[0]

    def close(self):
        self.connection.close()


class StalledObserver:
    """A WatchBatches call that reads up to `window` bytes until read() is called."""

    def __init__(self, address, pattern="", window=1000):
        self.connection = Connection(address, window=window, replenish=False)
        request = v1.WatchBatchesRequest(processor=pattern)
        self.stream = self.connection.call("/tributary.v1.Batch/WatchBatches", request.SerializeToString())

    def read(self):
        self.connection.replenish = True
        self.stream.grant(1 << 20)

    def records(self):
        return [v1.BatchRecord.FromString(each) for each in self.stream.messages]

    def close(self):
        self.connection.close()
