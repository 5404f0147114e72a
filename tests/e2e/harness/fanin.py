"""What the tests of transparent fan-in have in common: clients of --fan-in that know no message type."""
import queue
import threading

import grpc

from .daemon import PATIENCE, eventually
from .endpoints import WithUpstreams

METHOD = "/demo.Feed/Watch"
END = object()


class FanInCall:
    """A call of any method: `messages` are what has come, in order; `ended` is set at its end."""

    def __init__(self, channel, method=METHOD, metadata=(), timeout=None):
        self._requests = queue.Queue()
        self._changed = threading.Condition()
        self.messages, self.ended = [], threading.Event()
        self.held = threading.Event()
        self.held.set()
        self._call = channel.stream_stream(method)(
            iter(self._requests.get, END), metadata=tuple(metadata), timeout=timeout
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            for message in self._call:
                with self._changed:
                    self.messages.append(message)
                    self._changed.notify_all()
                self.held.wait()
        except grpc.RpcError:
            pass
        self.code, self.details = self._call.code(), self._call.details()
        self.trailers = self._call.trailing_metadata() or ()
        self.ended.set()
        with self._changed:
            self._changed.notify_all()

    def send(self, *messages):
        for message in messages:
            self._requests.put(message)
        return self

    def half_close(self):
        self._requests.put(END)
        return self

    def wait(self, count, patience=PATIENCE):
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.messages) >= count, patience):
                raise AssertionError(f"{self.messages} within {patience:g} s, and not {count} of them")
        return self.messages

    def wait_end(self, patience=PATIENCE):
        if not self.ended.wait(patience):
            raise AssertionError(f"the call has not ended within {patience:g} s; it has {self.messages[-3:]}")
        return self.code

    def of(self, key):
        return [value for name, value in self.trailers if name == key]

    def cancel(self):
        self.held.set()
        self._call.cancel()
        self._requests.put(END)


class WithFanIn(WithUpstreams):
    arguments = ("--fan-in", "127.0.0.1:0")

    def setUp(self):
        super().setUp()
        self.fan_in = self.channel(self.daemon.addresses[-1])

    def serving(self, name, serve=(METHOD,), method="", **fields):
        """An endpoint with an upstream of its own."""
        upstream = self.upstream()
        self.add(name, upstream.address, method=method, serve=list(serve), **fields)
        return upstream

    def call(self, request=b"request", method=METHOD, metadata=(), timeout=None, half_close=True):
        call = FanInCall(self.fan_in, method, metadata, timeout)
        self.addCleanup(call.cancel)
        if request is not None:
            call.send(request)
        if half_close:
            call.half_close()
        return call

    def subscription(self):
        """The one that the call is."""
        return eventually(lambda: (self.daemon.subscriptions() or [None])[0], "the call is a subscription")
