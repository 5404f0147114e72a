"""The base of all test cases: one daemon per class, which is checked after every test.

After each test the live.* counters must be where they were when the daemon had just started. At the
end of the class the daemon must exit with 0 on SIGTERM, without a report of a sanitizer. So a test
that leaves something behind in the server fails. A test that fails prints the last lines of its
daemons' logs."""
import contextlib
import os
import subprocess
import sys
import unittest

import grpc

from . import daemon
from .client import Consumer, Publishing, connect, publish, subscribe_request
from .daemon import Daemon, eventually
from .protos import Fault, v1
from .rawh2 import Connection
from .stalled import Stalled


class Case(unittest.TestCase):
    maxDiff = 4000
    # Further arguments of this class's daemon, and its --transient-forget.
    arguments = ()
    listen = ("127.0.0.1:0",)
    forget = "2s"
    # False: each test starts its own daemons.
    shared_daemon = True

    @classmethod
    def setUpClass(cls):
        if cls.shared_daemon:
            cls.daemon = Daemon("--transient-forget", cls.forget, *cls.arguments, listen=cls.listen)
            cls.live_at_start = cls.daemon.live()

    @classmethod
    def tearDownClass(cls):
        if cls.shared_daemon:
            try:
                if not cls._slow_forget():
                    cls._expect_released(cls.live_at_start.keys())
            except AssertionError:
                print(cls.daemon.last_lines(), file=sys.stderr)
                raise
            finally:
                cls.daemon.stop()

    @classmethod
    def _slow_forget(cls):
        return cls.forget not in ("0s", "2s") and not cls.forget.endswith("ms")

    @classmethod
    def _expect_released(cls, names):
        def left():
            live = cls.daemon.live()
            return {
                name: (live[name], cls.live_at_start[name])
                for name in names
                if live[name] != cls.live_at_start[name]
            }

        try:
            eventually(lambda: not left(), "what the test used is released")
        except AssertionError:
            raise AssertionError(f"still alive in the server (now, at the start): {left()}") from None

    def run(self, result=None):
        result = self.defaultTestResult() if result is None else result
        bad = len(result.errors) + len(result.failures)
        # A class that is skipped has no daemon.
        self._started = [self.daemon] if self.shared_daemon and hasattr(self, "daemon") else []
        super().run(result)
        if len(result.errors) + len(result.failures) > bad:
            for each in self._started:
                print(each.last_lines(), file=sys.stderr)
        return result

    def setUp(self):
        if self.shared_daemon:
            # Cleanups run in reverse order: this one runs after those of the test.
            self.addCleanup(self._look_after)

    def _look_after(self):
        self.assertIsNone(self.daemon.process.poll(), f"the daemon died:\n{self.daemon.stderr()[-6000:]}")
        # Producers are remembered for a while. The end of the class checks them.
        self._expect_released(self.live_at_start.keys() - {"live.producers", "live.contexts"})

    def channel(self, address=None, **options):
        """A connection of its own, closed at the end of the test."""
        channel = connect(address or self.daemon.address, **options)
        self.addCleanup(channel.close)
        return channel

    def ready_channel(self):
        """A connection that is open already. (Python's gRPC never closes one whose only call was
        cancelled while it connected.)"""
        channel = self.channel()
        v1.stub("Admin", channel).GetInfo(v1.GetInfoRequest(), timeout=daemon.PATIENCE)
        return channel

    def consumer(self, request=None, channel=None, **options):
        consumer = Consumer(channel or self.channel(), request, **options)
        self.addCleanup(consumer.cancel)
        return consumer

    def stalled(self, address=None, **options):
        """A consumer that does not read until read() is called."""
        consumer = Stalled(address or self.daemon.address, subscribe_request(**options))
        self.addCleanup(consumer.cancel)
        return consumer

    def publishing(self, producer="", channel=None, **options):
        stream = Publishing(channel or self.channel(), producer, **options)
        self.addCleanup(stream.cancel)
        return stream

    def raw(self, address=None, **options):
        """HTTP/2 by hand (rawh2.py), closed at the end of the test."""
        connection = Connection(address or self.daemon.address, **options)
        self.addCleanup(connection.close)
        return connection

    def publish(self, producer, events, channel=None):
        return publish(channel or self.daemon.channel, producer, events)

    def start_program(self, *command, server=None, env=(), **options):
        """A program that finds the daemon by TRIBUTARY_SERVER. It is killed at the end of the test."""
        process = subprocess.Popen(
            list(map(str, command)),
            env=os.environ | {"TRIBUTARY_SERVER": server or self.daemon.address} | dict(env),
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def start_daemon(self, *arguments, **options):
        """A daemon for one test. The test stops it, or it is killed."""
        started = Daemon(*arguments, **options)
        self._started.append(started)
        self.addCleanup(started.kill)
        return started

    @contextlib.contextmanager
    def assertFault(self, code, reason=None, field=None, contains=()):
        """Expects that the call inside fails with this code, and with the details of every
        error."""
        holder = {}
        try:
            yield holder
        except grpc.RpcError as error:
            fault = holder["fault"] = Fault(error)
        else:
            self.fail(f"expected {code.name} {reason or ''}, but the call was answered")
        self.check_fault(fault, code, reason, field, contains)

    def check_fault(self, fault, code, reason=None, field=None, contains=()):
        self.assertIsNotNone(fault, f"expected {code.name} {reason or ''}, but it ended with OK")
        self.assertEqual(fault.code, code, str(fault))
        if reason is not None:
            self.assertEqual(fault.reason, reason, str(fault))
            self.assertEqual(fault.domain, "tributary", str(fault))
            self.assertEqual(fault.status.code, code.value[0], "the details repeat the code")
            self.assertEqual(fault.status.message, fault.message, "the details repeat the message")
            self.assertLessEqual(len(fault.details_bytes), 2048)
        if field is not None:
            self.assertIn(field, fault.message)
            self.assertEqual(fault.fields, [field], str(fault))
        for part in contains:
            self.assertIn(part, fault.message)

    def check_totals(self, subscription):
        """Expects accepted = delivered + dropped + queued in events and in bytes: in total and per
        source; and that the losses per reason add up to dropped."""
        for unit in ("events", "bytes"):
            def of(totals):
                return getattr(totals, unit)

            what = f"{unit} of {subscription}"[:1500]
            self.assertEqual(
                of(subscription.accepted),
                of(subscription.delivered) + of(subscription.dropped) + of(subscription.queued),
                what,
            )
            self.assertEqual(
                of(subscription.dropped), sum(of(loss.lost) for loss in subscription.losses), what
            )
            parts = [*subscription.sources, subscription.others]
            for source in parts:
                self.assertEqual(
                    of(source.accepted), of(source.delivered) + of(source.dropped) + of(source.queued), what
                )
            if subscription.HasField("others"):
                self.assertEqual(of(subscription.accepted), sum(of(each.accepted) for each in parts), what)
                self.assertEqual(of(subscription.delivered), sum(of(each.delivered) for each in parts), what)
                self.assertEqual(of(subscription.dropped), sum(of(each.dropped) for each in parts), what)
                self.assertEqual(of(subscription.queued), sum(of(each.queued) for each in parts), what)


def main():
    """Each module is a program: `test_x.py [arguments of unittest]`."""
    folder = os.environ.get("TRIBUTARY_BIN", "")
    if not os.access(os.path.join(folder, "tributaryd"), os.X_OK):
        sys.exit(f"TRIBUTARY_BIN={folder!r} holds no tributaryd: build it first, or name another folder")
    unittest.main(module="__main__", verbosity=2)


__all__ = ["Case", "main", "daemon", "eventually", "v1"]
