"""PublishStream by hand, as fast as the windows allow: messages of one event, so that the server is
busy.

A client with a gRPC library costs more than the server that it loads. Here many encoded messages
share one frame."""
import struct
import threading

from .daemon import PATIENCE
from .protos import v1
from .rawh2 import ACK, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, SETTINGS, WINDOW_UPDATE, Connection, message

BLOCK = 500  # messages that are encoded at once


def plain(number, **fields):
    """An event that number_of() reads, in a message."""
    return message(
        v1.PublishStreamRequest(events=[v1.Event(data=b"%08d " % number)], **fields).SerializeToString()
    )


HEAD = plain(0)[:-9]


class Windowed(Connection):
    """A connection that respects the server's windows. After the server has closed it, what arrived
    before is still read to its end."""

    def __init__(self, address, **options):
        self.window_left, self._initial, self._largest, self._windows = 65535, 65535, 16384, {}
        self._broken = False
        super().__init__(address, window=1 << 20, **options)

    def send(self, data):
        try:
            super().send(data)
        except OSError:
            self._broken = True

    def _frame(self, kind, flags, number, payload):
        if kind == SETTINGS and not flags & ACK:
            settings = dict(struct.iter_unpack(">HI", payload))
            self._largest = settings.get(MAX_FRAME_SIZE, self._largest)
            self._initial = settings.get(INITIAL_WINDOW_SIZE, self._initial)
        elif kind == WINDOW_UPDATE and number == 0:
            self.window_left += struct.unpack(">I", payload)[0]
        elif kind == WINDOW_UPDATE:
            self._windows[number] = self._windows.get(number, 0) + struct.unpack(">I", payload)[0]
        super()._frame(kind, flags, number, payload)

    def _reserve(self, stream, limit, gives_up):
        """Waits until both windows are open, and reserves at most so many bytes of them. Returns
        how many; 0: the stream is over, or gives_up()."""
        with self._changed:
            while True:
                size = min(
                    self.window_left,
                    self._initial + self._windows.get(stream.number, 0),
                    self._largest,
                    limit,
                )
                if self._broken or self.closed or stream.ended or stream.reset is not None or gives_up():
                    return 0
                if size > 0:
                    break
                self._changed.wait(0.05)
            self.window_left -= size
            self._windows[stream.number] = self._windows.get(stream.number, 0) - size
            return size

    def send_all(self, stream, data, end=False, gives_up=lambda: False):
        """Sends all data, as the windows allow. False: it could not."""
        while data:
            size = self._reserve(stream, len(data), gives_up)
            if size == 0:
                return False
            stream.send(data[:size], end and size == len(data))
            data = data[size:]
        return True


class Flood:
    """One stream of messages with one event each, numbered from 0, on a connection of its own.
    Without `count` it goes on until finish() or stop(). `odd(number)` may return another message
    for a number."""

    def __init__(self, address, name, count=None, half_close=False, odd=lambda number: None):
        self.name, self.written = name, 0  # whole messages; after stop() a few more may have been written
        self._count, self._half_close, self._odd = count, half_close, odd
        self._stopping, self._ending = threading.Event(), threading.Event()
        self._read, self._answers = 0, []
        self.connection = Windowed(address)
        self.stream = self.connection.request("/tributary.v1.Publisher/PublishStream")
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def _encoded(self, first, last):
        parts = [self._odd(number) or HEAD + b"%08d " % number for number in range(first, last)]
        if first == 0:
            parts[0] = plain(0, producer=self.name)
        return b"".join(parts)

    def _write(self):
        while self.written != self._count:
            if self._ending.is_set():
                self._count = self.written + BLOCK
            last = self.written + BLOCK if self._count is None else min(self.written + BLOCK, self._count)
            data, end = self._encoded(self.written, last), last == self._count and self._half_close
            if not self.connection.send_all(self.stream, data, end, self._stopping.is_set):
                return  # the answers show how much arrived
            self.written = last

    def finish(self):
        """Half-closes after the next block. Returns how many messages there were."""
        self._half_close = True
        self._ending.set()
        self._writer.join(PATIENCE)
        return self.written

    def stop(self):
        """Stops writing, perhaps in the middle of a message."""
        self._stopping.set()
        self._writer.join(PATIENCE)

    def abort(self):
        self.stop()
        self.stream.abort()

    def close(self):
        self.stop()
        self.connection.close()

    @property
    def answers(self):
        """All answers so far."""
        messages = self.stream.messages
        while self._read < len(messages):
            answer = v1.PublishStreamResponse.FromString(messages[self._read])
            assert answer.confirmed_batch >= (
                self._answers[-1].confirmed_batch if self._answers else 0
            ), "confirmations never go back"
            self._answers.append(answer)
            self._read += 1
        return self._answers

    @property
    def last(self):
        """The latest answer. Before the first: an empty one."""
        return self.answers[-1] if self.answers else v1.PublishStreamResponse()

    @property
    def refused(self):
        """{batch: reason}"""
        found = [(each.batch, each.reason) for answer in self.answers for each in answer.refused]
        assert len(dict(found)) == len(found), "a batch is refused once"
        return dict(found)

    def wait_confirmed(self, batches, patience=PATIENCE):
        self.connection.wait(
            lambda: self.last.confirmed_batch >= batches or self.stream.ended,
            f"batch {batches} confirmed",
            patience,
        )
        assert (
            self.last.confirmed_batch >= batches
        ), f"{self.name} ended with {self.last.confirmed_batch} of {batches}: {self.stream.status_message}"

    def wait_end(self, patience=PATIENCE):
        """Waits for the end of the stream. Returns its status."""
        self.stream.wait_end(patience)
        return self.stream.status
