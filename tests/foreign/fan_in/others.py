"""Other clients at the fan-in listener: of the health service, of etcd, of gNMI, and grpcurl."""
import base64
import collections
import contextlib
import json
import subprocess
import tempfile
import time

from fan_in.merged import GET_FLOWS, three
from fan_in.stand import Stand
from services import BUILD, PATIENCE, SERVICES, Program

HEALTH = "/grpc.health.v1.Health/Watch"
ETCD = ["/etcdserverpb.Watch/Watch,requests=many,answer=refuse", "/etcdserverpb.KV/*,answer=refuse",
        "/etcdserverpb.Lease/*,answer=refuse",
        "/etcdserverpb.Lease/LeaseKeepAlive,requests=many,answer=refuse"]
GNMI = "/gnmi.gNMI/Subscribe,requests=many"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo,requests=many"


@contextlib.contextmanager
def serving(kinds, *methods):
    """(stand, services): a service of each of these kinds, each an endpoint of the daemon."""
    with contextlib.ExitStack() as stack:
        stand, services = stack.enter_context(Stand()), []
        for kind in kinds:
            service = SERVICES[kind][0](BUILD / kind, stack.enter_context(tempfile.TemporaryDirectory()))
            stack.callback(service.kill)
            service.start()
            services.append(service)
            stand.serve(f"{kind}-{len(services)}", service.address, *methods)
        yield stand, services


def expect(got, want, what):
    if got != want:
        raise AssertionError(f"{what}: {got}, not {want}")


def run(*command, status=0):
    """What a client prints that ends by itself, with this exit status."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != status:
        raise AssertionError(f"{command[1:]}: exit {done.returncode}, not {status}: {done.stderr[-400:]}")
    return done.stdout if status == 0 else done.stderr


def watch_health(kinds):
    """One Watch sees the status of each server at first, and then each change of any."""
    with serving(kinds, HEALTH) as (stand, services):
        client = Program([BUILD / "python" / "venv" / "bin" / "python", "watch.py", stand.address],
                         BUILD / "python")
        want = ["SERVICE_UNKNOWN"] * len(services)
        try:
            client.wait(lambda: client.out == want, "the status of each at first")
            for number in range(4):
                for service in services:
                    service.change(number)
                    want.append(("SERVING", "NOT_SERVING")[number % 2])
                    client.wait(lambda: client.out == want, f"status {len(want)}")
        finally:
            client.end()
        for service in services:
            service.program.wait(lambda: service.open_calls() == 0, "its call has ended")


def health():
    """Three health services of grpc-go, and the client of grpcio-health-checking."""
    watch_health(["go"] * 3)


def health_mixed():
    """Health services of grpc-go, grpcio and grpc-js."""
    watch_health(["go", "python", "node"])


def etcdctl(address, *words, status=0):
    return run(BUILD / "etcd" / "bin" / "etcdctl", f"--endpoints={address}", *words, status=status)


def etcd():
    """One etcd: etcdctl puts, gets, deletes, keeps a lease, and watches two ranges in one call."""
    with serving(["etcd"], *ETCD) as (stand, [service]):
        client = Program([BUILD / "etcd" / "bin" / "etcdctl", f"--endpoints={stand.address}", "-w", "json",
                          "watch", "--interactive"])
        try:
            print("watch orders/ --prefix\nwatch other", file=client.process.stdin, flush=True)
            client.wait(lambda: service.watchers() == 2, "two watches")
            for number in range(20):
                etcdctl(stand.address, "put", f"orders/{number}", f"value {number} " + "x" * (number * 1000))
            etcdctl(stand.address, "put", "unseen", "1")
            etcdctl(stand.address, "put", "other", "2")
            client.wait(lambda: len(changes(client)) >= 21, "21 changes")
            want = [(f"orders/{number}", f"value {number} " + "x" * (number * 1000)) for number in range(20)]
            expect(changes(client), [*want, ("other", "2")], "the changes")
            expect(service.open_calls(), 1, "calls of Watch")
        finally:
            client.end()
        expect(etcdctl(stand.address, "get", "other", "--print-value-only"), "2\n", "get")
        expect(etcdctl(stand.address, "del", "orders/", "--prefix"), "20\n", "del")
        lease = etcdctl(stand.address, "lease", "grant", "60").split()[1]
        if "keepalived" not in etcdctl(stand.address, "lease", "keep-alive", "--once", lease):
            raise AssertionError("the lease is not kept alive")


def changes(client):
    found = []
    for line in client.out:
        for change in json.loads(line).get("Events") or []:
            pair = change["kv"]
            found.append(tuple(base64.b64decode(pair[name]).decode() for name in ("key", "value")))
    return found


def etcd_two():
    """Two etcds: with answer=refuse each call is refused, and reaches neither of them."""
    with serving(["etcd", "etcd"], *ETCD) as (stand, services):
        errors = etcdctl(stand.address, "--command-timeout=5s", "put", "a", "1", status=1)
        if "refuse" not in errors and "FailedPrecondition" not in errors:
            raise AssertionError(f"put: {errors}")
        for service in services:
            expect(etcdctl(service.address, "get", "a"), "", "get")
            expect(service.open_calls(), 0, "watches")


def gnmi_cli(address, *words):
    program = BUILD / "gnmi" / "bin" / "gnmi_cli"
    return [program, "-a", address, "-insecure", "-t", "device", "-q", "orders", *words]


@contextlib.contextmanager
def three_devices():
    """(address, services): three gNMI targets, whose value is "0", "1" and "2"."""
    with serving(["gnmi"] * 3, GNMI) as (stand, services):
        for number, service in enumerate(services):
            set_value(service, str(number))
            direct = gnmi_cli(service.address, "-qt", "once", "-dt", "group")
            until = time.monotonic() + PATIENCE
            while f'"orders": "{number}"' not in run(*direct):
                if time.monotonic() > until:
                    raise AssertionError("a target has no value")
        yield stand.address, services


def set_value(service, value):
    print(value, file=service.program.process.stdin, flush=True)


def gnmi_stream():
    """STREAM: the values of all targets, and then each update of any."""
    with three_devices() as (address, services):
        client = Program(gnmi_cli(address, "-qt", "streaming", "-dt", "single"))
        try:
            client.wait(lambda: len(client.out) >= 3, "the values at first")
            expect(sorted(client.out), [f"device/orders, {number}" for number in range(3)], "at first")
            for number in range(12):
                set_value(services[number % 3], f"update {number}")
                client.wait(lambda: len(client.out) >= 4 + number, f"update {number}")
                expect(client.out[-1], f"device/orders, update {number}", "an update")
        finally:
            client.end()


def gnmi_once():
    """ONCE: a client that reads to the end has all values. One that stops at the first sync_response has
    those of one target."""
    with three_devices() as (address, _):
        text = run(*gnmi_cli(address, "-qt", "once", "-dt", "proto"))
        values = sorted(line.split('"')[1] for line in text.splitlines() if "string_val" in line)
        expect((values, text.count("sync_response: true")), (["0", "1", "2"], 3), "-dt proto")
        tree = json.loads(run(*gnmi_cli(address, "-qt", "once", "-dt", "group")))
        if tree["device"]["orders"] not in ("0", "1", "2"):
            raise AssertionError(f"-dt group: {tree}")


def gnmi_poll():
    """POLL: each poll goes to all targets, and each answers with a sync_response. A client that counts one
    for each poll has the answers one by one: it shows a target in turn, and falls behind."""
    with three_devices() as (address, _):
        text = run(*gnmi_cli(address, "-qt", "polling", "-pi", "50ms", "-count", "9", "-dt", "group"))
        trees = json.loads("[" + text.replace("}\n{", "},{") + "]")
        expect(len(trees), 9, "answers")
        seen = collections.Counter(tree["device"]["orders"] for tree in trees)
        if len(seen) < 2:
            raise AssertionError(f"the values {seen}")


def grpcurl_command(address, *words, symbol=()):
    return [BUILD / "grpcurl" / "bin" / "grpcurl", "-plaintext", *words[:-1], address, words[-1], *symbol]


def flows_of(text):
    answers = json.loads("[" + text.replace("}\n{", "},{") + "]")
    return sorted((answer["nodeName"], int(answer["flow"]["Summary"].split()[1])) for answer in answers)


def grpcurl():
    """grpcurl without files: one endpoint serves reflection, three serve the method."""
    with three() as (stand, nodes):
        stand.serve("reflection", nodes[0].address, REFLECTION)
        methods = run(*grpcurl_command(stand.address, "list"), "observer.Observer")
        if "observer.Observer.GetFlows" not in methods:
            raise AssertionError(f"list: {methods}")
        want = sorted((node.name, number) for node in nodes for number in node.seen()[-3:])
        call = ["-d", '{"number": 3}', GET_FLOWS[1:]]
        expect(flows_of(run(*grpcurl_command(stand.address, *call))), want, "GetFlows")
        got = flows_of(run(*grpcurl_command(stand.address, "-rpc-header", "tributary-select: node-b", *call)))
        expect(got, [pair for pair in want if pair[0] == "node-b"], "tributary-select")
        nodes[1].kill()
        end = ["-rpc-header", "tributary-end: partial-ok"]
        got = flows_of(run(*grpcurl_command(stand.address, *end, *call)))
        expect(got, [pair for pair in want if pair[0] != "node-b"], "partial-ok")
        errors = run(*grpcurl_command(stand.address, *call), status=64 + 14)
        if "Unavailable" not in errors:
            raise AssertionError(f"all-ok: {errors}")


def grpcurl_alone():
    """grpcurl without files, and no endpoint that serves reflection: Hubble's own reflection is asked, or
    what it says was given with the endpoints."""
    with three() as (stand, nodes):
        expect(run(*grpcurl_command(stand.address, "list")).split(),
               ["grpc.health.v1.Health", "observer.Observer"], "list")
        symbol = ["observer.Observer"]
        text = run(*grpcurl_command(stand.address, "describe", symbol=symbol))
        if "rpc GetFlows" not in text:
            raise AssertionError(f"describe: {text}")
        want = sorted((node.name, number) for node in nodes for number in node.seen()[-3:])
        call = ["-d", '{"number": 3}', GET_FLOWS[1:]]
        expect(flows_of(run(*grpcurl_command(stand.address, *call))), want, "GetFlows")
        with tempfile.TemporaryDirectory() as folder:
            file = f"{folder}/observer.pb"
            run(*grpcurl_command(stand.address, "-protoset-out", file, "describe", symbol=symbol))
            for node in nodes:
                stand.remove(node.name)
                stand.tool("producers", "add", node.name, node.address, "--serve", GET_FLOWS,
                           "--descriptors", file)
        expect(flows_of(run(*grpcurl_command(stand.address, *call))), want, "with --descriptors")


# What some tests need, and the tests.
GROUPS = (
    (["go", "python"], (health,)),
    (["go", "python", "node"], (health_mixed,)),
    (["etcdctl"], (etcd, etcd_two)),
    (["gnmi_cli"], (gnmi_stream, gnmi_once, gnmi_poll)),
    (["hubble", "grpcurl"], (grpcurl, grpcurl_alone)),
)
