"""service.py - serves the health service of grpcio-health-checking as it is.

The argument is the port; 0: any. The first line of the output is the port, each later one the count of the
streaming calls that are open. Each line of the input is the new status of the service "orders"."""
import concurrent.futures
import functools
import sys
import threading

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


class OpenCalls(grpc.ServerInterceptor):
    def __init__(self):
        self._lock = threading.Lock()
        self._count = 0

    def _add(self, change):
        with self._lock:
            self._count += change
            print(self._count, flush=True)

    def intercept_service(self, continuation, details):
        handler = continuation(details)
        if handler is None or not handler.response_streaming:
            return handler
        method = handler.unary_stream

        @functools.wraps(method)  # its attributes, too: they say whether it blocks a thread
        def counted(request, context, *more):
            self._add(1)
            context.add_callback(lambda: self._add(-1))
            return method(request, context, *more)

        return handler._replace(unary_stream=counted)


def main():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(20), interceptors=[OpenCalls()])
    service = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(service, server)
    port = server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    server.start()
    print(port, flush=True)
    for line in sys.stdin:
        service.set("orders", health_pb2.HealthCheckResponse.ServingStatus.Value(line.strip()))


main()
