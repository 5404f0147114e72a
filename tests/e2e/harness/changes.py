"""A reader of Admin.Watch: it applies the snapshot and the changes in order, as a caller would."""
import threading
import time

import grpc

from .daemon import PATIENCE
from .protos import Fault, message_class, v1

CHANGE = message_class("tributary.v1.Change")
PRESENT, ADDED, STATE, REMOVED, COMPLETE, RESYNC = (
    CHANGE.PRESENT,
    CHANGE.ADDED,
    CHANGE.STATE,
    CHANGE.REMOVED,
    CHANGE.SNAPSHOT_COMPLETE,
    CHANGE.RESYNC,
)


class Known:
    """What a caller knows that has applied all changes so far."""

    def __init__(self):
        self.producers = {}  # (name, epoch) -> Producer
        self.subscriptions = {}  # id -> Subscription
        self.complete = False
        self.missed = self.resyncs = 0
        self._number = 0

    def apply(self, change):
        if change.number:
            assert change.number > self._number, f"change {change.number} after {self._number}"
            self._number = change.number
        if change.kind == RESYNC:
            assert change.missed > 0
            self.missed += change.missed
            self.resyncs += 1
            self.producers, self.subscriptions, self.complete = {}, {}, False
        elif change.kind == COMPLETE:
            assert not self.complete, "the snapshot is complete once"
            self.complete = True
        elif change.HasField("producer"):
            producer = change.producer
            self._apply(self.producers, (producer.name, producer.epoch), change, producer)
        else:
            self._apply(self.subscriptions, change.subscription.id, change, change.subscription)

    def _apply(self, known, key, change, value):
        if change.kind == REMOVED:
            known.pop(key, None)
            return
        if change.kind in (PRESENT, ADDED):
            assert key not in known, f"{key} is there already"
        known[key] = value

    def states(self):
        return {name: producer.state for (name, _), producer in self.producers.items()}


class Changes:
    """One Watch. A thread of its own reads it, unless `reads` is False."""

    def __init__(self, channel, pattern="", subscriptions=False, skip_snapshot=False):
        self.all, self.known = [], Known()
        self.fault, self.ended, self._failed = None, False, None
        self._changed = threading.Condition()
        request = v1.WatchRequest(
            pattern=pattern, subscriptions=subscriptions, skip_snapshot=skip_snapshot
        )
        self.call = v1.stub("Admin", channel).Watch(request)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        fault = None
        try:
            for response in self.call:
                assert response.changes, "a message has changes"
                with self._changed:
                    for change in response.changes:
                        self.all.append(change)
                        self.known.apply(change)
                    self._changed.notify_all()
        except grpc.RpcError as error:
            fault = Fault(error)
        except Exception as error:  # the waiting test raises it
            self._failed = error
            self.call.cancel()
        with self._changed:
            self.fault, self.ended = fault, True
            self._changed.notify_all()

    def wait(self, condition, what, patience=PATIENCE):
        until = time.monotonic() + patience
        with self._changed:
            while not condition() and not self._failed:
                left = until - time.monotonic()
                if left <= 0:
                    raise AssertionError(
                        f"did not happen within {patience:g} s: {what}; ended {self.ended} "
                        f"{self.fault or ''}, the last changes: {self.all[-5:]}"
                    )
                self._changed.wait(left)
        if self._failed:
            raise AssertionError(f"while waiting for {what}: {self._failed}") from self._failed

    def wait_complete(self):
        self.wait(lambda: self.known.complete or self.ended, "the snapshot is complete")
        if not self.known.complete:
            raise AssertionError(f"Watch was refused: {self.fault}")

    def wait_end(self, patience=PATIENCE):
        self.wait(lambda: self.ended, "the stream ends", patience)
        return self.fault

    def of(self, name):
        """What was reported of a producer: (kind, state), in order."""
        with self._changed:
            return [(each.kind, each.producer.state) for each in self.all if each.producer.name == name]

    def wait_of(self, name, expected):
        self.wait(lambda: len(self.of(name)) >= len(expected), f"{expected} of {name}, not {self.of(name)}")
        found = self.of(name)[: len(expected)]
        assert found == expected, f"{name}: {found}, not {expected}"

    def last_of(self, name):
        with self._changed:
            return [each for each in self.all if each.producer.name == name][-1]

    def cancel(self):
        self.call.cancel()
        self.wait(lambda: self.ended, "the stream ends")


class WithChanges:
    """A second base of a Case."""

    def changes(self, channel=None, complete=True, **options):
        stream = Changes(channel or self.channel(), **options)
        self.addCleanup(stream.cancel)
        if complete:
            stream.wait_complete()
        return stream
