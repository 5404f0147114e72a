"""Daemons that are consumers of each other: innermost, middle, outermost."""
import os
import tempfile

from .client import Consumer, connect, publish, subscribe_request
from .daemon import Daemon, eventually
from .protos import duration, v1

SUBSCRIBE = "/tributary.v1.Subscriber/Subscribe"


def cascade(name, address, request=None, **fields):
    """An endpoint that subscribes to another tributary. `request` None: the server's own."""
    fields.setdefault("backoff", duration(0.02))
    fields.setdefault("max_backoff", duration(0.2))
    requests = [] if request is None else [request.SerializeToString()]
    return v1.Endpoint(name=name, address=address, method=SUBSCRIBE, requests=requests, **fields)


def add(daemon, endpoint):
    return daemon.admin().AddProducer(v1.AddProducerRequest(endpoint=endpoint))


def remove(daemon, name):
    request = v1.RemoveProducerRequest(name=name, mode=v1.RemoveProducerRequest.CANCEL)
    return daemon.admin().RemoveProducer(request)


class Node:
    """One daemon at a unix socket, where it comes back when it is started again."""

    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory(prefix="tributary-cascade-")
        self.address = "unix:" + os.path.join(self.folder.name, "s")
        self.arguments = arguments
        self.daemon = None
        self.start()

    def start(self):
        self.daemon = Daemon("--transient-forget", "2s", *self.arguments, listen=(self.address,))

    def terminate(self):
        self.daemon.close_channel()
        self.daemon.terminate()
        code = self.daemon.wait()
        self.daemon.kill()
        return code

    def kill(self):
        self.daemon.kill()

    def close(self):
        self.daemon.kill()
        self.folder.cleanup()


class Chain:
    """Three daemons: `a`, which publishers use; `b`, which relays `a` under "a"; and `c`, which
    relays `b` under "b". So a producer `x` of the first is `b/a/x` at the last."""

    def __init__(self, request_b=None, request_c=None, arguments=()):
        self.requests = {"b": request_b, "c": request_c}
        self.a, self.b, self.c = Node(*arguments), Node(*arguments), Node(*arguments)
        self.channels = []
        self.relay_at_b()
        self.relay_at_c()

    def relay_at_b(self):
        add(self.b.daemon, cascade("a", self.a.address, self.requests["b"]))

    def relay_at_c(self):
        add(self.c.daemon, cascade("b", self.b.address, self.requests["c"]))

    def channel(self, node):
        self.channels.append(connect(node.address))
        return self.channels[-1]

    def consumer(self, node=None, **options):
        return Consumer(self.channel(node or self.c), subscribe_request(**options))

    def publish(self, producer, events):
        return publish(self.a.daemon.channel, producer, events)

    def wait_relayed(self):
        """Until each server is a consumer of the one before."""
        for node in (self.a, self.b):
            eventually(lambda node=node: node.daemon.subscriptions(), "the next server subscribes")

    def close(self):
        for channel in self.channels:
            channel.close()
        for node in (self.c, self.b, self.a):
            node.close()
