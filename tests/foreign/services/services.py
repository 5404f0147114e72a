"""The services of tests/foreign/endpoints (case X1): how each is built, started, changed and asked for its
open calls. None of them is written here; the programs beside this file only start what a library serves."""
import pathlib
import random
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
SOURCES = ROOT / "tests" / "foreign" / "services"
BUILD = ROOT / "build" / "foreign" / "services"
PATIENCE = 30
SIZES = (0, 1, 200, 5000, 70_000, 900_000)  # bytes of the values of etcd and Hubble
BURST = 2000  # changes at once, of the same two
GO_FETCH = ["go", "mod", "tidy"]


def run(command, folder, data=b""):
    """What a command writes to its output, given `data`."""
    done = subprocess.run(command, cwd=folder, input=data, capture_output=True, timeout=PATIENCE)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.decode()[-500:]}")
    return done.stdout


def lines_of(stream, lines, changed):
    """Appends each line to `lines`. Runs in a thread of its own."""
    for line in stream:
        with changed:
            lines.append(line.rstrip("\n"))
            changed.notify_all()


class Program:
    """A process. `out` and `err` are the lines that it has written so far."""

    def __init__(self, command, cwd=None):
        self.out, self.err, self.changed = [], [], threading.Condition()
        self.process = subprocess.Popen([str(word) for word in command], cwd=cwd, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.readers = []
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            reader = threading.Thread(target=lines_of, args=(stream, lines, self.changed), daemon=True)
            reader.start()
            self.readers.append(reader)

    def wait(self, question, what):
        """Waits until the answer is true, and returns it."""
        until = time.monotonic() + PATIENCE
        with self.changed:
            while not (answer := question()):
                if time.monotonic() > until or self.process.poll() is not None:
                    last = "\n".join([*self.out[-5:], *self.err[-20:]])
                    raise AssertionError(f"{self.process.args[0]}: not within {PATIENCE} s, or it ended "
                                         f"({self.process.poll()}): {what}\n{last}")
                self.changed.wait(0.1)
        return answer

    def finish(self):
        """Waits until it has ended by itself and all its lines are read. Returns its exit status."""
        status = self.process.wait(PATIENCE)
        for reader in self.readers:
            reader.join(PATIENCE)
        return status

    def end(self, with_signal=signal.SIGKILL):
        """Ends it, and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        return self.process.wait(PATIENCE)


class Service:
    """A process that serves one streaming method. `open_calls` says how many calls of it are open there.

    Where `key_field` and `time_field` are set, `key_and_time` reads them from a message."""
    half_close, key_field, time_field = "after-requests", "", ""

    def __init__(self, folder, data):
        self.folder, self.data, self.port, self.program = folder, data, 0, None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def kill(self):
        if self.program:
            self.program.end()


class Health(Service):
    """The standard health service: its Watch sends the status of "orders" whenever it changes."""
    method, request = "/grpc.health.v1.Health/Watch", b"\n\6orders"
    command, arguments = [], []

    def start(self):
        self.program = Program([*self.command, self.port, *self.arguments], self.folder)
        self.port = int(self.program.wait(lambda: self.program.out[:1], "it says its port")[0])

    def open_calls(self):
        return int(([0] + self.program.out[1:])[-1])

    def change(self, number):
        """Makes it send one message."""
        print(("SERVING", "NOT_SERVING")[number % 2], file=self.program.process.stdin, flush=True)


class GoHealth(Health):
    command = ["bin/service"]


class PythonHealth(Health):
    command = ["venv/bin/python", "service.py"]


class NodeHealth(Health):
    command = ["node", "service.js"]


class JavaHealth(Health):
    command = ["java", "-cp", "target/classes:target/dependency/*", "Service"]


class RustHealth(Health):
    command = ["target/release/service"]


class Gnmi(Health):
    """gNMI's Subscribe, which is bidirectional: at first it says that it is in step (updates_only), then it
    sends each new value of /orders. It sends on after the half-close."""
    method, command = "/gnmi.gNMI/Subscribe", ["bin/service"]
    request = b'\n\x1a\n\x08"\x06device\x12\x0c\n\n\x1a\x08\n\x06orders\x48\x01'

    def change(self, number):
        print(f"{number} " + "value " * (number * 100), file=self.program.process.stdin, flush=True)


class Hubble(Health):
    """cilium's Hubble observer of one node: at first it sends the last flow, then each new one."""
    method, command, arguments = "/observer.Observer/GetFlows", ["bin/service"], ["node-a", 0]
    key_field, time_field = "1.8.5", "1.1"  # flow.source.pod_name, flow.time

    def __init__(self, folder, data):
        super().__init__(folder, data)
        module = run(["go", "list", "-m", "-f", "{{.Dir}}", "github.com/cilium/cilium"], folder).decode()
        descriptors = pathlib.Path(data) / "observer.set"
        run(["protoc", f"-I{module.strip()}/api/v1", "--include_imports",
             f"--descriptor_set_out={descriptors}", "observer/observer.proto"], folder)
        encode = ["protoc", f"--descriptor_set_in={descriptors}", "--encode=observer.GetFlowsRequest"]
        self.request = run(encode, folder, b"number: 1 follow: true")
        self.messages = classes_of_set(descriptors.read_bytes())

    def change(self, number):
        print(f"{SIZES[number % len(SIZES)]} 1", file=self.program.process.stdin, flush=True)

    def burst(self):
        print(f"200 {BURST}", file=self.program.process.stdin, flush=True)
        return BURST

    def changes_in(self, messages):
        return messages

    def key_and_time(self, message):
        flow = self.messages["GetFlowsResponse"].FromString(message).flow
        return flow.source.pod_name, flow.time.ToNanoseconds()


class Etcd(Service):
    """etcd, the whole server: its Watch is bidirectional, and sends what is put below "orders/". As its own
    clients do, the daemon leaves its side open."""
    method, half_close = "/etcdserverpb.Watch/Watch", "keep-open"

    def __init__(self, folder, data):
        super().__init__(folder, data)
        self.messages = message_classes(SOURCES / "etcd")
        watch = self.messages["WatchRequest"]()
        watch.create_request.key, watch.create_request.range_end = b"orders/", b"orders0"
        watch.create_request.prev_kv = True
        self.request = watch.SerializeToString()
        self.random = random.Random(1)
        self.channel = None

    def start(self):
        import grpc

        peer = "http://127.0.0.1:0"
        client = f"http://{self.address}"
        self.program = Program([
            self.folder / "bin" / "etcd", "--data-dir", self.data, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
            "--listen-client-urls", client, "--advertise-client-urls", client])
        self.port = self.program.wait(self.served_port, "it serves clients")
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 8 << 20)]
        self.channel = grpc.insecure_channel(self.address, options=options)
        self.put = self.channel.unary_unary("/etcdserverpb.KV/Put")

    def served_port(self):
        for line in self.program.err:
            if "serving client traffic" in line:
                return int(re.search(r'"address":"127\.0\.0\.1:(\d+)"', line).group(1))
        return None

    def kill(self):
        if self.channel:
            self.channel.close()
        super().kill()

    def open_calls(self):
        return self.metric("etcd_debugging_mvcc_watch_stream_total")

    def watchers(self):
        """How many ranges are watched, in all calls."""
        return self.metric("etcd_debugging_mvcc_watcher_total")

    def metric(self, name):
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=PATIENCE) as answer:
            text = answer.read().decode()
        return int(float(re.search(rf"^{name} (\S+)", text, re.M).group(1)))

    def put_request(self, number, size):
        key = b"orders/%d" % (number % 7)
        return self.messages["PutRequest"](key=key, value=self.random.randbytes(size)).SerializeToString()

    def change(self, number):
        self.put(self.put_request(number, SIZES[number % len(SIZES)]), timeout=PATIENCE, wait_for_ready=True)

    def burst(self):
        """Many changes at once. Returns how many there are."""
        puts = [self.put.future(self.put_request(number, 200), timeout=PATIENCE) for number in range(BURST)]
        for put in puts:
            put.result()
        return BURST

    def changes_in(self, messages):
        """The changes that messages carry: how many stand in one message depends on the time."""
        decoded = [self.messages["WatchResponse"].FromString(message) for message in messages]
        return [change.SerializeToString() for message in decoded for change in message.events]


# Each service: its class, the tools that it needs, the commands that fetch its packages, and those
# that build it.
SERVICES = {
    "go": (GoHealth, ["go"], [GO_FETCH], [["go", "build", "-o", "bin/service", "."]]),
    "python": (PythonHealth, ["python3"],
               [["python3", "-m", "venv", "venv"],
                ["venv/bin/pip", "install", "-q", "-r", "requirements.txt"]], []),
    "node": (NodeHealth, ["node", "npm"],
             [["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]], []),
    "java": (JavaHealth, ["java", "mvn"], [["mvn", "-q", "-B", "process-sources"]],
             [["mvn", "-q", "-B", "compile"]]),
    "rust": (RustHealth, ["cargo"], [["cargo", "fetch", "-q"]], [["cargo", "build", "-q", "--release"]]),
    "gnmi": (Gnmi, ["go"], [GO_FETCH], [["go", "build", "-o", "bin/service", "."]]),
    "hubble": (Hubble, ["go", "protoc"], [GO_FETCH], [["go", "build", "-o", "bin/service", "."]]),
    "etcd": (Etcd, ["go"], [GO_FETCH], [["go", "build", "-o", "bin/etcd", "go.etcd.io/etcd/server/v3"]]),
}


def message_classes(folder):
    """The messages of the .proto files in `folder`, by their short names."""
    from harness.protos import compile_set

    return classes_of_set(compile_set(folder))


def classes_of_set(descriptors):
    """The messages of a serialized FileDescriptorSet, by their short names."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    names = []
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors).file:
        pool.Add(file)
        names += [f"{file.package}.{message.name}" for message in file.message_type]
    factory = message_factory.MessageFactory(pool)
    return {name.rpartition(".")[2]: factory.GetPrototype(pool.FindMessageTypeByName(name))
            for name in names}


def build(name):
    """Builds one service. Returns why it cannot be used, or nothing."""
    _, tools, fetch, compile_commands = SERVICES[name]
    return make(name, SOURCES / name, BUILD / name, tools, fetch, compile_commands)


def make(name, source, folder, tools, fetch, compile_commands):
    """Copies `source` to `folder` and runs the commands there. Returns why it cannot be used, or nothing."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        return f"SKIPPED: {name}: no {missing[0]}"
    if source != folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
    log = folder.with_name(f"{folder.name}.log")
    log.unlink(missing_ok=True)
    for command in [*fetch, *compile_commands]:
        with open(log, "a", encoding="utf-8") as out:
            done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        if done.returncode != 0 and command in fetch:
            return f"SKIPPED: {name}: its packages cannot be fetched, see {log}"
        if done.returncode != 0:
            return f"FAILED: {name} cannot be built: \"{' '.join(command)}\", see {log}"
    return None
