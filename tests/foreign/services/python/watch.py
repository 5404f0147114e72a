"""watch.py - the client of grpcio-health-checking as it is: prints each status that Watch sends of "orders".

The argument is the address."""
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

stub = health_pb2_grpc.HealthStub(grpc.insecure_channel(sys.argv[1]))
for answer in stub.Watch(health_pb2.HealthCheckRequest(service="orders")):
    print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status), flush=True)
