"""cilium's `hubble` and Hubble servers: what the client must print, whatever stands between the two."""
import json
import signal
import subprocess
import time

from services import BUILD, PATIENCE, Health, Program

HUBBLE = BUILD / "hubble"
KEPT = 60  # flows that each server has made before a client comes


class Node(Health):
    """A Hubble server of one node. The newest of its flows is not seen yet (see hubble/main.go)."""
    command = ["bin/service"]

    def __init__(self, name, rate=0):
        super().__init__(HUBBLE, None)
        self.name, self.arguments, self.written = name, [name, rate], 0

    def start(self):
        super().start()
        self.written = 2

    def write(self, count, size=0):
        self.written += count
        print(f"{size} {count}", file=self.program.process.stdin, flush=True)

    def seen(self):
        """The numbers of the flows that it shows."""
        return range(self.written - 1)

    def wait_calls(self, count):
        self.program.wait(lambda: self.open_calls() == count, f"{count} open calls at {self.name}")


class Observe:
    """`hubble observe`, and the flows that it has printed."""
    started = []

    def __init__(self, address, *arguments):
        self.program = Program([HUBBLE / "bin" / "hubble", "observe", "--server", address, "-o", "jsonpb",
                                *arguments])
        self.started.append(self.program)

    def flows(self):
        """(node, number) of each flow so far. The number stands in the summary."""
        answers = [json.loads(line) for line in self.program.out]
        return [(answer["node_name"], int(answer["flow"]["Summary"].split()[1])) for answer in answers
                if "flow" in answer]

    def finished(self):
        """All flows, of a client that ends by itself."""
        code = self.program.finish()
        if code != 0:
            raise AssertionError(f"hubble observe: exit {code}: {self.program.err[-5:]}")
        return self.flows()

    def stop(self):
        """Ends one that follows, as Ctrl-C does."""
        code = self.program.end(signal.SIGINT)
        if code != 0:
            raise AssertionError(f"hubble observe: exit {code}: {self.program.err[-5:]}")


def end_clients():
    """Ends the clients that a row has left behind."""
    for program in Observe.started:
        program.end()
    Observe.started.clear()


def same(got, want, what):
    """Compares flows node by node: there is no order between nodes."""
    for node in sorted({node for node, _ in [*got, *want]}):
        one, other = ([number for name, number in flows if name == node] for flows in (got, want))
        if one != other:
            raise AssertionError(f"{what}: of {node} the flows {one[:200]}, not {other[:200]}")


def shown(nodes, wanted=lambda number: True):
    return [(node.name, number) for node in nodes for number in node.seen() if wanted(number)]


def last(nodes, address):
    """--last N: the last N flows of each server."""
    for count in (1, 10, 100):
        got = Observe(address, "--last", str(count)).finished()
        want = [(node.name, number) for node in nodes for number in node.seen()[-count:]]
        same(got, want, f"--last {count}")
    same(Observe(address, "--first", "7").finished(),
         [(node.name, number) for node in nodes for number in node.seen()[:7]], "--first 7")


def filters(nodes, address):
    """Filters work at each server: pods, verdicts, their contrary, addresses, names of nodes."""
    for arguments, wanted in (
            (["--from-pod", "shop/orders-1"], lambda number: number % 4 == 1),
            (["--verdict", "DROPPED"], lambda number: number % 5 == 0),
            (["--not", "--verdict", "DROPPED"], lambda number: number % 5 != 0),
            (["--to-ip", "10.0.2.2", "--from-ip", "10.0.1.0"], lambda n: n % 3 == 2 and n % 4 == 0),
            (["--from-namespace", "nobody"], lambda number: False)):
        same(Observe(address, "--all", *arguments).finished(), shown(nodes, wanted), " ".join(arguments))
    got = Observe(address, "--all", "--node-name", nodes[-1].name).finished()
    same(got, shown(nodes[-1:]), "--node-name")


def follow(nodes, address):
    """--follow: each new flow arrives while the client runs. Its end ends the calls at the servers."""
    client = Observe(address, "--follow", "--last", "5")
    want = [(node.name, number) for node in nodes for number in node.seen()[-5:]]
    client.program.wait(lambda: len(client.flows()) >= len(want), "the last flows of each")
    for number in range(30):
        node = nodes[number % len(nodes)]
        node.write(1, size=number * 100)
        want.append((node.name, node.written - 2))
        client.program.wait(lambda: len(client.flows()) >= len(want), f"the flow {want[-1]}")
    same(client.flows(), want, "--follow")
    client.stop()
    for node in nodes:
        node.wait_calls(0)


def burst(nodes, address):
    """--follow while each server makes 5000 flows at once: all arrive, in order."""
    client = Observe(address, "--follow", "--last", "1")
    want = [(node.name, node.seen()[-1]) for node in nodes]
    client.program.wait(lambda: len(client.program.out) >= len(want), "the last flow of each")
    for node in nodes:
        want += [(node.name, node.written - 1 + number) for number in range(5000)]
        node.write(5000)
    client.program.wait(lambda: len(client.program.out) >= len(want), f"{len(want)} flows")
    same(client.flows(), want, "--follow")
    client.stop()


def unary(nodes, address):
    """The unary methods of the service, and the health service beside it."""
    hubble = HUBBLE / "bin" / "hubble"
    status = output([hubble, "status", "--server", address])
    listed = output([hubble, "list", "nodes", "--server", address])
    if "Ok" not in status or f"Max Flows: {nodes[0].written}/" not in status.replace("Current/", ""):
        raise AssertionError(f"hubble status: {status}")
    if not any(node.name in listed for node in nodes):
        raise AssertionError(f"hubble list nodes: {listed}")


def output(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        raise AssertionError(f"{command[1:]}: exit {done.returncode}: {done.stderr[-300:]}")
    return done.stdout


class Nodes:
    """Some Hubble servers that have made some flows."""

    def __init__(self, *names):
        self.nodes = [Node(name) for name in names]

    def __enter__(self):
        for node in self.nodes:
            node.start()
            node.write(KEPT)
        for node in self.nodes:
            wait_written(node)
        return self.nodes

    def __exit__(self, *_):
        for node in self.nodes:
            node.kill()


def wait_written(node):
    """Waits until a server has all its flows in its ring."""
    eventually(lambda: len(Observe(node.address, "--all").finished()) == len(node.seen()),
               lambda: f"{node.name} has not {node.written} flows")


def eventually(question, wrong):
    """Asks until the answer is true. `wrong` says what to report when it never is."""
    until = time.monotonic() + PATIENCE
    while not question():
        if time.monotonic() > until:
            raise AssertionError(wrong())
        time.sleep(0.02)
