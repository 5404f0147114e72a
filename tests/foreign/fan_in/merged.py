"""`hubble` at the fan-in listener, with three Hubble servers behind it (case X2)."""
import contextlib
import os
import random
import signal

from fan_in import hubble
from fan_in.hubble import Node, Nodes, Observe, same
from fan_in.stand import Stand

GET_FLOWS = "/observer.Observer/GetFlows"
# The methods with one answer are answered by whichever server is the first.
METHODS = [GET_FLOWS, "/observer.Observer/*,answer=first-ok", "/grpc.health.v1.Health/*,answer=first-ok"]
NAMES = ["node-a", "node-b", "node-c"]


@contextlib.contextmanager
def three():
    """(stand, nodes): three servers, each an endpoint of the daemon."""
    with Nodes(*NAMES) as nodes, Stand() as stand:
        for node in nodes:
            stand.serve(node.name, node.address, *METHODS)
        yield stand, nodes


def merged(test):
    with three() as (stand, nodes):
        test(nodes, stand.address)


def following(stand, nodes):
    """A client that follows, and what it has to print so far."""
    client = Observe(stand.address, "--follow", "--last", "3")
    want = [(node.name, number) for node in nodes for number in node.seen()[-3:]]
    client.program.wait(lambda: len(client.program.out) >= len(want), "the last flows of each")
    return client, want


def write(nodes, client, want, count=1):
    """Each server makes flows, one by one. They arrive."""
    for number in range(count):
        for node in nodes:
            node.write(1)
            want.append((node.name, node.written - 2))
        client.program.wait(lambda: len(client.program.out) >= len(want), f"{len(want)} flows")


def down_before():
    """One server is down: the flows of the others, and then the failure, with its server's code."""
    with three() as (stand, nodes):
        nodes[1].kill()
        client = Observe(stand.address, "--last", "10")
        code = client.program.finish()
        same(client.flows(), [(node.name, number) for node in (nodes[0], nodes[2])
                              for number in node.seen()[-10:]], "--last 10")
        errors = " ".join(client.program.err)
        if code == 0 or "Unavailable" not in errors:
            raise AssertionError(f"hubble observe: exit {code}: {errors}")


def down_meanwhile():
    """One server is killed while a client follows: the others' flows go on. It comes back, and its endpoint
    is added anew: it joins."""
    with three() as (stand, nodes):
        client, want = following(stand, nodes)
        write(nodes, client, want, 5)
        nodes[1].kill()
        write([nodes[0], nodes[2]], client, want, 20)
        same(client.flows(), want, "--follow")
        nodes[1].start()
        stand.remove("node-b")
        stand.serve("node-b", nodes[1].address, *METHODS)
        want += [("node-b", number) for number in nodes[1].seen()[-3:]]
        client.program.wait(lambda: len(client.program.out) >= len(want), "the flows of the new server")
        write(nodes, client, want, 5)
        same(client.flows(), want, "--follow")
        client.stop()


def comes_back():
    """GetFlows is partial-ok, and servers join again. One is killed while a client follows, and comes
    back: its flows arrive again. While it is down, a client that does not follow ends with OK."""
    with Nodes(*NAMES) as nodes, Stand() as stand:
        for node in nodes:
            stand.serve(node.name, node.address, GET_FLOWS + ",end=partial-ok,rejoin=yes", *METHODS[1:])
        client, want = following(stand, nodes)
        write(nodes, client, want, 5)
        nodes[1].kill()
        write([nodes[0], nodes[2]], client, want, 20)
        same(client.flows(), want, "--follow")
        others = [(node.name, number) for node in (nodes[0], nodes[2]) for number in node.seen()[-10:]]
        same(Observe(stand.address, "--last", "10").finished(), others, "--last 10")
        nodes[1].start()
        want += [("node-b", number) for number in nodes[1].seen()[-3:]]
        client.program.wait(lambda: len(client.program.out) >= len(want), "the flows of the server")
        write(nodes, client, want, 5)
        same(client.flows(), want, "--follow")
        client.stop()
        for node in nodes:
            node.wait_calls(0)


def slow():
    """One server is frozen: the others' flows go on. When it goes on, nothing of it is missing."""
    with three() as (stand, nodes):
        client, want = following(stand, nodes)
        nodes[1].program.process.send_signal(signal.SIGSTOP)
        nodes[1].write(500)
        write([nodes[0], nodes[2]], client, want, 20)
        nodes[1].program.process.send_signal(signal.SIGCONT)
        want += [("node-b", nodes[1].written - 2 - back) for back in reversed(range(500))]
        client.program.wait(lambda: len(client.program.out) >= len(want), "the flows of the slow one")
        same(client.flows(), want, "--follow")
        client.stop()


def slow_client():
    """A client that is frozen for a while, and three servers with 5000 flows each: nothing is lost."""
    with three() as (stand, nodes):
        client, want = following(stand, nodes)
        client.program.process.send_signal(signal.SIGSTOP)
        for node in nodes:
            want += [(node.name, node.written - 1 + number) for number in range(5000)]
            node.write(5000, size=500)
        hubble.eventually(lambda: sum(each.queued.events for each in stand.daemon.subscriptions()) > 0,
                          lambda: "nothing waits for the client")
        client.program.process.send_signal(signal.SIGCONT)
        client.program.wait(lambda: len(client.program.out) >= len(want), f"{len(want)} flows")
        same(client.flows(), want, "--follow")
        client.stop()


def joins_and_leaves():
    """A server that is added while a client follows joins its call; one that is removed leaves it."""
    with three() as (stand, nodes):
        client, want = following(stand, nodes)
        late = Node("node-d")
        try:
            late.start()
            stand.serve(late.name, late.address, *METHODS)
            want += [(late.name, number) for number in late.seen()[-3:]]
            client.program.wait(lambda: len(client.program.out) >= len(want), "the flows of the late one")
            write([*nodes, late], client, want, 5)
            stand.remove("node-a")
            nodes[0].wait_calls(0)
            nodes[0].write(5)
            write([*nodes[1:], late], client, want, 5)
            same(client.flows(), want, "--follow")
            client.stop()
            for node in [*nodes[1:], late]:
                node.wait_calls(0)
        finally:
            late.kill()


def at_a_rate():
    """Three servers that make 500 flows a second each, and three clients that follow: each has all flows of
    each server from the first that it has on, in order."""
    nodes = [Node(name, 500) for name in NAMES]
    try:
        with Stand() as stand:
            for node in nodes:
                node.start()
                stand.serve(node.name, node.address, *METHODS)
            clients = [Observe(stand.address, "--follow") for _ in range(3)]
            for client in clients:
                client.program.wait(lambda: len(client.program.out) >= 6000, "6000 flows")
                client.stop()
                client.program.finish()
                for name in NAMES:
                    numbers = [number for node, number in client.flows() if node == name]
                    if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or len(numbers) < 1000:
                        raise AssertionError(f"{name}: {len(numbers)} flows, with gaps")
    finally:
        for node in nodes:
            node.kill()


def killed_client():
    """A client that is killed: the calls at the servers end."""
    with three() as (stand, nodes):
        client, _ = following(stand, nodes)
        os.kill(client.program.process.pid, signal.SIGKILL)
        for node in nodes:
            node.wait_calls(0)


def churn():
    """Clients begin and are killed or interrupted, servers are killed and started, endpoints are added anew,
    40 rounds: then no call, no subscription and no descriptor is left."""
    chance = random.Random(1)
    with three() as (stand, nodes):
        Observe(stand.address, "--last", "1").finished()
        before, descriptors = idle_counters(stand), stand.descriptors()
        for _ in range(40):
            kinds = (["--follow"], ["--all"], ["--follow", "--all"])
            clients = [Observe(stand.address, *chance.choice(kinds)) for _ in range(3)]
            node = chance.choice(nodes)
            node.write(200, size=chance.choice((0, 2000)))
            clients[0].program.wait(lambda: clients[0].program.out, "a flow")
            node.kill()
            stand.remove(node.name)
            node.start()
            node.write(20)
            stand.serve(node.name, node.address, *METHODS)
            for client in clients:
                client.program.end(chance.choice((signal.SIGKILL, signal.SIGINT, signal.SIGTERM)))
        for node in nodes:
            node.wait_calls(0)
        hubble.eventually(lambda: idle_counters(stand) == before,
                          lambda: f"{idle_counters(stand)}, not {before}")
        hubble.eventually(lambda: stand.descriptors() <= descriptors,
                          lambda: f"{stand.descriptors()} descriptors, not {descriptors}")


def idle_counters(stand):
    """What lives in the daemon, but for memory and what a moment has."""
    return {name: value for name, value in stand.daemon.live().items() if "bytes" not in name}


TESTS = (down_before, down_meanwhile, comes_back, slow, slow_client, joins_and_leaves, at_a_rate,
         killed_client, churn)
