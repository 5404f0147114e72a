"""Servers that the daemon dials: each method answers with what a test puts into its calls."""
import concurrent.futures
import queue
import threading
import time

import grpc

from .daemon import PATIENCE
from .protos import v1

END = object()


class UpstreamCall:
    """One call as the server sees it: its requests, its metadata (`pairs` has repeated keys, too), and
    what to answer."""

    def __init__(self, context):
        self.context = context
        self.pairs = tuple(context.invocation_metadata())
        self.metadata = dict(self.pairs)
        self.requests = []
        self.closed = False  # the peer has half-closed
        self.over = threading.Event()
        self.answers = queue.Queue()
        self.began = time.monotonic()
        if not context.add_callback(self._on_over):
            self._on_over()  # it is over already

    def _on_over(self):
        self.over_at = time.monotonic()
        self.over.set()
        self.answers.put(END)

    def send(self, *messages):
        for message in messages:
            self.answers.put(message)

    def end(self, code=None, text=""):
        self.answers.put((code, text) if code else END)

    def read(self, requests):
        try:
            for request in requests:
                self.requests.append(request)
            self.closed = True
        except Exception:  # the call is over
            pass


class Upstream(grpc.GenericRpcHandler):
    """A server at a port of its own. Any method is served, as a bidirectional one. `calls` has all calls
    so far. `refuse`: a code with which every call ends at once. `streams`: calls of a connection. `tls`:
    a server's credentials. `compression`: of all answers."""

    def __init__(self, address="127.0.0.1:0", threads=40, streams=1000, tls=None, compression=None):
        self.calls, self.refuse = [], None
        self._changed = threading.Condition()
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(threads),
            options=[("grpc.so_reuseport", 0), ("grpc.max_concurrent_streams", streams)],
            compression=compression,
        )
        self._server.add_generic_rpc_handlers((self,))
        if tls:
            self.port = self._server.add_secure_port(address, tls)
        else:
            self.port = self._server.add_insecure_port(address)
        self.address = address if address.startswith("unix:") else f"127.0.0.1:{self.port}"
        self._server.start()

    def service(self, details):
        def serve(requests, context):
            call = UpstreamCall(context)
            call.method = details.method
            with self._changed:
                self.calls.append(call)
                self._changed.notify_all()
            if self.refuse:
                context.abort(*self.refuse)
            threading.Thread(target=call.read, args=(requests,), daemon=True).start()
            while True:
                answer = call.answers.get()
                if answer is END:
                    return
                if isinstance(answer, tuple):
                    context.abort(*answer)
                yield answer

        return grpc.stream_stream_rpc_method_handler(serve)

    def wait_calls(self, count, patience=PATIENCE):
        """Waits until so many calls have come; returns the last one."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.calls) >= count, patience):
                raise AssertionError(f"{len(self.calls)} of {count} calls came within {patience:g} s")
        return self.calls[count - 1]

    def stop(self):
        self._server.stop(0).wait()


def endpoint(name, address, method="/demo.Feed/Watch", **fields):
    return v1.Endpoint(name=name, address=address, method=method, **fields)
