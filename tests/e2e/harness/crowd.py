"""Thousands of streams in one process, by hand: what they receive is counted and thrown away.

A Link is a connection with many streams. One thread reads all the links of a Crowd."""
import select
import socket
import struct
import threading
import time

from .daemon import PATIENCE
from .h2frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    literal,
    message,
)

WINDOW = (1 << 31) - 1
GRANT = 1 << 20
OPENING = (
    PREFACE
    + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, WINDOW))
    + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - 65535))
)


def header_block(path):
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "test",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    return b"".join(literal(*field) for field in fields.items())


class Link:
    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(OPENING)
        self._next, self._granted, self._buffer = 1, 0, bytearray()
        self.closed = False
        self.begun, self.ended = set(), set()  # streams that sent us a body, and that are over
        self.bytes = self.data_frames = 0

    def open(self, path, payload, end=False):
        """Returns the number of the stream."""
        number, self._next = self._next, self._next + 2
        self.socket.sendall(
            frame(HEADERS, END_HEADERS, number, header_block(path))
            + frame(DATA, END_STREAM if end else 0, number, message(payload))
        )
        return number

    def send(self, number, payload, end=False):
        self.socket.sendall(frame(DATA, END_STREAM if end else 0, number, message(payload)))

    def abort(self, number):
        self.socket.sendall(frame(RST_STREAM, 0, number, struct.pack(">I", 8)))

    def close(self):
        self.closed = True
        self.socket.close()

    def read(self):
        data = self.socket.recv(1 << 18)
        if not data:
            self.closed = True
        self._buffer += data
        at, answer = 0, b""
        while len(self._buffer) - at >= 9:
            size = int.from_bytes(self._buffer[at:at + 3], "big")
            if len(self._buffer) - at < 9 + size:
                break
            kind, flags, number = struct.unpack_from(">BBI", self._buffer, at + 3)
            if kind == DATA:
                self.data_frames += 1
                self.bytes += size
                self._granted += size
                self.begun.add(number)
            elif kind in (PING, SETTINGS) and not flags & ACK:
                payload = bytes(self._buffer[at + 9:at + 9 + size]) if kind == PING else b""
                answer += frame(kind, ACK, 0, payload)
            if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
                self.ended.add(number)
            at += 9 + size
        del self._buffer[:at]
        if self._granted >= GRANT:
            answer += frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._granted))
            self._granted = 0
        if answer:
            self.socket.sendall(answer)


class Crowd:
    def __init__(self, address):
        self.address, self.links = address, []
        self._poll, self._by_number, self._stopping = select.epoll(), {}, False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def link(self):
        link = Link(self.address)
        self.links.append(link)
        self._by_number[link.socket.fileno()] = link
        self._poll.register(link.socket, select.EPOLLIN)
        return link

    def _read(self):
        while not self._stopping:
            for number, _ in self._poll.poll(0.05):
                link = self._by_number[number]
                try:
                    link.read()
                except OSError:
                    link.closed = True
                if link.closed:
                    self._forget(link, number)

    def _forget(self, link, number):
        try:
            self._poll.unregister(number)
        except (OSError, ValueError):
            pass
        link.closed = True

    def begun(self):
        return sum(len(link.begun) for link in self.links)

    def wait_begun(self, count, patience=4 * PATIENCE):
        until = time.monotonic() + patience
        while self.begun() < count:
            if time.monotonic() > until:
                raise AssertionError(f"{self.begun()} of {count} streams have begun")
            time.sleep(0.005)

    def close(self):
        self._stopping = True
        self._thread.join()
        for link in self.links:
            link.socket.close()
        self._poll.close()
