#!/usr/bin/env python3
"""test_field_numbers.py - what proto/field_numbers.py writes, and what it refuses.

Usage: test_field_numbers.py GENERATOR PROTOC"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

GENERATOR, PROTOC = sys.argv[1:3]


def run(descriptor_set):
    """(exit status, {constant: number}, what it reported) for the bytes of a descriptor set."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("set.desc", "field_numbers.h")]
        with open(paths[0], "wb") as file:
            file.write(descriptor_set)
        done = subprocess.run([sys.executable, GENERATOR, *paths], capture_output=True, text=True,
                              check=False)
        text = ""
        if os.path.exists(paths[1]):
            with open(paths[1], encoding="utf-8") as file:
                text = file.read()
        rows = re.findall(r"^    (\w+) = (\d+),$", text, re.M)
        constants = {name: int(number) for name, number in rows}
        assert len(rows) == len(constants), "no constant is written twice"
        return done.returncode, constants, done.stderr


def compiled(*protos):
    """The descriptor set of these files, (package, body) each."""
    with tempfile.TemporaryDirectory() as folder:
        names = [f"file{i}.proto" for i in range(len(protos))]
        for name, (package, body) in zip(names, protos):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(f'syntax = "proto3"; package {package}; {body}')
        out = os.path.join(folder, "set.desc")
        subprocess.run([PROTOC, "-I", folder, f"--descriptor_set_out={out}", *names], check=True, cwd=folder)
        with open(out, "rb") as file:
            return file.read()


def generated(*protos):
    return run(compiled(*protos))


class FieldNumbers(unittest.TestCase):
    def test_names_message_and_field(self):
        status, constants, _ = generated(
            ("tributary.v1", "message EventBatch { int32 time_unix_nano = 7; bool b = 536870911; }"))
        self.assertEqual(status, 0)
        self.assertEqual(constants, {"PB_EVENT_BATCH_TIME_UNIX_NANO": 7, "PB_EVENT_BATCH_B": 536870911})

    def test_covers_nested_messages_and_map_entries(self):
        status, constants, _ = generated(
            ("tributary.v1",
             "message A { message B { message D { int32 x = 3; } } map<string, int32> c = 2; }"))
        self.assertEqual(status, 0)
        self.assertEqual(constants,
                         {"PB_A_C": 2, "PB_A_B_D_X": 3, "PB_A_CENTRY_KEY": 1, "PB_A_CENTRY_VALUE": 2})

    def test_names_the_package_of_messages_of_others(self):
        _, constants, _ = generated(("google.rpc", "message Status { int32 code = 1; }"),
                                    ("grpc.health.v1", "message Check { int32 x = 2; }"))
        self.assertEqual(constants, {"PB_RPC_STATUS_CODE": 1, "PB_HEALTH_CHECK_X": 2})

    def test_writes_the_same_number_of_two_messages_once(self):
        status, constants, _ = generated(("grpc.reflection.v1", "message M { int32 x = 4; }"),
                                         ("grpc.reflection.v1alpha", "message M { int32 x = 4; }"))
        self.assertEqual(status, 0)
        self.assertEqual(constants, {"PB_REFLECTION_M_X": 4})

    def test_refuses_two_numbers_for_one_constant(self):
        for protos in (
                [("grpc.reflection.v1", "message M { int32 x = 4; }"),
                 ("grpc.reflection.v1alpha", "message M { int32 x = 5; }")],
                [("tributary.v1", "message A { int32 entry_key = 1; message Entry { int32 key = 2; } }")],
                [("tributary.v1",
                  "message Ab { message Cd { int32 e = 1; } } message AbCd { int32 e = 2; }")]):
            status, constants, report = generated(*protos)
            self.assertEqual((status, constants), (1, {}))
            self.assertRegex(report, r"PB_\w+ would be both \d and \d")

    def test_refuses_what_is_no_descriptor_set(self):
        whole = compiled(("tributary.v1", "message A { int32 x = 1; }"))
        for wrong in (b"\x0b", whole[:-1], whole + b"\x80", whole + b"\x09"):
            status, constants, report = run(wrong)
            self.assertEqual((status, constants), (1, {}))
            self.assertRegex(report, r"^field_numbers.py: ")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
