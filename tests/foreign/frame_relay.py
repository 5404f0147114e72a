"""frame_relay - a relay in front of the daemon that adds frames to a client's connection.

No gRPC library sends too many pings, or a frame that HTTP/2 forbids. With the relay a client of any library
has the connection that the daemon ends for it: it sees the same frames as a client that misbehaves."""
import select
import socket
import threading

from harness.h2frames import (ACK, CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PREFACE, WINDOW_UPDATE,
                              frame, literal, message)

FRAME_BYTES = 16384  # of a payload: what every server takes
MARK = b"injected"  # the payload of our pings: their answers are not the client's
PUBLISH = b"".join(
    literal(name, value)
    for name, value in ((":method", "POST"), (":scheme", "http"),
                        (":path", "/tributary.v1.Publisher/Publish"), (":authority", "a"),
                        ("te", "trailers"), ("content-type", "application/grpc"))
)


class Frames:
    """Cuts bytes into frames."""

    def __init__(self):
        self._data = bytearray()

    def add(self, data):
        """Returns the frames that are complete now: (kind, flags, stream, bytes)."""
        self._data += data
        found = []
        while len(self._data) >= 9:
            size = 9 + int.from_bytes(self._data[:3], "big")
            if len(self._data) < size:
                break
            head = self._data[:9]
            stream = int.from_bytes(head[5:9], "big") & 0x7FFFFFFF
            found.append((head[3], head[4], stream, bytes(self._data[:size])))
            del self._data[:size]
        return found


class Relay:
    """Relays one connection to `address`. A thread of its own; ends with close()."""

    def __init__(self, address, change=None):
        """`change`: what becomes of each frame of the client: change(kind, flags, stream, bytes)
        returns bytes."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._to, self._change = address, change
        self._lock = threading.Lock()  # frames go to the server as a whole
        self._window, self._window_grew = 65535, threading.Condition()  # that of the connection
        self._server = None
        self.last_stream = 0  # the latest that the client opened
        self._injected_from = 1 << 31  # our own streams begin here
        self.holds = False  # the client's frames no longer reach the server
        self._closing = self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def inject(self, data):
        """Sends frames to the server as if they were the client's. Nothing happens where the
        connection is over."""
        try:
            with self._lock:
                self._server.sendall(data)
        except OSError:
            pass

    def inject_data(self, stream, payload):
        """DATA frames, as the window of the connection allows."""
        for at in range(0, len(payload), FRAME_BYTES):
            part = payload[at : at + FRAME_BYTES]
            with self._window_grew:
                self._window_grew.wait_for(lambda: self._over or self._window >= len(part), 10)
                if self._over:
                    return
                self._window -= len(part)
            self.inject(frame(DATA, 0, stream, part))

    def open_streams(self, count):
        """Numbers of streams that the client does not use. What the server sends on them is left
        out."""
        self._injected_from = self.last_stream + 2
        return range(self._injected_from, self._injected_from + 2 * count, 2)

    def close(self):
        self._closing = True
        self._thread.join()
        self._listener.close()

    def _run(self):
        self._listener.settimeout(0.1)
        while not self._closing:
            try:
                client = self._listener.accept()[0]
                break
            except TimeoutError:
                continue
        else:
            return
        host, _, port = self._to.rpartition(":")
        with client, socket.create_connection((host, int(port))) as self._server:
            for each in (client, self._server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._relay(client)
        with self._window_grew:
            self._over = True
            self._window_grew.notify_all()

    def _relay(self, client):
        preface, up, down = len(PREFACE), Frames(), Frames()
        while not self._closing:
            for ready in select.select([client, self._server], [], [], 0.1)[0]:
                try:
                    data = ready.recv(1 << 16)
                    if not data:
                        return
                    if ready is client:
                        first, data = data[:preface], data[preface:]
                        preface -= len(first)
                        self.inject(first + b"".join(map(self._upward, up.add(data))))
                    else:
                        client.sendall(b"".join(map(self._downward, down.add(data))))
                except OSError:
                    return

    def _upward(self, each):
        kind, flags, stream, data = each
        if kind == HEADERS:
            self.last_stream = max(self.last_stream, stream)
        if kind == DATA:
            self._grow(9 - len(data))
        if self.holds:
            return b""
        return self._change(*each) if self._change else data

    def _downward(self, each):
        kind, flags, stream, data = each
        if kind == WINDOW_UPDATE and stream == 0:
            self._grow(int.from_bytes(data[9:], "big"))
        ours = kind == PING and flags & ACK and data[9:] == MARK
        return b"" if ours or stream >= self._injected_from else data

    def _grow(self, size):
        with self._window_grew:
            self._window += size
            self._window_grew.notify_all()


# ---- what makes the daemon end a connection

def pings(relay):
    for _ in range(40):
        relay.inject(frame(PING, 0, 0, MARK))


def flood(relay):
    """WINDOW_UPDATE frames that nobody needs."""
    relay.inject(frame(WINDOW_UPDATE, 0, 0, (1).to_bytes(4, "big")) * 20000)


def forbidden(relay):
    """DATA on a stream that was never opened."""
    relay.inject(frame(DATA, 0, relay.last_stream + 100, b"x"))


def unfinished_block(relay):
    """HEADERS without END_HEADERS, and no CONTINUATION."""
    relay.holds = True
    relay.inject(frame(HEADERS, 0, relay.open_streams(1)[0], PUBLISH))


def silence(relay):
    """No answer to the daemon's keepalive pings."""
    relay.holds = True


def unfinished_messages(relay):
    """Up to 20 MB in messages of 60 KB, each without its last byte."""
    for stream in relay.open_streams(350):
        relay.inject(frame(HEADERS, END_HEADERS, stream, PUBLISH))
        relay.inject_data(stream, message(bytes(60_000))[:-1])


def huge_message(relay):
    """A message of which its length alone is too much."""
    stream = relay.open_streams(1)[0]
    relay.inject(frame(HEADERS, END_HEADERS, stream, PUBLISH)
                 + frame(DATA, 0, stream, (1 << 30).to_bytes(5, "big") + b"x"))


def huge_metadata(relay):
    block = b"".join(literal(f"padding-{number}", "x" * 10_000) for number in range(40))
    stream = relay.open_streams(1)[0]
    relay.inject(frame(HEADERS, 0, stream, PUBLISH) + b"".join(
        frame(CONTINUATION, 0, stream, block[at : at + FRAME_BYTES])
        for at in range(0, len(block), FRAME_BYTES)))


# ---- what makes a message another one

def compressed_mark(kind, flags, stream, data):
    """The first byte of a message says that it is compressed."""
    if kind == DATA and len(data) > 9:
        return data[:9] + b"\1" + data[10:]
    return data


def damaged(kind, flags, stream, data):
    """The end of a message is another one: a checksum is wrong."""
    if kind == DATA and len(data) > 14:
        return data[:-6] + bytes(byte ^ 0x55 for byte in data[-6:])
    return data
