#!/usr/bin/python3
"""Server reflection, v1 and v1alpha: a client without .proto files learns everything it needs."""
import queue

import grpc
from google.protobuf import descriptor_pb2

from harness.case import Case, main
from harness.daemon import PATIENCE
from harness.protos import POOL, PROTO, Package
from harness.reflection import pool_of

SERVICES = {
    "tributary.v1.Publisher",
    "tributary.v1.Subscriber",
    "tributary.v1.Admin",
    "tributary.v1.Batch",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}


class Reflection(Case):
    versions = [Package("grpc.reflection.v1"), Package("grpc.reflection.v1alpha")]

    def answers(self, package, *requests):
        """Sends the requests one after the other on one stream. Returns the answers."""
        outbox, answers = queue.SimpleQueue(), []
        stub = package.stub("ServerReflection", self.channel())
        call = stub.ServerReflectionInfo(iter(outbox.get, None), timeout=PATIENCE)
        for fields in requests:
            request = package.ServerReflectionRequest(**fields)
            outbox.put(request)
            answer = next(call)
            self.assertEqual(answer.original_request, request)
            answers.append(answer)
        outbox.put(None)
        self.assertEqual(list(call), [], "after the half-close the stream ends with OK")
        return answers

    def test_list_services(self):
        for package in self.versions:
            answer, = self.answers(package, {"list_services": ""})
            self.assertEqual({service.name for service in answer.list_services_response.service}, SERVICES)

    def test_a_generic_client_can_build_every_service_from_the_answers(self):
        for package in self.versions:
            for service in sorted(SERVICES):
                answer, = self.answers(package, {"file_containing_symbol": service})
                self.assertFalse(answer.HasField("error_response"), answer)
                pool = pool_of(answer)
                found, ours = pool.FindServiceByName(service), POOL.FindServiceByName(service)
                self.assertEqual(
                    [method.name for method in found.methods], [method.name for method in ours.methods]
                )

    def test_symbols_of_every_kind_are_found(self):
        symbols = ["tributary.v1.Event", "tributary.v1.Publisher.Publish", "tributary.v1.Overflow",
                   "tributary.v1.Selector.Pair", "google.protobuf.Duration", "google.rpc.ErrorInfo"]
        for package in self.versions:
            for symbol, answer in zip(
                symbols, self.answers(package, *[{"file_containing_symbol": symbol} for symbol in symbols])
            ):
                self.assertFalse(answer.HasField("error_response"), f"{symbol}: {answer.error_response}")

    def test_a_file_is_found_by_its_name(self):
        for package in self.versions:
            answer, = self.answers(package, {"file_by_filename": "tributary/v1/event.proto"})
            first = descriptor_pb2.FileDescriptorProto.FromString(
                answer.file_descriptor_response.file_descriptor_proto[0]
            )
            self.assertEqual(first.name, "tributary/v1/event.proto")

    def test_K5_every_file_names_its_packages_for_other_languages(self):
        files = [str(path.relative_to(PROTO)) for path in sorted(PROTO.rglob("*.proto"))]
        self.assertGreaterEqual(len(files), 9)
        for name, answer in zip(
            files, self.answers(self.versions[0], *[{"file_by_filename": name} for name in files])
        ):
            file = descriptor_pb2.FileDescriptorProto.FromString(
                answer.file_descriptor_response.file_descriptor_proto[0]
            )
            for option in ("go_package", "java_package", "java_multiple_files", "csharp_namespace"):
                self.assertTrue(getattr(file.options, option), f"{name}: {option}")
            if file.package == "tributary.v1":
                self.assertEqual(file.options.go_package, "tributary/v1;tributaryv1")
                self.assertEqual(file.options.java_package, "tributary.v1")
                self.assertEqual(file.options.csharp_namespace, "Tributary.V1")

    def test_what_is_unknown_is_answered_and_the_stream_goes_on(self):
        not_found = grpc.StatusCode.NOT_FOUND.value[0]
        extension = {
            "file_containing_extension": {"containing_type": "tributary.v1.Event", "extension_number": 100}
        }
        for package in self.versions:
            answers = self.answers(
                package,
                {"file_containing_symbol": "no.such.Symbol"},
                {"file_by_filename": "no/such.proto"},
                extension,
                {"file_containing_symbol": "tributary.v1.Even"},
                {"file_containing_symbol": ""},
                {"list_services": "x"},
            )
            self.assertEqual([answer.error_response.error_code for answer in answers[:5]], [not_found] * 5)
            self.assertTrue(answers[5].list_services_response.service)

    def test_extension_numbers_of_a_type_without_extensions(self):
        for package in self.versions:
            known, unknown = self.answers(package, {"all_extension_numbers_of_type": "tributary.v1.Event"},
                                      {"all_extension_numbers_of_type": "no.such.Type"})
            self.assertEqual(known.all_extension_numbers_response.base_type_name, "tributary.v1.Event")
            self.assertEqual(list(known.all_extension_numbers_response.extension_number), [])
            self.assertEqual(unknown.error_response.error_code, grpc.StatusCode.NOT_FOUND.value[0])


if __name__ == "__main__":
    main()
