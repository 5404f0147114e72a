"""A consumer that does not read: its HTTP/2 window is closed, so every byte for it stays in the
server."""
import time

from .client import Received
from .daemon import PATIENCE, eventually
from .protos import v1
from .rawh2 import Connection

# Enough for the first message, Started, and little more. Its resume token grows with the number of
# producers, so where it does not fit the window grows by STEP until it does.
WINDOW = 1000
STEP = 500


class Stalled:
    def __init__(self, address, request, window=WINDOW):
        request.notices = v1.NOTICES_NONE  # otherwise the first message grows with the number of producers
        self.connection = Connection(address, window=window, replenish=False)
        self.stream = self.connection.call("/tributary.v1.Subscriber/Subscribe", request.SerializeToString())
        self.received = Received()
        self._read = 0
        try:
            self._await_started()
        except AssertionError:
            self.connection.close()
            raise
        self.id = self._new_batches()[0].started.subscription_id

    def _await_started(self):
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self.connection.wait(
                    lambda: self.stream.messages or self.stream.ended, "Started", patience=0.5
                )
            except AssertionError:
                if self.connection.closed or time.monotonic() > until:
                    raise
                self.stream.grant(STEP)

    def _new_batches(self):
        batches = [v1.EventBatch.FromString(each) for each in self.stream.messages[self._read:]]
        self._read += len(batches)
        for batch in batches:
            self.received.apply(batch)
        return batches

    def read(self):
        """Reads everything from now on."""
        self.connection.replenish = True
        self.stream.grant(1 << 24)

    def wait_accounted(self, count, patience=PATIENCE):
        def accounted():
            with self.connection._changed:
                self._new_batches()
            return self.received.delivered + self.received.lost_count() >= count or self.stream.ended

        eventually(accounted, f"{count} events accounted for", patience)
        if self.received.delivered + self.received.lost_count() < count:
            raise AssertionError(
                f"the stream ended with {self.received.delivered} delivered and "
                f"{self.received.lost_count()} lost of {count}: "
                f"{self.stream.status} {self.stream.status_message}"
            )

    def wait_end(self, patience=PATIENCE):
        self.stream.wait_end(patience)
        self._new_batches()

    def cancel(self):
        """Closes the connection. Safe to repeat."""
        self.connection.close()
