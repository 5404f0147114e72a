#!/usr/bin/env python3
"""Writes a C header with the field numbers of all messages in a serialized FileDescriptorSet.

Usage: field_numbers.py SET HEADER

Field `time_unix_nano` of message `tributary.v1.Event` becomes PB_EVENT_TIME_UNIX_NANO. A field of the
nested message `ConsumeRequest.Select` becomes PB_CONSUME_REQUEST_SELECT_... . Messages outside of
tributary.v1 carry the last part of their package too (PB_RPC_STATUS_CODE). The script reads the set
by itself, so the build needs no protobuf for Python.
"""
import re
import sys

# Of descriptor.proto: the numbers that a reader of descriptors must know before it has read any.
SET_FILE, FILE_PACKAGE, FILE_MESSAGE = 1, 2, 4
MESSAGE_NAME, MESSAGE_FIELD, MESSAGE_NESTED = 1, 2, 3
FIELD_NAME, FIELD_NUMBER = 1, 3


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at] if at < len(data) else sys.exit("field_numbers.py: the descriptor set ends too early")
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data):
    """Yields (number, value) of each field: a number, or the bytes of a string or message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at:at + size], at + size
        else:
            sys.exit(f"field_numbers.py: wire type {kind} is not one of a descriptor set")
        if at > len(data):
            sys.exit("field_numbers.py: the descriptor set ends too early")
        yield tag >> 3, value


def first(data, number, default=b""):
    return next((value for found, value in fields(data) if found == number), default)


def all_of(data, number):
    return [value for found, value in fields(data) if found == number]


def upper(name):
    """EventBatch, time_unix_nano -> EVENT_BATCH, TIME_UNIX_NANO"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def messages(message, prefix):
    """Yields (full name, prefix of constants, descriptor) of a message and of those nested in it."""
    name = first(message, MESSAGE_NAME).decode()
    here = prefix + [name]
    yield ".".join(here), message
    for nested in all_of(message, MESSAGE_NESTED):
        yield from messages(nested, here)


def constants(descriptor_set):
    """Yields (message, [(constant, number), ...]) in the order of the files."""
    for file in all_of(descriptor_set, SET_FILE):
        package = first(file, FILE_PACKAGE).decode()
        parts = [part for part in package.split(".") if not re.fullmatch(r"v\d+\w*", part)]
        qualifier = "" if package == "tributary.v1" else parts[-1].upper() + "_"
        for top in all_of(file, FILE_MESSAGE):
            for name, message in messages(top, []):
                start = "PB_" + qualifier + "_".join(upper(part) for part in name.split("."))
                rows = [(f"{start}_{upper(first(field, FIELD_NAME).decode())}", first(field, FIELD_NUMBER, 0))
                        for field in all_of(message, MESSAGE_FIELD)]
                if rows:
                    yield f"{package}.{name}", rows


def header(descriptor_set):
    """One enum for all: a compiler warns where constants of two enums are compared."""
    lines = ["/* field_numbers.h - generated from the .proto files by proto/field_numbers.py. */",
             "#ifndef TRIBUTARY_PROTO_FIELD_NUMBERS_H", "#define TRIBUTARY_PROTO_FIELD_NUMBERS_H", "",
             "enum {"]
    seen = {}
    for message, rows in constants(descriptor_set):
        new = [row for row in rows if row[0] not in seen]
        for constant, number in rows:
            if seen.setdefault(constant, number) != number:
                sys.exit(f"field_numbers.py: {constant} would be both {seen[constant]} and {number}")
        if new:
            lines += [f"    /* {message} */"]
            lines += [f"    {constant} = {number}," for constant, number in new]
    return "\n".join(lines + ["};", "", "#endif", ""])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as file:
        text = header(file.read())
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(text)


main()
