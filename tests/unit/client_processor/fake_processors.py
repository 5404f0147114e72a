#!/usr/bin/python3
"""A server for tests of runners and workers: it plays one scene for each name of a processor.

Usage: fake_processors.py PROTO_FOLDER [ADDRESS]

ADDRESS is 127.0.0.1:0 unless it is given. The port is printed as the first line.

A scene that fails ends its call with FAILED_PRECONDITION and the cause. The client does not retry
after that.
"""

import collections, ctypes, os, queue, shutil, signal, subprocess, sys, tempfile, threading, time
from concurrent import futures

import grpc

# A test that fails aborts, and cannot end its server. The kernel does it then.
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

folder = sys.argv[1]
out = tempfile.mkdtemp(prefix="fake-")
subprocess.check_call(
    [sys.executable, "-m", "grpc_tools.protoc", "-I", folder, "-I", "/usr/include"]
    + ["--python_out=" + out, "--grpc_python_out=" + out]
    + [os.path.join(folder, "tributary/v1/batch.proto")]
)
sys.path.insert(0, out)
from tributary.v1 import batch_pb2 as pb, batch_pb2_grpc  # noqa: E402

shutil.rmtree(out)

PATIENCE = 8
OK, CANCELLED, ABORTED, UNAVAILABLE = 0, 1, 10, 14
visits = collections.Counter()  # how often each name has called
lock = threading.Lock()


class Wrong(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Wrong(what)


def flat(messages):
    """The entries of packed messages, each as a message of its own."""
    for message in messages:
        rest = list(message.more)
        del message.more[:]
        yield message
        for entry in rest:
            expect(not entry.more, "`more` within `more`")
            yield entry


def answer(request, data=b""):
    return pb.RunStreamResponse(request=request, response=pb.RunResponse(data=data, batch=7))


def refusal(request, code, reason, may_have_run=False):
    error = pb.RunError(code=code, reason=reason, message="no " + reason, may_have_run=may_have_run)
    return pb.RunStreamResponse(request=request, error=error)


# ---- RunStream ----


def echo(messages, context, visit):
    """Each message is answered by one message."""
    first = True
    for message in messages:
        expect(message.packed == first, "packed, in the first message only")
        first = False
        answers = [answer(entry.request, entry.run.key + b"=" + entry.run.data) for entry in flat([message])]
        yield pb.RunStreamResponse(more=answers)


def count(messages, context, visit):
    """Answers with the number of operations in the message."""
    for message in messages:
        entries = list(flat([message]))
        for entry in entries:
            yield answer(entry.request, b"%d" % len(entries))


def lose(messages, context, visit):
    """The first stream is lost after a message."""
    for entry in flat(messages):
        if visit == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
        yield answer(entry.request, entry.run.operation_id)


def lost_worker(messages, context, visit):
    """Each operation loses its worker once."""
    seen = set()
    for entry in flat(messages):
        if entry.run.key in seen:
            yield answer(entry.request)
        else:
            seen.add(entry.run.key)
            yield refusal(entry.request, UNAVAILABLE, "WORKER_LOST", True)


def no_worker(messages, context, visit):
    """The first two attempts are refused."""
    attempts = collections.Counter()
    for entry in flat(messages):
        attempts[entry.run.key] += 1
        if attempts[entry.run.key] <= 2:
            yield refusal(entry.request, UNAVAILABLE, "NO_WORKER")
        else:
            yield answer(entry.request)


def never(messages, context, visit):
    for entry in flat(messages):
        yield refusal(entry.request, UNAVAILABLE, "NO_WORKER")


def waits(messages, context, visit):
    """Only a cancel is answered."""
    for entry in flat(messages):
        if entry.cancel:
            yield refusal(entry.request, CANCELLED, "OPERATION_CANCELLED")


def first_last(messages, context, visit):
    """The first operation is answered after all others, the second one late."""
    entries = flat(messages)
    first, second = next(entries), next(entries)
    time.sleep(0.1)  # meanwhile the program waits for these two
    yield answer(second.request)
    yield answer(next(entries).request)
    time.sleep(0.1)  # a wait that counts answers would be over
    yield answer(first.request)
    for entry in entries:
        yield answer(entry.request)


def forbidden(messages, context, visit):
    next(messages)
    context.abort(grpc.StatusCode.PERMISSION_DENIED, "not for you")
    yield


RUNS = {
    "echo": echo, "count": count, "lose": lose, "lost-worker": lost_worker, "no-worker": no_worker,
    "never": never, "waits": waits, "forbidden": forbidden, "first-last": first_last,
}  # fmt: skip


# ---- Process ----


class Worker:
    """What a scene does with a worker."""

    def __init__(self, messages, context):
        self.context = context
        self.incoming = queue.Queue()
        self.outgoing = queue.Queue()
        self.reader = threading.Thread(target=self.read, args=(messages,), daemon=True)

    def read(self, messages):
        try:
            for entry in flat(messages):
                self.incoming.put(entry)
        except (grpc.RpcError, Wrong):
            pass
        self.incoming.put(None)

    def get(self, kind):
        try:
            entry = self.incoming.get(timeout=PATIENCE)
        except queue.Empty:
            raise Wrong("no " + kind) from None
        got = entry.WhichOneof("command") if entry else "end"
        expect(got == kind, "%s came in place of %s" % (got, kind))
        return getattr(entry, kind) if entry else None

    def get_any(self, kinds):
        entry = self.incoming.get(timeout=PATIENCE)
        got = entry.WhichOneof("command") if entry else "end"
        expect(got in kinds, got)
        return got

    def send(self, **command):
        self.outgoing.put(pb.ProcessResponse(**command))

    def send_packed(self, commands):
        self.outgoing.put(pb.ProcessResponse(more=[pb.ProcessResponse(**command) for command in commands]))

    def welcome(self, name):
        self.send(welcome=pb.ProcessResponse.Welcome(worker=name, max_batches=64))

    def begin(self, batch, key, operations, finish=True):
        begin = pb.ProcessResponse.Begin(batch=batch, key=key)
        begin.deadline.seconds = 5
        commands = [{"begin": begin}]
        for i, (operation_id, data) in enumerate(operations):
            commands.append(
                {
                    "operation": pb.ProcessResponse.Operation(
                        batch=batch, id=i + 1, operation_id=operation_id, data=data
                    )
                }
            )
        if finish:
            commands.append({"finish": pb.ProcessResponse.Finish(batch=batch)})
        self.send_packed(commands)


def work(worker, hello, visit):
    """Two batches, the second with an operation that fails; then a load and a save that fail."""
    expect(hello.worker == "w1" and hello.packed and hello.max_batches == 3, "hello")
    expect(hello.policy.window == pb.BATCH_WINDOW_ADAPTIVE and hello.policy.max_reloads == 2, "policy")
    worker.welcome("w1")
    worker.begin(1, b"a", [(b"id1", b"x"), (b"", b"y")])
    loaded = worker.get("loaded")
    expect(loaded.batch == 1 and loaded.generation == 41, "generation")
    for i, data in ((1, b"a:x"), (2, b"a:y")):
        result = worker.get("result")
        expect(result.batch == 1 and result.id == i and result.data == data, "result %d" % i)
    expect(worker.get("saved").batch == 1, "saved 1")
    worker.begin(2, b"b", [(b"", b"bad"), (b"", b"good")])
    expect(worker.get("loaded").batch == 2, "loaded 2")
    failed = worker.get("result")
    expect(failed.error.code == 9 and failed.error.reason == "OPERATION_FAILED", "its reason")
    expect(failed.error.message == "is ??? bad", "its message: %r" % failed.error.message)
    expect(worker.get("result").data == b"b:good", "the other one")
    expect(worker.get("saved").batch == 2, "saved 2")
    worker.begin(3, b"no-load", [(b"", b"x")])
    failed = worker.get("failed")
    expect(failed.batch == 3 and failed.code == 5 and failed.reason == "LOAD_FAILED", "load failed")
    worker.begin(4, b"conflict", [(b"", b"x")])
    worker.get("loaded"), worker.get("result")
    failed = worker.get("failed")
    expect(failed.batch == 4 and failed.code == ABORTED and failed.reason == "CONFLICT", "conflict")
    leave(worker)


def leave(worker):
    worker.send(finish=pb.ProcessResponse.Finish(batch=99))  # of no batch: harmless
    worker.get("draining")


def together(worker, hello, visit):
    """For a worker without operate(): results come after the save, in their order."""
    worker.welcome("w1")
    worker.begin(1, b"k", [(b"", b"%d" % i) for i in range(3000)], finish=False)
    worker.get("loaded")
    expect(worker.incoming.empty(), "nothing before the end of the batch")
    worker.send(finish=pb.ProcessResponse.Finish(batch=1))
    for i in range(3000):
        result = worker.get("result")
        expect(result.id == i + 1, "order")
        if i == 7:
            expect(result.error.code == 3 and result.error.reason == "SEVEN", "one fails alone")
        else:
            expect(result.data == b"%d" % i, "result")
    worker.get("saved")
    leave(worker)


def aborts(worker, hello, visit):
    """A batch is aborted before its end, and another one goes on."""
    worker.welcome("w1")
    worker.begin(1, b"a", [(b"", b"x")], finish=False)
    worker.get("loaded"), worker.get("result")
    worker.send(abort=pb.ProcessResponse.Abort(batch=1, reason="BATCH_DEADLINE"))
    expect(worker.get("aborted").batch == 1, "aborted")
    worker.begin(2, b"a", [(b"", b"y")])
    worker.get("loaded"), worker.get("result")
    expect(worker.get("saved").batch == 2, "saved")
    leave(worker)


def aborts_waiting(worker, hello, visit):
    """The key `slow` hangs. An abort of its second batch is answered nevertheless. Its third batch
    waits for the first one."""
    worker.welcome("w1")
    worker.begin(1, b"slow", [(b"", b"x")])
    worker.get("loaded"), worker.get("result")
    worker.begin(2, b"slow", [(b"", b"x")])
    worker.send(abort=pb.ProcessResponse.Abort(batch=2, reason="BATCH_DEADLINE"))
    expect(worker.get("aborted").batch == 2, "aborted")
    worker.begin(3, b"slow", [(b"", b"x")])
    worker.begin(4, b"free", [(b"", b"x")])
    worker.get("loaded"), worker.get("result")
    expect(worker.get("saved").batch == 4, "saved 4")
    expect(worker.get("saved").batch == 1, "saved 1")
    worker.get("loaded"), worker.get("result")
    expect(worker.get("saved").batch == 3, "saved 3")
    leave(worker)


def loses(worker, hello, visit):
    """The first call is lost while key `slow` is saved and key `open` is not finished. On the second
    one, the name is refused at first; then the key `slow` begins again."""
    if visit == 1:
        expect(hello.worker == "", "no name yet")
        worker.welcome("made")
        worker.begin(1, b"slow", [(b"", b"x")])
        worker.get("loaded"), worker.get("result")
        worker.begin(2, b"open", [(b"", b"x")], finish=False)
        worker.get("loaded"), worker.get("result")
        raise Lost(grpc.StatusCode.UNAVAILABLE)
    expect(hello.worker == "made", "the name that was given")
    if visit == 2:
        raise Lost(grpc.StatusCode.ALREADY_EXISTS)
    worker.welcome("made")
    worker.begin(3, b"slow", [(b"", b"y")])
    worker.get("loaded"), worker.get("result"), worker.get("saved")
    leave(worker)


def twice(worker, hello, visit):
    """A batch that begins twice ends the call."""
    worker.welcome("w1")
    worker.begin(1, b"a", [], finish=False)
    worker.begin(1, b"b", [], finish=False)
    worker.get("loaded")
    worker.get("end")


def closing(worker, hello, visit):
    """The server ends; the worker drains, and comes back."""
    worker.welcome("w1")
    if visit == 1:
        worker.begin(1, b"a", [(b"", b"x")], finish=False)
        worker.send(closing=pb.ProcessResponse.Closing(reason="DRAINING"))
        got = {worker.get_any(("loaded", "result", "draining")) for _ in range(3)}
        expect(len(got) == 3, "each of them")
        worker.send(finish=pb.ProcessResponse.Finish(batch=1))
        worker.get("saved")
        return
    leave(worker)


def quiet(worker, hello, visit):
    worker.welcome("w1")
    worker.get_any(("draining", "end"))


def slow(worker, hello, visit):
    """The server ends the call because the worker is slow, for each of the two reasons."""
    worker.welcome("w1")
    if visit == 1:
        raise Lost(grpc.StatusCode.DEADLINE_EXCEEDED, b"WORKER_SILENT")
    if visit == 2:
        raise Lost(grpc.StatusCode.RESOURCE_EXHAUSTED, b"NOT_READING")
    leave(worker)


def field(number, data):
    return bytes([number << 3 | 2, len(data)]) + data


class Lost(Exception):
    """`reason` goes into the ErrorInfo of the call's end."""

    def __init__(self, code, reason=b""):
        super().__init__()
        self.code = code
        info = field(1, b"type.googleapis.com/google.rpc.ErrorInfo") + field(2, field(1, reason))
        details = bytes([1 << 3, code.value[0]]) + field(3, info)
        self.trailers = (("grpc-status-details-bin", details),) if reason else ()


WORKERS = {
    "work": work, "together": together, "aborts": aborts, "loses": loses, "twice": twice,
    "closing": closing, "quiet": quiet, "slow": slow, "aborts-waiting": aborts_waiting,
}  # fmt: skip


def visit_of(name):
    with lock:
        visits[name] += 1
        return visits[name]


def run_stream(messages, context):
    first = next(messages, None)
    if first is None:
        return
    name = (first.run.processor if first.HasField("run") else first.more[0].run.processor).split("/")[0]

    def all_messages():
        yield first
        yield from messages

    try:
        yield from RUNS[name](all_messages(), context, visit_of(name))
    except Wrong as wrong:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(wrong))


def process(messages, context):
    worker = Worker(messages, context)
    worker.reader.start()
    ending = []

    def play():
        try:
            hello = worker.get("hello")
            WORKERS[hello.processor](worker, hello, visit_of(hello.processor))
        except Wrong as wrong:
            ending.append((grpc.StatusCode.FAILED_PRECONDITION, str(wrong)))
        except Lost as lost:
            context.set_trailing_metadata(lost.trailers)
            ending.append((lost.code, "lost"))
        worker.outgoing.put(None)

    threading.Thread(target=play, daemon=True).start()
    while (message := worker.outgoing.get()) is not None:
        yield message
    if ending:
        context.abort(*ending[0])


class Batch(batch_pb2_grpc.BatchServicer):
    def RunStream(self, request_iterator, context):
        return run_stream(request_iterator, context)

    def Process(self, request_iterator, context):
        return process(request_iterator, context)


server = grpc.server(futures.ThreadPoolExecutor(64))
batch_pb2_grpc.add_BatchServicer_to_server(Batch(), server)
port = server.add_insecure_port(sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1:0")
server.start()
os.write(1, b"%d\n" % port)  # in one piece, whatever PYTHONUNBUFFERED says
server.wait_for_termination()
