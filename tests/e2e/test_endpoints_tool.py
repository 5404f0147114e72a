#!/usr/bin/python3
"""Producers that the server dials, as people add, change and look at them with the tool: against an
Admin service that answers what the test wants, and against the daemon with an upstream that serves a
method of its own."""
import json
import subprocess
import tempfile
import threading
from concurrent import futures

import grpc

from harness.case import main
from harness.daemon import PATIENCE, eventually
from harness.protos import POOL, message_class, v1
from test_tool import Tool, width_of

METHOD = "/test.Feed/Follow"


def serve(*handlers):
    """A server of gRPC on a port of its own: (address, what ends it)."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
    server.add_generic_rpc_handlers(handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return f"127.0.0.1:{port}", lambda: server.stop(0).wait(PATIENCE)


class Admin:
    """An Admin service that keeps requests, and answers with what the test has put in."""

    def __init__(self):
        self.requests = []
        self.producers = []  # of ListProducers; the last one is of GetProducer
        self.error = None  # (code, text)
        methods = {}
        for method in POOL.FindServiceByName("tributary.v1.Admin").methods:
            methods[method.name] = grpc.unary_unary_rpc_method_handler(
                lambda request, context, name=method.name: self._answer(name, request, context),
                request_deserializer=message_class(method.input_type.full_name).FromString,
                response_serializer=lambda answer: answer.SerializeToString(),
            )
        self.handler = grpc.method_handlers_generic_handler("tributary.v1.Admin", methods)

    def _answer(self, name, request, context):
        self.requests.append(request)
        if self.error:
            context.abort(*self.error)
        if name == "ListProducers":
            return v1.ListProducersResponse(producers=self.producers)
        if name in ("AddProducer", "UpdateProducer"):
            kept = not request.endpoint.labels
            return v1.Producer(
                name=request.endpoint.name,
                kind=3,
                state=2,
                endpoint=request.endpoint,
                kept=kept,
                not_kept_reason=not kept,
            )
        return self.producers[-1]


def endpoint(name, address="ipv4:127.0.0.1:9", method=METHOD, **fields):
    return v1.Endpoint(name=name, address=address, method=method, **fields)


def refused(address="127.0.0.1:9"):
    """How a dial fails where nothing listens, in the words of gRPC core."""
    return message_class("tributary.v1.Producer.Failure")(
        code=14,
        message=f"failed to connect to all addresses; last error: UNKNOWN: ipv4:{address}: Failed to connect "
        "to remote host: Connection refused",
        where=1,
        time_unix_nano=1_700_000_000_000_000_000,
    )


class Commands(Tool):
    """What is sent, and what is printed."""

    shared_daemon = False

    def setUp(self):
        super().setUp()
        self.admin = Admin()
        address, stop = serve(self.admin.handler)
        self.addCleanup(stop)
        self.daemon = type("Address", (), {"address": address})()

    def sent(self):
        return self.admin.requests[-1]

    def test_everything_that_is_given_is_sent(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"\0file\n")
            file.flush()
            words = ["--request-file", file.name, "--request", "text"]
            words += ["--request-hex", "00 FF", "--request", ""]
            words += ["--half-close", "keep-open", "--metadata", "token=a=b", "--metadata", "x="]
            words += ["--label", "zone=eu", "--activation", "shared", "--restart", "always"]
            words += ["--backoff", "20ms", "--max-backoff", "1m30s", "--connect-timeout", "2"]
            words += ["--first-message-timeout", "3s", "--idle-timeout", "1h", "--decode", "raw"]
            words += ["--authority", "a.b", "--tls", "partner"]
            out, err = self.run_tool("producers", "add", "n", "dns:a:1", "test.Feed/Follow", *words)
        self.assertEqual(out, f"n is added: {METHOD} at dns:a:1, shared, CONNECTING\n")
        self.assertEqual(err, "It does not survive a restart of the server: the server has no --state-dir.\n")
        want = endpoint(
            "n",
            "dns:a:1",
            requests=[b"\0file\n", b"text", b"\0\xff", b""],
            half_close=2,
            metadata={"token": "a=b", "x": ""},
            labels={"zone": "eu"},
            activation=2,
            restart=2,
            decode=3,
            authority="a.b",
            tls="partner",
        )
        want.backoff.FromMilliseconds(20)
        want.max_backoff.FromSeconds(90)
        want.connect_timeout.FromSeconds(2)
        want.first_message_timeout.FromSeconds(3)
        want.idle_timeout.FromSeconds(3600)
        self.assertEqual(self.sent().endpoint, want)
        self.assertEqual(self.sent().on_duplicate, v1.AddProducerRequest.REJECT)
        out, err = self.run_tool("producers", "update", "n", "dns:a:2")
        self.assertEqual(err, "", "it is kept")
        native = "/tributary.v1.Upstream/Produce"
        self.assertEqual(out, f"n is changed: {native} at dns:a:2, per-consumer, CONNECTING\n")
        self.assertEqual(self.sent().endpoint, endpoint("n", "dns:a:2", ""))

    def test_a_request_comes_from_standard_input(self):
        words = ("producers", "add", "n", "a:1", METHOD, "--request-file", "-")
        process = self.tool(*words, stdin=subprocess.PIPE, text=False)
        out, err = process.communicate(b"\0\xff\n" * 1000, timeout=PATIENCE)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(list(self.sent().endpoint.requests), [b"\0\xff\n" * 1000])

    def test_a_refusal_is_printed_with_what_to_do(self):
        for code, number, words, hint in (
            (grpc.StatusCode.ALREADY_EXISTS, 70, ["add", "n", "a:1"], "With --replace"),
            (grpc.StatusCode.NOT_FOUND, 4, ["update", "n", "a:1"], "'tributary producers add'"),
            (grpc.StatusCode.PERMISSION_DENIED, 71, ["add", "n", "a:1"], "no --dial-allow"),
            (grpc.StatusCode.UNAVAILABLE, 3, ["add", "n", "a:1", "--replace"], "going away"),
            (grpc.StatusCode.UNIMPLEMENTED, 76, ["add", "n", "a:1"], "does not know this call"),
        ):
            self.admin.error = (code, "no --dial-allow, going away")
            out, err = self.run_tool("producers", *words, code=number)
            self.assertEqual(out, "")
            self.assertIn(hint, err)
            self.assertNotIn("restart of the server", err)
        self.assertEqual(self.admin.requests[-2].on_duplicate, v1.AddProducerRequest.REPLACE)

    def test_options_are_checked_before_anything_is_sent(self):
        for words, parts in (
            (["n"], ["address is missing"]),
            (["n", "a"], ["address 'a'", "port 1 to 65535"]),
            (["n", "a:1", "m"], ["method 'm'", "/PACKAGE.SERVICE/METHOD"]),
            (["n", "a:1", "--backoff", "9ms"], ["--backoff '9ms'", "10ms to 1h"]),
            (["n", "a:1", "--max-backoff", "2h"], ["--max-backoff '2h'", "10ms to 1h"]),
            (["n", "a:1", "--connect-timeout", "0"], ["--connect-timeout '0'", "10ms to 1h"]),
            (["n", "a:1", "--idle-timeout", "25h"], ["--idle-timeout '25h'", "10ms to 24h"]),
            (["n", "a:1", "--first-message-timeout", "1ms"], ["'1ms'", "10ms to 24h"]),
            (["n", "a:1", "--half-close", "never"], ["--half-close 'never'", "after-requests|keep-open"]),
            (["n", "a:1", "--restart", "no"], ["--restart 'no'", "on-failure|always|never"]),
            (["n", "a:1", "--metadata", "x"], ["--metadata 'x'", "NAME=VALUE"]),
            (["n", "a:1", "--request-hex", "f"], ["--request-hex 'f'", "hex"]),
        ):
            _, err = self.run_tool("producers", "add", *words, code=2)
            for part in parts:
                self.assertIn(part, err)
        self.run_tool("producers", "update", "n", "a:1", "--replace", code=2)
        _, err = self.run_tool("producers", "add", "n", "a:1", "--request-file", "/nonexistent/file", code=1)
        self.assertIn("/nonexistent/file: No such file or directory", err)
        self.assertEqual(self.admin.requests, [])

    def many(self):
        """30 producers: sessions, endpoints that are well, endpoints that are not."""
        for n in range(10):
            self.admin.producers.append(v1.Producer(name=f"web-{n}", kind=2, state=3, last_sequence=n))
        for n in range(10):
            name = f"payment-service-production-eu-west-1-pod-{n}-7f9c"
            self.admin.producers.append(v1.Producer(name=name, kind=3, state=3, endpoint=endpoint(name)))
        for n in range(10):
            name = f"feed-{n}"
            self.admin.producers.append(
                v1.Producer(name=name, kind=3, state=5, endpoint=endpoint(name), failure=refused())
            )

    def test_a_list_of_30_producers_fits_80_columns(self):
        self.many()
        lines = self.show(80, 50, "producers", "ls").splitlines()
        self.assertEqual(len(lines), 31)
        self.assertLessEqual(max(map(width_of, lines)), 80)
        column = lines[0].index("state")
        states = [line[column:].split()[0] for line in lines[1:]]
        self.assertEqual(states, 20 * ["ACTIVE"] + 10 * ["UNAVAILABLE"])
        self.assertEqual(sum("endpoint" in line for line in lines), 20)
        self.assertNotIn("failure", lines[0])

    def test_the_failure_is_shown_where_it_fits(self):
        self.many()
        del self.admin.producers[:20]
        lines = self.show(80, 50, "producers", "ls").splitlines()
        self.assertLessEqual(max(map(width_of, lines)), 80)
        self.assertIn("nothing listens", lines[1])
        self.assertTrue(lines[1].endswith("…"), lines[1])
        lines = self.show(120, 50, "producers", "ls").splitlines()
        self.assertTrue(lines[1].endswith("  nothing listens at ipv4:127.0.0.1:9"), lines[1])
        out, _ = self.run_tool("producers", "ls", "-o", "wide")
        self.assertTrue(out.splitlines()[1].endswith(" at ipv4:127.0.0.1:9  ipv4:127.0.0.1:9"), out)
        self.admin.producers[0].failure.where = 2
        self.admin.producers[0].failure.message = "bad\nthing"
        out, _ = self.run_tool("producers", "ls")
        self.assertIn("UNAVAILABLE: bad\\nthing\n", out)

    def test_get_shows_the_whole_endpoint(self):
        added = endpoint(
            "n",
            requests=[bytes(range(40)), b""],
            metadata={"token": "***"},
            labels={"zone": "eu"},
            half_close=2,
            restart=3,
            decode=2,
            authority="a.b", tls="partner",
        )
        added.backoff.FromMilliseconds(500)
        added.idle_timeout.FromSeconds(60)
        self.admin.producers = [
            v1.Producer(name="n", kind=3, state=5, endpoint=added, upstream_calls=2, failure=refused())
        ]
        out, _ = self.run_tool("producers", "get", "n")
        lines = {line[:15].rstrip(): line[15:] for line in out.splitlines()}
        for name, value in (
            ("kind", "endpoint"),
            ("state", "UNAVAILABLE"),
            ("peer", "ipv4:127.0.0.1:9"),
            ("address", "ipv4:127.0.0.1:9"),
            ("method", METHOD),
            ("activation", "per-consumer"),
            ("upstream calls", "2"),
            ("request 1", "40 bytes: " + bytes(range(32)).hex() + "..."),
            ("request 2", "0 bytes"),
            ("half-close", "keep-open"),
            ("metadata", "token=***"),
            ("labels", "zone=eu"),
            ("restart", "never"),
            ("backoff", "500 ms"),
            ("max backoff", "30 s"),
            ("connect", "10 s"),
            ("first message", "no bound"),
            ("idle", "60 s"),
            ("decode", "event-batch"),
            ("authority", "a.b"),
            ("  cause", "nothing listens at ipv4:127.0.0.1:9"),
            ("  message", refused().message),
        ):
            self.assertEqual(lines.get(name), value, (name, out))
        self.assertRegex(lines["failure"], r"^DIAL, UNAVAILABLE, .* ago \(2023-11-14T22:13:20\.000000000Z\)$")
        out, _ = self.run_tool("producers", "get", "n", "-o", "json")
        shown = json.loads(out)
        self.assertEqual((shown["kind"], shown["upstream_calls"]), ("endpoint", 2))
        self.assertEqual(
            shown["endpoint"],
            {
                "address": "ipv4:127.0.0.1:9",
                "method": METHOD,
                "requests": [{"bytes": 40, "hex": bytes(range(40)).hex()}, {"bytes": 0, "hex": ""}],
                "half_close": "keep-open",
                "metadata": {"token": "***"},
                "labels": {"zone": "eu"},
                "activation": "per-consumer",
                "restart": "never",
                "backoff_ns": 500_000_000,
                "max_backoff_ns": 30_000_000_000,
                "connect_timeout_ns": 10_000_000_000,
                "first_message_timeout_ns": 0,
                "idle_timeout_ns": 60_000_000_000,
                "decode": "event-batch",
                "authority": "a.b",
                "tls": "partner",
                "each_address": False,
                "key_field": "",
                "time_field": "",
                "history_events": 0,
                "history_bytes": 0,
                "serve": [],
                "serve_request_metadata": [],
                "serve_answer_metadata": [],
            },
        )
        self.assertEqual(
            shown["failure"],
            {
                "where": "DIAL",
                "code": "UNAVAILABLE",
                "message": refused().message,
                "time": "2023-11-14T22:13:20.000000000Z",
            },
        )


class Feed:
    """An upstream with one method, which answers with a stream of bytes that are nobody's messages."""

    def __init__(self):
        self.calls = []  # (requests, metadata)
        self.active = 0
        self.lock = threading.Lock()
        self.handler = grpc.method_handlers_generic_handler(
            "test.Feed", {"Follow": grpc.unary_stream_rpc_method_handler(self._follow)}
        )

    def _follow(self, request, context):
        with self.lock:
            self.calls.append((request, dict(context.invocation_metadata())))
            self.active += 1
        over = threading.Event()
        try:
            if not context.add_callback(over.set):  # it is over already
                return
            for number in range(3):
                yield b"\0\xff" + request + b" %d" % number
            over.wait()
        finally:  # a generator of a call that is over may not be resumed
            with self.lock:
                self.active -= 1


class Live(Tool):
    """The daemon dials."""

    def setUp(self):
        super().setUp()
        self.feed = Feed()
        self.address, stop = serve(self.feed.handler)
        self.addCleanup(stop)
        self.names = []
        self.addCleanup(self._remove)

    def _remove(self):
        for name in self.names:
            self.tool("producers", "rm", "--cancel", name).communicate(timeout=PATIENCE)

    def add(self, name, *words, code=0):
        self.names.append(name)
        return self.run_tool("producers", "add", name, self.address, METHOD, *words, code=code)

    def get(self, name):
        return json.loads(self.run_tool("producers", "get", name, "-o", "json")[0])

    def test_a_foreign_stream_becomes_a_producer(self):
        out, _ = self.add("feed", "--request", "hello", "--metadata", "token=secret", "--label", "zone=eu")
        self.assertRegex(out, rf"^feed is added: {METHOD} at {self.address}, per-consumer, [A-Z]+\n$")
        out, _ = self.run_tool("sub", "-n", "3", "-o", "jsonl", "-l", "zone=eu")
        events = [json.loads(line) for line in out.splitlines()]
        self.assertEqual({event["producer"] for event in events}, {"feed"})
        self.assertEqual({event["content_type"] for event in events}, {f"application/grpc; method={METHOD}"})
        self.assertEqual(len({event["data_base64"] for event in events}), 3)
        request, metadata = self.feed.calls[0]
        self.assertEqual((request, metadata["token"]), (b"hello", "secret"))
        eventually(lambda: self.feed.active == 0, "the upstream call ends with its consumer")
        shown = self.get("feed")
        self.assertEqual(shown["endpoint"]["metadata"], {"token": "***"})
        self.assertEqual(shown["endpoint"]["requests"], [{"bytes": 5, "hex": b"hello".hex()}])
        self.assertNotIn("secret", self.run_tool("producers", "ls", "-o", "wide")[0])

    def test_an_update_replaces_the_upstream_call(self):
        self.add("feed", "--request", "one", "--activation", "shared")
        eventually(lambda: self.get("feed")["state"] == "ACTIVE", "it is active")
        words = (METHOD, "--request", "two", "--activation", "shared")
        out, _ = self.run_tool("producers", "update", "feed", self.address, *words)
        self.assertIn("feed is changed: ", out)
        eventually(lambda: [call[0] for call in self.feed.calls] == [b"one", b"two"], "it is called again")
        eventually(lambda: self.feed.active == 1, "the call before is over")
        self.assertIn("add", self.run_tool("producers", "update", "nobody", self.address, code=4)[1])
        out, _ = self.run_tool("producers", "drain", "--drain", "1s", "feed")
        self.assertIn("feed is removed: ", out)
        self.assertIn("; 1 call ended\n", out)
        eventually(lambda: self.feed.active == 0, "the upstream call is over")

    def test_a_name_that_is_taken_is_refused_or_replaced(self):
        self.add("feed")
        self.assertIn("--replace", self.add("feed", code=64 + 6)[1])
        self.add("feed", "--replace", "--label", "new=1")
        self.assertEqual(self.get("feed")["endpoint"]["labels"], {"new": "1"})

    def test_a_dead_upstream_is_listed_with_its_failure(self):
        words = ("dead", "ipv4:127.0.0.1:1", METHOD, "--activation", "shared", "--backoff", "1h")
        self.names.append("dead")
        self.run_tool("producers", "add", *words, "--max-backoff", "1h")
        eventually(lambda: self.get("dead")["state"] == "UNAVAILABLE", "the dial fails")
        failure = self.get("dead")["failure"]
        self.assertEqual((failure["where"], failure["code"]), ("DIAL", "UNAVAILABLE"))
        out, _ = self.run_tool("producers", "ls", "dead")
        self.assertIn("endpoint", out)
        self.assertIn("nothing listens at ipv4:127.0.0.1:1", out)
        self.assertIn("nothing listens at", self.run_tool("producers", "get", "dead")[0])


if __name__ == "__main__":
    main()
