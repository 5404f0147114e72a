#!/usr/bin/python3
"""One attack in a process of its own: `attacker.py ADDRESS NAME [SECONDS [again | once]]`.

It prints a line when all is prepared, attacks when a line comes on its input, stops sending after
SECONDS (the table's, where none are given), and prints one JSON object. With `again` it opens a new
connection whenever one was ended; with `once`, a few connections are one, and that is not opened
anew. It sends from one thread,
in large pieces, and reads only what it needs to honour windows."""
import dataclasses
import json
import pathlib
import resource
import select
import socket
import struct
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from harness.attacks import table
from harness.attacks.shapes import ACKNOWLEDGE, Windows
from harness.h2frames import ACK, DATA, GOAWAY, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, SETTINGS, WINDOW_UPDATE

GONE = select.POLLHUP | select.POLLERR
GRACE_S = 5.0  # how long it waits for its end beyond the bound
STARVED_S = 10.0  # how much longer it sends where the machine gave it no time to come to its bound
UNREAD_S = 0.5  # a peer that does not read looks after so long whether it was ended
FEW_CONNECTIONS = 4
SWEEP_S = 0.05  # how often links without an event are served: a pause or a wait may be over
GOAWAY_HEAD = bytes([GOAWAY, 0, 0, 0, 0, 0])


class Link:
    """One connection."""

    def __init__(self, attack, host, port):
        self.attack, self.body = attack, attack.body()
        self.windows = Windows()
        self.began_at = time.monotonic()
        self.opened = False  # whether `then` was sent
        self.sent = 0  # bytes of the body
        self.crossed_at = None
        self.ended_at = self.ended_by = None
        self.answers = 0  # DATA frames on stream 1
        self.answered_at = 0.0
        self._pending, self._of_body = memoryview(attack.first), False
        self._paused_until = 0.0
        self._inbox, self._tail = bytearray(), b""
        if not attack.waits:
            self._open(self.began_at)
        self.socket = socket.socket()
        if not attack.reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        try:
            self.socket.connect((host, port))
        except BlockingIOError:
            pass

    def _end(self, how, now):
        if self.ended_at is None:
            self.ended_at, self.ended_by = now, how
        self.socket.close()

    # --- sending ---

    def _next(self, now):
        """Whether there is something to send."""
        if len(self._pending) == 0 and self.opened and now >= self._paused_until:
            self._pending, self._of_body = memoryview(self.body.next(self.windows) or b""), True
            if self.body.every_s and len(self._pending):
                self._paused_until = now + self.body.every_s
        return len(self._pending) > 0

    def write(self, now):
        """Sends until the socket is full. False: it waits for something else than the socket."""
        try:
            while self._next(now):
                size = self.socket.send(self._pending)
                self._pending = self._pending[size:]
                if self._of_body:
                    self.sent += size
                    self._check_bound()
                now = time.monotonic()
        except BlockingIOError:
            return True
        except OSError as error:
            self._end(type(error).__name__, now)
        return False

    def _open(self, now):
        self.opened = True
        if self.attack.bound_s is not None:
            self.crossed_at = now + self.attack.bound_s

    def _check_bound(self):
        bound = self.attack.bound
        if self.crossed_at is None and bound is not None and self.sent >= bound * self.body.unit_bytes:
            self.crossed_at = time.monotonic()

    # --- receiving ---

    def reads(self, now):
        """A peer that does not read looks at last whether it was ended."""
        return self.attack.reads or not self.opened or (
            self.crossed_at is not None and now > self.crossed_at + UNREAD_S
        )

    def read(self, now):
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(type(error).__name__, now)
            return
        if not data:
            self._end("EOF", now)
            return
        self._tail = (self._tail + data)[-300:]
        if not self.opened:
            self._open(now)
            answer = (ACKNOWLEDGE if self.attack.acknowledges else b"") + self.attack.then
            self._pending = memoryview(bytes(self._pending) + answer)
        if self.body.windowed:
            self._inbox += data
            self._frames(now)

    def _frames(self, now):
        at = 0
        while len(self._inbox) - at >= 9:
            size = int.from_bytes(self._inbox[at:at + 3], "big")
            if len(self._inbox) - at < 9 + size:
                break
            kind, flags, stream = struct.unpack_from(">BBI", self._inbox, at + 3)
            self._frame(kind, flags, stream, self._inbox[at + 9:at + 9 + size], now)
            at += 9 + size
        del self._inbox[:at]

    def _frame(self, kind, flags, stream, payload, now):
        if kind == SETTINGS and not flags & ACK:
            values = dict(struct.iter_unpack(">HI", payload))
            self.windows.initial = values.get(INITIAL_WINDOW_SIZE, self.windows.initial)
            self.windows.largest_frame = values.get(MAX_FRAME_SIZE, self.windows.largest_frame)
        elif kind == WINDOW_UPDATE and stream == 0:
            self.windows.connection += struct.unpack(">I", payload)[0]
        elif kind == WINDOW_UPDATE:
            self.windows.streams[stream] += struct.unpack(">I", payload)[0]
        elif kind == DATA and stream == 1 and payload:
            self.answers += 1
            self.answered_at = now

    # --- what became of it ---

    @property
    def lag_s(self):
        """How long after its bound it was ended; None: it was not ended."""
        if self.ended_at is None:
            return None
        return max(0.0, self.ended_at - self.crossed_at) if self.crossed_at is not None else 0.0

    @property
    def farewell(self):
        """The text of the server's GOAWAY."""
        at = self._tail.rfind(GOAWAY_HEAD)
        size = int.from_bytes(self._tail[max(0, at - 3):max(0, at)], "big")
        text = self._tail[at + 14:at + 6 + size].decode("latin-1")
        return text if at >= 3 and text.isprintable() else ""

    def overdue(self, now):
        """Whether it should end any moment."""
        return self.crossed_at is not None and now < self.crossed_at + GRACE_S

    @property
    def is_short(self):
        """Whether it has a bound and has not come to it."""
        return self.attack.bound is not None and self.crossed_at is None


def used_s():
    """Processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Attacker:
    def __init__(self, attack, address, seconds):
        self.attack, self.seconds = attack, seconds
        host, _, port = address.rpartition(":")
        self.host, self.port = host, int(port)
        self.links, self.over = {}, []
        self.stop = 0.0
        self.poll = select.poll()

    def _connect(self):
        link = Link(self.attack, self.host, self.port)
        self.links[link.socket.fileno()] = link
        self.poll.register(link.socket, select.POLLIN | select.POLLOUT)

    def _retire(self, number, link):
        self.poll.unregister(number)
        del self.links[number]
        self.over.append(link)

    def _serve(self, number, event, now, sends):
        link = self.links[number]
        blocked = False
        if event & (select.POLLIN | GONE) and link.reads(now):
            link.read(now)
        elif event & GONE:
            link._end("RST", now)
        if link.ended_at is None and sends:
            blocked = link.write(now)
        if link.ended_at is not None:
            self._retire(number, link)
            if self.attack.again and now < self.stop:
                self._connect()
            return
        wanted = (select.POLLIN if link.reads(now) else 0) | (select.POLLOUT if blocked else 0)
        self.poll.modify(number, wanted)

    def _sweeps(self, number, events):
        return number in events or self.links[number].body.every_s or not self.attack.reads

    def run(self):
        used = used_s()
        began = time.monotonic()
        self.stop = began + self.seconds
        for _ in range(self.attack.connections):
            self._connect()
        now, swept = began, began
        while self.links:
            sends = now < self.stop or (
                now < self.stop + STARVED_S and any(link.is_short for link in self.links.values())
            )
            if not sends and not any(link.overdue(now) for link in self.links.values()):
                break
            events = dict(self.poll.poll(20))
            now = time.monotonic()
            if now > swept + SWEEP_S:
                swept = now
                events = {n: events.get(n, 0) for n in self.links if self._sweeps(n, events)}
            for number, event in events.items():
                self._serve(number, event, now, sends)
        return self._result(began, used)

    def _result(self, began, used):
        alive = list(self.links.values())
        every = self.over + alive
        lags = [link.lag_s for link in self.over]
        last_answer = max((link.answered_at for link in every), default=0.0)
        result = {
            "connections": len(every),
            "opened": sum(link.opened for link in every),
            "ended": len(self.over),
            "not_ended": sum(link.crossed_at is not None for link in alive),
            "lag_s": max(lags, default=None),
            "ended_by": sorted({link.ended_by for link in self.over}),
            "farewell": next((link.farewell for link in every if link.farewell), ""),
            "sent_mb": sum(link.sent for link in every) / 1e6,
            "units": sum(link.sent // max(1, link.body.unit_bytes) for link in every),
            "answers": sum(link.answers for link in every),
            "answered_s": max(0.0, last_answer - began),  # after the beginning; 0: never
            "cpu_s": used_s() - used,
            "seconds": time.monotonic() - began,
        }
        for link in alive:
            link.socket.close()
        return result


def main():
    attack = table.BY_NAME[sys.argv[2]]
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else attack.seconds
    if "again" in sys.argv[4:]:
        attack = dataclasses.replace(attack, again=True)
    if "once" in sys.argv[4:]:
        few = attack.connections <= FEW_CONNECTIONS
        attack = dataclasses.replace(attack, again=False, connections=1 if few else attack.connections)
    attacker = Attacker(attack, sys.argv[1], seconds)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, attack.connections + 100)), hard))
    attack.body()  # what is prebuilt is built now
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(attacker.run()), flush=True)


if __name__ == "__main__":
    main()
