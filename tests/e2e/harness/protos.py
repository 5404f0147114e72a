"""The project's .proto files as Python messages and stubs.

protoc makes one descriptor set of them, and messages and stubs are made from it at run time. So no
generated files exist, and the `package grpc` of the health and reflection protos does not hide the
`grpc` module.

    v1 = Package("tributary.v1")
    v1.Event(topic="a"), v1.OVERFLOW_BLOCK, v1.stub("Publisher", channel).Publish(...)
"""
import pathlib
import tempfile

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROTO = ROOT / "proto"
WELL_KNOWN = pathlib.Path(protoc.__file__).parent / "_proto"


def compile_set(proto_root=PROTO):
    """The serialized FileDescriptorSet of every .proto file below `proto_root`."""
    files = sorted(str(path) for path in proto_root.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "set"
        arguments = [
            "protoc",
            f"-I{proto_root}",
            f"-I{WELL_KNOWN}",
            "--include_imports",
            f"--descriptor_set_out={out}",
        ]
        if protoc.main(arguments + files) != 0:
            raise RuntimeError("protoc refuses the project's .proto files")
        return out.read_bytes()


def _load():
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(compile_set()).file:
        pool.Add(file)
    return pool


POOL = _load()
_FACTORY = message_factory.MessageFactory(POOL)


def message_class(full_name):
    return _FACTORY.GetPrototype(POOL.FindMessageTypeByName(full_name))


class Stub:
    """One callable per method. With `raw` requests and responses are serialized bytes."""

    def __init__(self, channel, service, raw=False):
        for method in POOL.FindServiceByName(service).methods:
            shape = (
                ("stream" if method.client_streaming else "unary")
                + "_"
                + ("stream" if method.server_streaming else "unary")
            )
            request, response = _FACTORY.GetPrototype(method.input_type), _FACTORY.GetPrototype(
                method.output_type
            )
            call = getattr(channel, shape)(f"/{service}/{method.name}",
                                           request_serializer=None if raw else request.SerializeToString,
                                           response_deserializer=None if raw else response.FromString)
            setattr(self, method.name, call)


class Package:
    """The messages and enum values of one proto package, by their short names."""

    def __init__(self, name):
        self._name = name
        self._values = {}
        for service_or_not in sorted(PROTO.rglob("*.proto")):
            file = POOL.FindFileByName(str(service_or_not.relative_to(PROTO)))
            if file.package == name:
                for enum in file.enum_types_by_name.values():
                    self._values.update((value.name, value.number) for value in enum.values)

    def __getattr__(self, name):
        if name in self._values:
            return self._values[name]
        try:
            return message_class(f"{self._name}.{name}")
        except KeyError:
            raise AttributeError(f"{self._name} has no message and no enum value {name}") from None

    def enum_name(self, enum, number):
        return POOL.FindEnumTypeByName(f"{self._name}.{enum}").values_by_number[number].name

    def stub(self, service, channel, raw=False):
        return Stub(channel, f"{self._name}.{service}", raw)


v1 = Package("tributary.v1")
health = Package("grpc.health.v1")
rpc = Package("google.rpc")


def duration(seconds):
    """A google.protobuf.Duration."""
    whole = int(seconds)
    return message_class("google.protobuf.Duration")(seconds=whole, nanos=round((seconds - whole) * 1e9))


class Fault:
    """A failed call: its code, its message, and the google.rpc.Status in its trailers."""

    def __init__(self, error):
        self.code, self.message = error.code(), error.details()
        trailers = dict(error.trailing_metadata() or ())
        self.details_bytes = trailers.get("grpc-status-details-bin", b"")
        self.status = rpc.Status.FromString(self.details_bytes)
        self.reason = self.domain = ""
        self.fields, self.parts = [], {}
        for any_message in self.status.details:
            name = any_message.type_url.rpartition("/")[2]
            part = self.parts[name] = message_class(name).FromString(any_message.value)
            if name == "google.rpc.ErrorInfo":
                self.reason, self.domain = part.reason, part.domain
            if name == "google.rpc.BadRequest":
                self.fields += [violation.field for violation in part.field_violations]

    def __str__(self):
        return f"{self.code.name} {self.reason or '(no reason)'} {self.fields}: {self.message}"


def fault_of(call):
    """Runs `call`, which must fail, and returns its Fault."""
    try:
        answer = call()
    except grpc.RpcError as error:
        return Fault(error)
    raise AssertionError(f"the call was answered, not refused: {answer!r}"[:500])
