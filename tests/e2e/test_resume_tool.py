#!/usr/bin/python3
"""A subscriber whose connection breaks says what it may have missed, and ends with the exit code for
it (finding 25)."""
import signal
import socket
import threading

from harness.case import Case, main
from harness.client import event, publish
from harness.daemon import PATIENCE, binary, eventually

NOBODY_KNOWS = "nobody can say how many"


class Line:
    """A TCP connection to the daemon that can be broken off, and be there again at the same address."""

    def __init__(self, case, address):
        host, port = address.rsplit(":", 1)
        self._to, self._sockets, self._server = (host, int(port)), [], None
        self._listen(0)
        self.address = "127.0.0.1:%d" % self._server.getsockname()[1]
        case.addCleanup(self.break_off)

    def _listen(self, port):
        self._server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def _accept(self, server):
        try:
            while True:
                client = server.accept()[0]
                daemon = socket.create_connection(self._to)
                self._sockets += [client, daemon]
                for pair in ((client, daemon), (daemon, client)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()
        except OSError:  # it is broken off
            pass

    @staticmethod
    def _carry(source, sink):
        try:
            while block := source.recv(65536):
                sink.sendall(block)
        except OSError:
            pass
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def break_off(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for each in self._sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()
        self._sockets = []

    def mend(self, address=None):
        """`address`: of another daemon that it leads to."""
        if address:
            host, port = address.rsplit(":", 1)
            self._to = (host, int(port))
        self._listen(int(self.address.rsplit(":", 1)[1]))


class Interrupted(Case):
    shared_daemon = False

    def subscribe(self, address, *words):
        sub = self.start_program(
            binary("tributary"), "sub", "--fail-on-loss", "-o", "raw", *words, server=address, text=True
        )
        self.addCleanup(sub.kill)
        return sub

    def read(self, sub, last):
        """The numbers that it prints, up to this one."""
        numbers = []
        while not numbers or numbers[-1] < last:
            line = sub.stdout.readline()
            self.assertTrue(line, "the subscriber ended")
            numbers.append(int(line))
        return numbers

    def end(self, sub, code):
        sub.send_signal(signal.SIGINT)
        _, errors = sub.communicate(timeout=PATIENCE)
        self.assertEqual(sub.returncode, code, errors)
        return errors

    def publish(self, daemon, first, last):
        for number in range(first, last + 1):
            publish(daemon.channel, "counter", [event(number)])

    def test_finding_25_a_connection_that_breaks_before_the_first_progress(self):
        """What was delivered is not counted as lost."""
        daemon = self.start_daemon("--transient-forget", "60s")
        line = Line(self, daemon.address)
        sub = self.subscribe(line.address, "counter")
        eventually(daemon.subscriptions, "it subscribed")
        self.publish(daemon, 1, 12)
        self.assertEqual(self.read(sub, 12), list(range(1, 13)))
        line.break_off()
        eventually(lambda: not daemon.subscriptions(), "the server knows")
        self.publish(daemon, 13, 39)
        line.mend()
        eventually(daemon.subscriptions, "it subscribed again")
        self.publish(daemon, 40, 40)
        self.assertEqual(self.read(sub, 40), [40])
        errors = self.end(sub, 5)
        self.assertIn("connected again", errors)
        self.assertIn("lost 27 events of counter", errors)
        self.assertIn("RESUME_GAP, within sequences 13 to 39", errors)

    def test_finding_25_a_stream_that_cannot_continue(self):
        """Another server is at the address, which does not know the token."""
        daemon = self.start_daemon()
        line = Line(self, daemon.address)
        sub = self.subscribe(line.address, "counter")
        eventually(daemon.subscriptions, "it subscribed")
        self.publish(daemon, 1, 12)
        self.assertEqual(self.read(sub, 12), list(range(1, 13)))
        line.break_off()
        daemon.kill()
        other = self.start_daemon()
        line.mend(other.address)
        eventually(other.subscriptions, "it subscribed again")
        self.publish(other, 40, 40)
        self.assertEqual(self.read(sub, 40), [40])
        errors = self.end(sub, 5)
        self.assertIn("connected again", errors)
        self.assertIn(NOBODY_KNOWS, errors)

    def test_a_connection_that_was_away_and_missed_nothing(self):
        daemon = self.start_daemon("--transient-forget", "60s")
        line = Line(self, daemon.address)
        sub = self.subscribe(line.address, "counter")
        eventually(daemon.subscriptions, "it subscribed")
        self.publish(daemon, 1, 3)
        self.assertEqual(self.read(sub, 3), [1, 2, 3])
        line.break_off()
        eventually(lambda: not daemon.subscriptions(), "the server knows")
        line.mend()
        eventually(daemon.subscriptions, "it subscribed again")
        self.publish(daemon, 4, 4)
        self.assertEqual(self.read(sub, 4), [4])
        self.assertNotIn("events of", self.end(sub, 0))


if __name__ == "__main__":
    main()
