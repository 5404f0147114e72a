"""HTTP/2 by hand, for peers that behave as no gRPC library does.

A Connection reads frames in a thread of its own, answers PING and SETTINGS, and replenishes the
window of the connection. The window of a stream belongs to the test: with `window=0` the server
cannot send any body until grant(). Header blocks are written as HPACK literals and read with
libnghttp2's inflater.
"""
import ctypes
import select
import socket
import struct
import threading
import time
import urllib.parse

from .daemon import PATIENCE
from .h2frames import (
    ACK,
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    literal,
    message,
)


FRAME_BYTES = 16384  # of a payload: what every server takes


def block_frames(stream, block, flags=0):
    """A header block: HEADERS, and as many CONTINUATIONs as it needs."""
    parts = [block[at : at + FRAME_BYTES] for at in range(0, len(block), FRAME_BYTES)] or [b""]
    kinds = [HEADERS] + [CONTINUATION] * (len(parts) - 1)
    ends = [0] * (len(parts) - 1) + [END_HEADERS]
    return b"".join(
        frame(kind, end | (flags if kind == HEADERS else 0), stream, part)
        for kind, end, part in zip(kinds, ends, parts)
    )


class _Name(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("value", ctypes.c_void_p),
        ("namelen", ctypes.c_size_t),
        ("valuelen", ctypes.c_size_t),
        ("flags", ctypes.c_uint8),
    ]


class Inflater:
    """Reads HPACK with libnghttp2."""

    def __init__(self):
        self._lib = ctypes.CDLL("libnghttp2.so.14")
        self._lib.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
        self._handle = ctypes.c_void_p()
        if self._lib.nghttp2_hd_inflate_new(ctypes.byref(self._handle)) != 0:
            raise MemoryError("nghttp2_hd_inflate_new")

    def headers(self, block):
        found, at = [], 0
        while True:
            name, flags = _Name(), ctypes.c_int(0)
            rest = block[at:]
            used = self._lib.nghttp2_hd_inflate_hd2(
                self._handle, ctypes.byref(name), ctypes.byref(flags), rest, ctypes.c_size_t(len(rest)), 1
            )
            if used < 0:
                raise AssertionError(f"the server's header block cannot be read: {used}")
            at += used
            if flags.value & 2:
                found.append(
                    (
                        ctypes.string_at(name.name, name.namelen).decode(),
                        ctypes.string_at(name.value, name.valuelen),
                    )
                )
            if flags.value & 1:
                self._lib.nghttp2_hd_inflate_end_headers(self._handle)
                return found
            if used == 0 and not flags.value & 2:
                return found

    def close(self):
        if self._handle:
            self._lib.nghttp2_hd_inflate_del(self._handle)
        self._handle = ctypes.c_void_p()


class Stream:
    def __init__(self, connection, number):
        self.connection, self.number = connection, number
        self.headers, self.trailers = {}, {}
        self.messages = []  # complete ones that have arrived
        self.compressed = []  # the flag of each
        self._body = bytearray()
        self.ended = False
        self.reset = None

    def send(self, payload, end=False):
        """DATA: one frame, if it is no larger than a frame may be."""
        parts = [payload[at : at + FRAME_BYTES] for at in range(0, len(payload), FRAME_BYTES)] or [b""]
        for part in parts[:-1]:
            self.connection.send(frame(DATA, 0, self.number, part))
        self.connection.send(frame(DATA, END_STREAM if end else 0, self.number, parts[-1]))

    def abort(self, error=CANCEL):
        self.connection.send(frame(RST_STREAM, 0, self.number, struct.pack(">I", error)))

    def grant(self, size):
        """Lets the server send `size` more bytes."""
        self.connection.send(frame(WINDOW_UPDATE, 0, self.number, struct.pack(">I", size)))

    def arrived(self, payload):
        """A part of the answer's body has arrived."""
        self._body += payload
        while len(self._body) >= 5:
            flag, size = struct.unpack_from(">BI", self._body)
            if len(self._body) < 5 + size:
                break
            self.compressed.append(flag)
            self.messages.append(bytes(self._body[5:5 + size]))
            del self._body[:5 + size]

    def wait_end(self, patience=PATIENCE):
        self.connection.wait(
            lambda: self.ended or self.reset is not None, f"stream {self.number} ends", patience
        )

    @property
    def status(self):
        """grpc-status as a number. None: there is none."""
        value = self.trailers.get("grpc-status")
        return None if value is None else int(value)

    @property
    def status_message(self):
        """grpc-message, percent-decoded."""
        return urllib.parse.unquote_to_bytes(self.trailers.get("grpc-message", b"")).decode()


class Connection:
    def __init__(self, address, window=65535, replenish=True, preface=PREFACE, read=True, source=None):
        """`source`: the client's own address, such as 127.0.0.2; None: any."""
        self.socket = self._connect(address, source)
        self.window, self.replenish = window, replenish
        self.streams, self._next = {}, 1
        self.closed = self._closing = False
        self.goaway = None
        self.settings_acked = False  # before that, the server refuses frames above 16 KiB
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._inflater, self._block = Inflater(), b""
        if preface:
            self.send(
                preface
                + frame(
                    SETTINGS, 0, 0, struct.pack(">HIHI", INITIAL_WINDOW_SIZE, window, MAX_FRAME_SIZE, 1 << 20)
                )
            )
        # Without a preface nothing is sent: the test writes everything itself.
        self._reader = threading.Thread(target=self._read, daemon=True)
        if read:
            self.read()

    def read(self):
        """Reads from now on. Only where it was made with `read=False`."""
        self._reader.start()

    @staticmethod
    def _connect(address, source):
        if address.startswith("unix:"):
            made = socket.socket(socket.AF_UNIX)
            made.connect(address[len("unix:"):])
            return made
        host, _, port = address.rpartition(":")
        made = socket.create_connection(
            (host.strip("[]"), int(port)), timeout=PATIENCE, source_address=(source, 0) if source else None
        )
        made.settimeout(None)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def send(self, data):
        with self._writing:
            self.socket.sendall(data)

    def request(self, path, headers=(), end=False, method="POST"):
        """Opens a stream with the headers of a gRPC request. `headers` are added, or replace those
        of the same name."""
        fields = {":method": method, ":scheme": "http", ":path": path, ":authority": "test", "te": "trailers",
                  "content-type": "application/grpc"}
        fields.update(dict(headers))
        with self._changed:
            number, self._next = self._next, self._next + 2
            stream = self.streams[number] = Stream(self, number)
        block = b"".join(literal(name, value) for name, value in fields.items() if value is not None)
        self.send(block_frames(number, block, END_STREAM if end else 0))
        return stream

    def call(self, path, payload, headers=()):
        """A whole request with one message."""
        stream = self.request(path, headers)
        stream.send(message(payload), end=True)
        return stream

    def wait(self, condition, what, patience=PATIENCE):
        until = time.monotonic() + patience
        with self._changed:
            while not condition():
                left = until - time.monotonic()
                if left <= 0 or self.closed:
                    raise AssertionError(
                        f"{'the connection closed before' if self.closed else 'did not happen in time'}: "
                        f"{what}"
                    )
                self._changed.wait(left)

    def _receive(self, size):
        data = b""
        while len(data) < size:
            # Does not block in recv() for ever: a socket that a thread waits on cannot be closed
            # with a reset.
            while not select.select([self.socket], [], [], 0.05)[0]:
                if self._closing:
                    raise ConnectionError("closed by the test")
            part = self.socket.recv(size - len(data))
            if not part:
                raise ConnectionError("closed by the server")
            data += part
        return data

    def _read(self):
        try:
            while True:
                head = self._receive(9)
                size, (kind, flags, number) = int.from_bytes(head[:3], "big"), struct.unpack(">BBI", head[3:])
                payload = self._receive(size)
                with self._changed:
                    self._frame(kind, flags, number & 0x7FFFFFFF, payload)
                    self._changed.notify_all()
        except (OSError, ConnectionError, ValueError):
            with self._changed:
                self.closed = True
                self._changed.notify_all()

    def _frame(self, kind, flags, number, payload):
        stream = self.streams.get(number)
        if kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK))
        elif kind == SETTINGS:
            self.settings_acked = True
        elif kind == GOAWAY:
            self.goaway = payload
        elif kind in (HEADERS, CONTINUATION) and stream:
            self._header_block(stream, flags, payload)
        elif kind == DATA and stream:
            stream.arrived(payload)
            if payload:
                self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(payload))))
                if self.replenish and not flags & END_STREAM:
                    self.send(frame(WINDOW_UPDATE, 0, number, struct.pack(">I", len(payload))))
        elif kind == RST_STREAM and stream:
            stream.reset = struct.unpack(">I", payload)[0]
        if stream and kind in (DATA, HEADERS) and flags & END_STREAM:
            stream.ended = True

    def _header_block(self, stream, flags, payload):
        self._block += payload
        if not flags & END_HEADERS:
            return
        fields = dict(self._inflater.headers(self._block))
        self._block = b""
        (stream.trailers if stream.headers or "grpc-status" in fields else stream.headers).update(fields)

    def close(self, abort=False):
        """With `abort` the peer sees a reset."""
        self._closing = True
        if self._reader.is_alive() and self._reader is not threading.current_thread():
            self._reader.join(PATIENCE)
        if abort:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self._inflater.close()
