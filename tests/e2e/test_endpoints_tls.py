#!/usr/bin/python3
"""Endpoints whose upstreams speak TLS: named settings, their failures, and new files while it runs."""
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import grpc

from harness.case import Case, main
from harness.certificates import Certificates
from harness.client import subscribe_request
from harness.daemon import binary, eventually
from harness.h2frames import ACK, PREFACE, SETTINGS, frame
from harness.protos import duration, fault_of, message_class, v1
from harness.sessions import of
from harness.upstreams import Upstream, endpoint

CODE = grpc.StatusCode
ADD = v1.AddProducerRequest
ENDPOINT = message_class("tributary.v1.Endpoint")
FAILURE = message_class("tributary.v1.Producer.Failure")
ACTIVE, UNAVAILABLE = v1.PRODUCER_STATE_ACTIVE, v1.PRODUCER_STATE_UNAVAILABLE


def make_certificates():
    made = Certificates()
    made.ca("ca")
    made.ca("other")
    made.issue("server", "ca")
    made.issue("elsewhere", "ca", "DNS:elsewhere.test")
    made.issue("expired", "ca", dates=("20200101000000Z", "20210101000000Z"))
    made.issue("early", "ca", dates=("20900101000000Z", "20990101000000Z"))
    made.issue("client-use", "ca", extensions="extendedKeyUsage=clientAuth\n")
    made.issue("client", "ca", "DNS:client")
    made.issue("stranger", "other", "DNS:client")
    return made


def setting(name, made, ca="ca", own=None, extra=""):
    text = f"{name}:ca={made.crt(ca)}"
    if own:
        text += f",cert={made.crt(own)},key={made.key(own)}"
    return ("--upstream-tls", text + extra)


class WithTls(Case):
    @classmethod
    def setUpClass(cls):
        cls.made = make_certificates()
        cls.addClassCleanup(cls.made.close)
        cls.arguments = (
            *setting("plain-ca", cls.made),
            *setting("wrong-ca", cls.made, ca="other"),
            *setting("mutual", cls.made, own="client"),
            *setting("stranger", cls.made, own="stranger"),
            *setting("named", cls.made, extra=",server-name=elsewhere.test"),
        )
        super().setUpClass()

    def upstream(self, name="server", client_ca=None, **options):
        upstream = Upstream(tls=self.made.server(name, client_ca), **options)
        self.addCleanup(upstream.stop)
        return upstream

    def add(self, name, address, tls, daemon=None, **fields):
        admin = (daemon or self.daemon).admin()
        added = admin.AddProducer(ADD(endpoint=endpoint(name, address, tls=tls, **fields)))
        if daemon is None:
            self.addCleanup(self.remove, name)
        return added

    def remove(self, name):
        request = v1.RemoveProducerRequest(name=name, mode=v1.RemoveProducerRequest.CANCEL)
        try:
            self.daemon.admin().RemoveProducer(request)
        except grpc.RpcError:  # the test has removed it
            pass

    def datas(self, consumer, source):
        return [each.data for name, _, _, each in consumer.received.events if name == source]

    def wait_datas(self, consumer, source, expected):
        consumer.wait(lambda: len(self.datas(consumer, source)) >= len(expected), f"events of {source}")
        self.assertEqual(self.datas(consumer, source), expected)


class Failures(WithTls):
    """What does not come about, in plain words."""

    def fails(self, name, address, tls, text):
        self.add(name, address, tls, connect_timeout=duration(1), backoff=duration(30))
        began = time.monotonic()
        consumer = self.consumer(subscribe_request(of(name)))
        consumer.wait(
            lambda: [s for s in consumer.received.states if s.state == UNAVAILABLE], f"{name} is unavailable"
        )
        took = time.monotonic() - began
        error = [state.error for state in consumer.received.states if state.state == UNAVAILABLE][0]
        failure = self.daemon.producer(name).failure
        self.assertEqual((error.code, error.message), (14, failure.message))
        self.assertEqual((failure.code, failure.where), (14, FAILURE.DIAL))
        self.assertIn(text, failure.message)
        lines = lambda: [line for line in self.daemon.log("endpoint.failed") if line["producer"] == name]
        eventually(lines, f"a line about {name}")
        self.assertEqual([(line["where"], line["message"]) for line in lines()], [("DIAL", failure.message)])
        consumer.cancel()
        return took

    def test_the_certificate_of_the_upstream(self):
        server = self.upstream().address
        ours = "the upstream's certificate "
        for name, address, tls, text in (
            ("wrong-ca", server, "wrong-ca", "is signed by no CA that the TLS setting trusts"),
            ("system", server, "system", "is signed by no CA that the TLS setting trusts"),
            ("name", self.upstream("elsewhere").address, "plain-ca",
             "is for elsewhere.test, not for 127.0.0.1"),
            ("server-name", server, "named", "is for localhost, 127.0.0.1, not for elsewhere.test"),
            ("expired", self.upstream("expired").address, "plain-ca", "expired at 2021-01-01 00:00 UTC"),
            ("early", self.upstream("early").address, "plain-ca", "is not valid before 2090-01-01"),
            ("use", self.upstream("client-use").address, "plain-ca",
             "is refused: unsuitable certificate purpose"),
        ):
            self.fails(name, address, tls, ours + text)

    def test_our_certificate(self):
        address = self.upstream(client_ca="ca").address
        self.fails("none", address, "plain-ca", "it may require a certificate of ours")
        self.fails("not-theirs", address, "stranger", "it may not accept our certificate")

    def test_tls_and_plaintext(self):
        plain = Upstream()
        self.addCleanup(plain.stop)
        self.fails("to-plain", plain.address, "plain-ca", "does not speak TLS; it may expect plaintext")
        self.fails("to-tls", self.upstream().address, "", "it may expect TLS")

    def test_no_http2(self):
        command = ("openssl", "s_server", "-accept", "0", "-alpn", "http/1.1")
        command += ("-cert", self.made.crt("server"), "-key", self.made.key("server"))
        server = self.start_program(*command, stdin=subprocess.PIPE)
        line = server.stdout.readline()
        while line and b"ACCEPT" not in line:
            line = server.stdout.readline()
        port = int(line.split(b":")[-1])
        self.fails("no-h2", f"127.0.0.1:{port}", "plain-ca", "does not offer HTTP/2")

    def test_a_silent_peer_ends_with_the_connect_timeout(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = "127.0.0.1:%d" % silent.getsockname()[1]
            took = self.fails("silent", address, "plain-ca", "not connected within 1000 ms")
            self.assertTrue(0.9 < took < 10, took)
            self.remove("silent")

    def test_a_connection_that_nobody_wants_any_more_is_closed_before_its_settings_come(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.made.crt("server"), self.made.key("server"))
        context.set_alpn_protocols(["h2"])
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.settimeout(30)
            self.add("unwanted", "127.0.0.1:%d" % listening.getsockname()[1], "plain-ca",
                     activation=ENDPOINT.SHARED, connect_timeout=duration(20))
            connection = listening.accept()[0]
        connection.settimeout(30)
        with context.wrap_socket(connection, server_side=True) as secure:
            self.assertEqual(secure.recv(len(PREFACE)), PREFACE)
            self.remove("unwanted")
            eventually(lambda: self.daemon.live()["live.endpoints"] == 0, "the endpoint is gone")
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                secure.sendall(frame(SETTINGS) + frame(SETTINGS, ACK))
                while secure.recv(65536):
                    pass

    def test_the_core_writes_no_line_of_its_own(self):
        self.assertEqual([line for line in self.daemon.log("core") if "/tsi/" in line["file"]], [])

    def test_nothing_is_sent_to_an_upstream_that_is_not_trusted(self):
        upstream = self.upstream()
        self.add("secret", upstream.address, "wrong-ca", backoff=duration(0.05), metadata={"token": "secret"})
        consumer = self.consumer(subscribe_request(of("secret")))
        eventually(lambda: [s.state for s in consumer.received.states].count(UNAVAILABLE) > 3, "it fails")
        self.assertEqual(upstream.calls, [])


class Streams(WithTls):
    def test_bytes_pass_unchanged(self):
        messages = [b"", b"\x00\xff", bytes(range(256)) * 1000, b"last"]
        for name, upstream, tls in (
            ("one-way", self.upstream(), "plain-ca"),
            ("mutual", self.upstream(client_ca="ca"), "mutual"),
            ("named", self.upstream("elsewhere"), "named"),
        ):
            added = self.add(name, upstream.address, tls, metadata={"k": "v"})
            self.assertEqual(added.endpoint.tls, tls)
            consumer = self.consumer(subscribe_request(of(name), request=b"\x00request"))
            call = upstream.wait_calls(1)
            call.send(*messages)
            self.wait_datas(consumer, name, messages)
            self.assertEqual((call.requests, call.metadata["k"]), ([b"\x00request"], "v"))
        self.assertGreater(self.daemon.live()["live.upstream_bytes"], 3 * 90 * 1024)

    def test_an_authority_is_verified_where_no_server_name_is_set(self):
        upstream = self.upstream("elsewhere")
        self.add("authority", upstream.address, "plain-ca", authority="elsewhere.test")
        consumer = self.consumer(subscribe_request(of("authority")))
        upstream.wait_calls(1).send(b"x")
        self.wait_datas(consumer, "authority", [b"x"])

    def test_calls_of_an_endpoint_share_one_handshake(self):
        upstream = self.upstream()
        self.add("shared", upstream.address, "plain-ca")
        consumers = [self.consumer(subscribe_request(of("shared"))) for _ in range(20)]
        upstream.wait_calls(20)
        peers = {call.context.peer() for call in upstream.calls}
        self.assertEqual(len(peers), 1)
        for call in upstream.calls:
            call.send(b"x")
        for consumer in consumers:
            self.wait_datas(consumer, "shared", [b"x"])

    def test_a_call_that_waits_for_its_turn_can_be_cancelled(self):
        with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
            address = "127.0.0.1:%d" % silent.getsockname()[1]
            for i in range(30):
                self.add(f"w{i}", address, "plain-ca", connect_timeout=duration(2))
            consumer = self.consumer(subscribe_request(of("w*")))
            consumer.wait(lambda: len(consumer.received.states) >= 30, "all connect")
            consumer.cancel()
            for i in range(30):
                self.remove(f"w{i}")
            eventually(lambda: self.daemon.live()["live.upstream_bytes"] == 0, "nothing is kept")


class Rules(WithTls):
    def refused(self, code, reason, contains, **fields):
        fields = {"address": "127.0.0.1:1", "tls": "nosuch", **fields}
        fault = fault_of(lambda: self.daemon.admin().AddProducer(ADD(endpoint=endpoint("x", **fields))))
        self.assertEqual((fault.code, fault.reason), (code, reason), fault)
        for text in contains:
            self.assertIn(text, fault.message)

    def test_an_unknown_setting_is_refused_with_the_known_ones(self):
        self.refused(CODE.INVALID_ARGUMENT, "UNKNOWN_TLS", ("endpoint.tls", '"nosuch"', "system, plain-ca"))
        self.refused(CODE.INVALID_ARGUMENT, "UNKNOWN_TLS", ("endpoint.tls",), tls="x" * 1000)

    def test_the_tool_and_updates(self):
        upstream = self.upstream()
        tool = self.start_program(
            binary("tributary"), "producers", "add", "t", upstream.address, "/a.B/C", "--tls", "plain-ca"
        )
        self.assertEqual(tool.wait(30), 0, tool.stderr.read())
        self.addCleanup(self.remove, "t")
        self.assertEqual(self.daemon.producer("t").endpoint.tls, "plain-ca")
        consumer = self.consumer(subscribe_request(of("t")))
        first = upstream.wait_calls(1)
        self.daemon.admin().UpdateProducer(
            v1.UpdateProducerRequest(endpoint=endpoint("t", upstream.address, tls="mutual"))
        )
        self.assertTrue(first.over.wait(10))
        upstream.wait_calls(2).send(b"x")
        self.wait_datas(consumer, "t", [b"x"])

    def test_a_setting_allows_no_address_that_is_not_allowed(self):
        """A remote caller may name a setting, and only addresses of the allow-list."""
        local = [each for each in addresses() if not each.startswith("127.")]
        if not local:
            self.skipTest("this machine has no address but loopback")
        daemon = self.start_daemon(
            "--insecure-listen", "--dial-allow", "127.0.0.1:1*", *setting("s", self.made),
            listen=(f"{local[0]}:0",)
        )
        admin = v1.stub("Admin", self.channel(daemon.address))
        fault = fault_of(lambda: admin.AddProducer(ADD(endpoint=endpoint("n", "127.0.0.1:22", tls="s"))))
        self.assertEqual((fault.code, fault.reason), (CODE.PERMISSION_DENIED, "ADDRESS_NOT_ALLOWED"))
        admin.AddProducer(ADD(endpoint=endpoint("y", "127.0.0.1:1", tls="s")))
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)


def addresses():
    out = subprocess.run(["hostname", "-I"], capture_output=True, text=True).stdout
    return [each for each in out.split() if "." in each]


class Files(Case):
    shared_daemon = False

    @classmethod
    def setUpClass(cls):
        cls.made = make_certificates()
        cls.addClassCleanup(cls.made.close)

    def refused(self, text, *contains, code=1):
        process = subprocess.run(
            [binary(), "--listen", "127.0.0.1:0", "--upstream-tls", text], capture_output=True, text=True,
            timeout=60
        )
        self.assertEqual(process.returncode, code, process.stderr)
        for part in contains:
            self.assertIn(part, process.stderr)

    def test_the_form_is_checked(self):
        ca = self.made.crt("ca")
        for text, words in (
            (":ca=x", "a name has 1 to 64"),
            ("a b:ca=x", "a name has 1 to 64"),
            ("system:ca=x", "cannot be changed"),
            (f"a:cert={ca}", "cert and key must be given together"),
            ("a:ca", "needs a value"),
            ("a:ca=", "needs a value"),
            ("a:", "none of ca=FILE"),
            ("a:color=red", "none of ca=FILE"),
            ("a:ca=x,ca=y", "must be given once"),
            ("a:server-name=a/b", "server-name is a host name"),
        ):
            self.refused(text, "--upstream-tls", words, code=2)
        twice = ["--upstream-tls", f"a:ca={ca}"] * 2
        process = subprocess.run([binary(), *twice], capture_output=True, text=True, timeout=60)
        self.assertEqual((process.returncode, "given twice" in process.stderr), (2, True), process.stderr)

    def test_the_files_are_checked(self):
        made, folder = self.made, self.made.folder
        ca, crt, key = made.crt("ca"), made.crt("client"), made.key("client")

        def write(name, text, mode=0o600):
            (folder / name).write_bytes(text)
            os.chmod(folder / name, mode)
            return folder / name

        whole = crt.read_bytes()
        rsa = ("-newkey", "rsa:1024", "-nodes")
        made.issue("weak", "ca", key=rsa)
        encrypted = folder / "encrypted"
        subprocess.run(["openssl", "ec", "-in", str(key), "-out", str(encrypted), "-aes128", "-passout",
                        "pass:x"], check=True, capture_output=True)
        os.chmod(encrypted, 0o600)
        for text, words in (
            ("a:ca=/nosuch", "No such file"),
            (f"a:ca={folder}", "no regular file"),
            (f"a:ca={write('empty', b'')}", "it is empty"),
            (f"a:ca={write('text', b'hello')}", "no certificate in it"),
            (f"a:ca={write('nul', whole + bytes(1))}", "NUL"),
            (f"a:ca={write('cut', whole[:-60])}", "certificate 1 is damaged"),
            (f"a:ca={write('second', whole + whole[:-60])}", "certificate 2 is damaged"),
            (f"a:ca={write('large', b'x' * (1 << 20) + b'y')}", "over 1 MiB"),
            (f"a:ca={ca},cert={crt},key={made.key('server')}", "does not belong to the first certificate"),
            (f"a:ca={ca},cert={crt},key={write('open', key.read_bytes(), 0o604)}", "every user of"),
            (f"a:ca={ca},cert={crt},key={encrypted}", "the key is encrypted"),
            (f"a:ca={ca},cert={crt},key={write('none', whole)}", "no private key in it can be read"),
            (f"a:ca={ca},cert={made.crt('weak')},key={made.key('weak')}", "TLS refuses the certificate"),
        ):
            self.refused(text, "tls.refused", 'setting="a"', words)

    def test_a_key_that_a_group_may_read_is_no_fault(self):
        os.chmod(self.made.key("server"), 0o640)
        self.addCleanup(os.chmod, self.made.key("server"), 0o600)
        daemon = self.start_daemon(*setting("a", self.made, own="server"))
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)

    def test_our_certificate_has_expired(self):
        daemon = self.start_daemon(*setting("a", self.made, own="expired"))
        eventually(lambda: [line["setting"] for line in daemon.log("tls.expired")] == ["a"], "it is said")
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)

    def test_the_roots_of_the_system_may_be_elsewhere_or_missing(self):
        upstream = Upstream(tls=self.made.server("server"))
        self.addCleanup(upstream.stop)
        os.environ["SSL_CERT_FILE"] = str(self.made.crt("ca"))
        self.addCleanup(os.environ.pop, "SSL_CERT_FILE", None)
        daemon = self.start_daemon()
        daemon.admin().AddProducer(ADD(endpoint=endpoint("s", upstream.address, tls="system",
                                                         activation=ENDPOINT.SHARED)))
        upstream.wait_calls(1)
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)
        os.environ["SSL_CERT_FILE"] = "/nosuch"
        daemon = self.start_daemon()
        add = lambda: daemon.admin().AddProducer(ADD(endpoint=endpoint("s", upstream.address, tls="system")))
        fault = fault_of(add)
        self.assertEqual((fault.code, fault.reason), (CODE.FAILED_PRECONDITION, "TLS_NOT_READY"))
        eventually(lambda: [line["file"] for line in daemon.log("tls.refused")] == ["/nosuch"], "it is said")
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)


class Rotation(Case):
    shared_daemon = False

    def setUp(self):
        self.made = make_certificates()
        self.addCleanup(self.made.close)

    def hup(self, daemon, count):
        daemon.process.send_signal(signal.SIGHUP)
        read = lambda: daemon.log("tls.read") + daemon.log("tls.refused")
        eventually(lambda: len(read()) >= count, "files are read")

    def test_new_files_hold_for_new_connections_under_load(self):
        made = self.made
        upstream = Upstream(tls=made.server("server", "ca"), threads=80)
        self.addCleanup(upstream.stop)
        daemon = self.start_daemon(*setting("m", made, own="stranger"))
        add = lambda name: daemon.admin().AddProducer(
            ADD(endpoint=endpoint(name, upstream.address, tls="m", backoff=duration(0.05),
                                  max_backoff=duration(0.1)))
        )
        add("first")
        consumer = self.consumer(subscribe_request(of("*")), channel=self.channel(daemon.address))
        states = lambda: [state.state for state in consumer.received.states]
        consumer.wait(lambda: UNAVAILABLE in states(), "it is refused")
        for end in ("crt", "key"):
            (made.folder / f"stranger.{end}").write_bytes((made.folder / f"client.{end}").read_bytes())
        self.hup(daemon, 2)
        self.assertIn("changed", {line["files"] for line in daemon.log("tls.read")})
        flood = upstream.wait_calls(1)
        stop = threading.Event()

        def load():
            number = 0
            while not stop.is_set() and not flood.over.is_set():
                flood.send(b"%d" % number)
                number += 1
                time.sleep(0.001)

        thread = threading.Thread(target=load, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)
        # The first connection goes on while the files change; new ones have the new files.
        for round in range(3):
            name, good = f"n{round}", round % 2 == 1
            source = "client" if good else "server"
            made.issue(source, "ca" if good else "other", "DNS:client")
            for end in ("crt", "key"):
                (made.folder / f"stranger.{end}").write_bytes((made.folder / f"{source}.{end}").read_bytes())
            seen = len(upstream.calls)
            self.hup(daemon, 2 * round + 4)
            add(name)
            if good:
                upstream.wait_calls(seen + 1).send(b"new")
                consumer.wait(lambda: any(s == name for s, _, _, _ in consumer.received.events), name)
                daemon.admin().RemoveProducer(v1.RemoveProducerRequest(name=name))
            else:
                eventually(lambda: daemon.producer(name).HasField("failure"), "the new one is refused")
                daemon.admin().RemoveProducer(v1.RemoveProducerRequest(name=name))
            self.assertFalse(flood.over.is_set(), "the first connection keeps its certificate")
        got = [int(each.data) for name, _, _, each in consumer.received.events if name == "first"]
        self.assertEqual(got, list(range(len(got))))
        self.assertGreater(len(got), 100)
        consumer.cancel()
        stop.set()
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)

    def test_a_bad_file_changes_nothing(self):
        made = self.made
        upstream = Upstream(tls=made.server("server", "ca"))
        self.addCleanup(upstream.stop)
        daemon = self.start_daemon(*setting("m", made, own="client"), *setting("n", made))
        good = made.key("client").read_bytes()
        made.key("client").write_bytes(made.key("stranger").read_bytes())
        self.hup(daemon, 3)
        refused = daemon.log("tls.refused")
        self.assertEqual([(each["setting"], each["file"], each["kept"]) for each in refused],
                         [("m", str(made.key("client")), "the one before")])
        self.assertIn("does not belong", refused[0]["reason"])
        daemon.admin().AddProducer(ADD(endpoint=endpoint("s", upstream.address, tls="m",
                                                         activation=ENDPOINT.SHARED)))
        upstream.wait_calls(1)
        made.key("client").write_bytes(good)
        self.hup(daemon, 6)
        self.assertEqual(len(daemon.log("tls.refused")), 1)
        self.assertIsNone(daemon.process.poll(), "SIGHUP does not end it")
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)

    def test_many_signals_and_an_end_in_the_middle(self):
        daemon = self.start_daemon(*setting("m", self.made, own="client"))
        for _ in range(50):
            daemon.process.send_signal(signal.SIGHUP)
        daemon.terminate()
        self.assertEqual(daemon.wait(), 0)


class Many(WithTls):
    def test_100_endpoints_at_once_do_not_stop_the_others(self):
        upstream = self.upstream(threads=150)
        stop, waits = threading.Event(), []
        channel = self.ready_channel()
        admin = v1.stub("Admin", channel)

        def probe():
            while not stop.is_set():
                began = time.monotonic()
                admin.GetInfo(v1.GetInfoRequest(), timeout=60)
                waits.append(time.monotonic() - began)

        thread = threading.Thread(target=probe)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)
        for i in range(100):
            self.add(f"many-{i}", upstream.address, "plain-ca")
        before = len(waits)
        consumer = self.consumer(subscribe_request(of("many-*")))
        upstream.wait_calls(100, patience=60)
        after = len(waits)
        stop.set()
        thread.join()
        for call in upstream.calls:
            call.send(b"x")
        consumer.wait_events(100)
        during = sorted(waits[before:after])
        print(f"{len(during)} probes while 100 connected: median {during[len(during) // 2] * 1e3:.1f} ms, "
              f"longest {during[-1] * 1e3:.1f} ms")
        # Without turns, the wire thread would not answer before all handshakes are over.
        self.assertGreater(len(during), 10)

    def test_silent_peers_do_not_keep_others_waiting(self):
        upstream = self.upstream()
        with socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
            address = "127.0.0.1:%d" % silent.getsockname()[1]
            for i in range(40):
                self.add(f"silent-{i}", address, "plain-ca", activation=ENDPOINT.SHARED,
                         connect_timeout=duration(20))
            began = time.monotonic()
            self.add("honest", upstream.address, "plain-ca", activation=ENDPOINT.SHARED)
            upstream.wait_calls(1)
            self.assertLess(time.monotonic() - began, 10)
            for i in range(40):
                self.remove(f"silent-{i}")


if __name__ == "__main__":
    main()
