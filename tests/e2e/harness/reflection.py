"""Server reflection: a client of it, upstreams that have it, and sets of .proto files for both."""
import queue
import threading

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool

from .daemon import PATIENCE
from .protos import Package
from .upstreams import Upstream

V1, V1ALPHA = "grpc.reflection.v1", "grpc.reflection.v1alpha"
VERSIONS = {name: Package(name) for name in (V1, V1ALPHA)}
MESSAGE, OPTIONAL = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, 1


def path_of(version):
    return f"/{version}.ServerReflection/ServerReflectionInfo"


def file(name, package="demo", imports=(), services=(), messages=()):
    """A FileDescriptorProto: services with one method Watch, and messages with one field."""
    made = descriptor_pb2.FileDescriptorProto(
        name=name, package=package, dependency=list(imports), syntax="proto3"
    )
    for message in messages:
        made.message_type.add(name=message).field.add(name="text", number=1, label=OPTIONAL, type=9)
    for service in services:
        made.service.add(name=service).method.add(
            name="Watch", input_type=f".{package}.Ask", output_type=f".{package}.Tell", server_streaming=True
        )
    return made


def file_set(*files):
    return descriptor_pb2.FileDescriptorSet(file=files).SerializeToString()


TYPES = file("demo/types.proto", messages=["Ask", "Tell"])
FEED = file("demo/feed.proto", imports=["demo/types.proto"], services=["Feed"])


class Client:
    """A call of reflection. Each request() sends a request, and returns the answer to it."""

    def __init__(self, channel, version=V1, timeout=PATIENCE):
        self._package, self._outbox = VERSIONS[version], queue.SimpleQueue()
        stub = self._package.stub("ServerReflection", channel)
        self.call = stub.ServerReflectionInfo(iter(self._outbox.get, None), timeout=timeout)

    def send(self, **fields):
        request = self._package.ServerReflectionRequest(**fields)
        self._outbox.put(request)
        return request

    def request(self, **fields):
        request = self.send(**fields)
        answer = next(self.call)
        if answer.original_request != request:
            raise AssertionError(f"an answer to {answer.original_request}, not to {request}")
        return answer

    def services(self):
        answer = self.request(list_services="")
        return sorted(service.name for service in answer.list_services_response.service)

    def files(self, **fields):
        """The names of the files of the answer, in order."""
        answer = self.request(**fields)
        if answer.HasField("error_response"):
            raise AssertionError(f"{fields}: {answer.error_response}")
        return [descriptor_pb2.FileDescriptorProto.FromString(each).name
                for each in answer.file_descriptor_response.file_descriptor_proto]

    def error(self, **fields):
        error = self.request(**fields).error_response
        return error.error_code, error.error_message

    def close(self):
        """The half-close; the call ends with OK then."""
        self._outbox.put(None)
        return list(self.call)


def pool_of(answer):
    """A pool of the files in an answer, whatever their order is."""
    files = [descriptor_pb2.FileDescriptorProto.FromString(each)
             for each in answer.file_descriptor_response.file_descriptor_proto]
    pool, known = descriptor_pool.DescriptorPool(), set()
    while files:
        ready = [each for each in files if known.issuperset(each.dependency)]
        if not ready:
            raise AssertionError(f"files are missing: {[list(each.dependency) for each in files]}")
        for each in ready:
            pool.Add(each)
            known.add(each.name)
            files.remove(each)
    return pool


class Reflecting(Upstream):
    """An upstream with reflection of some files: each answer has the one file that was asked for, without
    its imports. `versions`: the services that it has. `answer` may be replaced: it gets the package and the
    request, and yields answers."""

    def __init__(self, *files, versions=(V1, V1ALPHA), **options):
        self.files, self.versions, self.asked = list(files), versions, []
        self.metadata, self.lock = [], threading.Lock()
        super().__init__(**options)

    def find(self, request):
        for each in self.files:
            names = [f"{each.package}.{of.name}" for of in (*each.service, *each.message_type)]
            if request.file_by_filename == each.name or request.file_containing_symbol in names:
                return each
        return None

    def answer(self, package, request):
        found = self.find(request)
        answer = package.ServerReflectionResponse(original_request=request)
        if found:
            answer.file_descriptor_response.file_descriptor_proto.append(found.SerializeToString())
        else:
            answer.error_response.error_code = 5
            answer.error_response.error_message = "not here"
        yield answer

    def service(self, details):
        for version in (V1, V1ALPHA):
            if details.method == path_of(version):
                return self.reflection(version) if version in self.versions else None
        return super().service(details)

    def reflection(self, version):
        package = VERSIONS[version]

        def serve(requests, context):
            with self.lock:
                self.metadata.append(dict(context.invocation_metadata()))
            for request in requests:
                with self.lock:
                    self.asked.append(request.file_containing_symbol or request.file_by_filename)
                yield from self.answer(package, request)

        return grpc.stream_stream_rpc_method_handler(
            serve,
            request_deserializer=package.ServerReflectionRequest.FromString,
            response_serializer=lambda answer: answer if isinstance(answer, bytes)
            else answer.SerializeToString(),
        )
