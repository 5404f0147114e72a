#!/usr/bin/python3
"""Compressed messages of upstreams: rule 13 of docs/fan-in.md, and the same for producers that the server
dials. gzip and deflate are inflated within the bound of a message; everything else is refused."""
import gzip
import time
import zlib

import grpc

from harness.case import main
from harness.client import subscribe_request
from harness.daemon import PATIENCE, eventually
from harness.endpoints import batch
from harness.fanin import METHOD, WithFanIn
from harness.h2frames import message
from harness.protos import v1
from harness.reflection import FEED, TYPES, Client, Reflecting
from harness.sessions import of
from test_endpoint_failures import Raw

CODE = grpc.StatusCode
KINDS = (grpc.Compression.Gzip, grpc.Compression.Deflate)
ENCODINGS = {"gzip": gzip.compress, "deflate": zlib.compress}
MAX = 1 << 20
FRAME = 16384  # the most that every peer takes
NATIVE = "/tributary.v1.Upstream/Produce"


def speaks(encoding, *messages, then=lambda peer: peer.hold()):
    """An upstream that answers each call with these messages, as they are, flagged as compressed."""

    def act(peer):
        peer.call()
        peer.headers(("grpc-encoding", encoding))
        for each in messages:
            whole = message(each, 1)
            for begin in range(0, len(whole), FRAME):
                peer.data(whole[begin:begin + FRAME])
        then(peer)

    return Raw(act)


def ok(peer):
    peer.trailers(("grpc-status", "0"))
    peer.hold()


class Compressed(WithFanIn):
    def compressing(self, name, kind, **fields):
        upstream = self.upstream(compression=kind)
        self.add(name, upstream.address, **fields)
        return upstream

    def raw(self, name, upstream, **fields):
        self.addCleanup(upstream.stop)
        self.add(name, upstream.address, **{"method": "", "serve": [METHOD], **fields})

    def test_answers_of_servers_that_compress_pass_on_in_order(self):
        sent = [b"%d:" % i + bytes(range(256)) * (i % 40) for i in range(200)] + [b"", b"z" * (MAX - 10)]
        for i, kind in enumerate(KINDS):
            upstream = self.compressing(f"web-{i}", kind, method="", serve=[METHOD])
            call = self.call()
            there = upstream.wait_calls(1)
            there.send(*sent)
            there.end()
            self.assertEqual(call.wait_end(), CODE.OK)
            self.assertEqual(call.messages, sent)
            self.remove(f"web-{i}")

    def test_events_of_servers_that_compress(self):
        for i, kind in enumerate(KINDS):
            for method, messages, want in (("/demo.Feed/Watch", [b"a" * 1000, b"b"], [b"a" * 1000, b"b"]),
                                           (NATIVE, [batch(1, 2), batch(3)], None)):
                with self.subTest(kind=kind, method=method):
                    name = f"e{i}{len(method)}"
                    upstream = self.compressing(name, kind, method=method)
                    consumer = self.consumer(subscribe_request(of(name)))
                    there = upstream.wait_calls(1)
                    there.send(*messages)
                    if want:
                        self.wait_datas(consumer, name, want)
                    else:
                        consumer.wait(lambda: len(self.datas(consumer, name)) == 3, "three events")
                    self.remove(name)

    def test_a_unary_answer_and_the_status_behind_it(self):
        upstream = self.compressing("one", KINDS[0], method="", serve=[f"{METHOD},answer=first-ok"])
        call = self.call()
        there = upstream.wait_calls(1)
        there.send(b"answer" * 100)
        there.end()
        self.assertEqual((call.wait_end(), call.messages), (CODE.OK, [b"answer" * 100]))

    def test_both_formats_in_several_pieces(self):
        for encoding, compress in ENCODINGS.items():
            pieces = [compress(b"piece" * n) for n in range(1, 20)]
            self.raw(encoding, speaks(encoding, *pieces, then=ok))
            call = self.call()
            self.assertEqual(call.wait_end(), CODE.OK, call.details)
            self.assertEqual(call.messages, [b"piece" * n for n in range(1, 20)])
            self.remove(encoding)

    def test_a_bomb_is_refused_with_its_bound(self):
        for encoding, compress in ENCODINGS.items():
            for then in (lambda peer: peer.hold(), ok):
                self.raw("bomb", speaks(encoding, compress(b"good"), compress(bytes(60 << 20)), then=then))
                call = self.call()
                self.assertEqual(call.wait_end(), CODE.RESOURCE_EXHAUSTED, call.details)
                self.assertEqual(call.messages, [b"good"])
                self.remove("bomb")
        self.raw("bomb", speaks("gzip", gzip.compress(bytes(MAX + 1))))
        call = self.call()
        self.assertEqual(call.wait_end(), CODE.RESOURCE_EXHAUSTED)
        self.assertIn("at most 1048576 bytes, decompressed", call.details)

    def test_what_cannot_be_inflated_is_refused(self):
        whole = gzip.compress(b"x" * 1000)
        for encoding, wrong, code in (("gzip", whole[:-1], CODE.INVALID_ARGUMENT),
                                      ("gzip", b"", CODE.INVALID_ARGUMENT),
                                      ("gzip", whole + b"x", CODE.INVALID_ARGUMENT),
                                      ("gzip", zlib.compress(b"x"), CODE.INVALID_ARGUMENT),
                                      ("deflate", whole, CODE.INVALID_ARGUMENT),
                                      ("snappy", b"x", CODE.UNIMPLEMENTED),
                                      ("identity", b"x", CODE.UNIMPLEMENTED)):
            with self.subTest(encoding=encoding, wrong=wrong[:20]):
                self.raw("wrong", speaks(encoding, wrong))
                call = self.call()
                self.assertEqual((call.wait_end(), call.messages), (code, []), call.details)
                self.remove("wrong")

    def test_a_producer_whose_message_is_refused_fails_also_behind_an_OK(self):
        self.raw("bad", speaks("gzip", gzip.compress(bytes(2 << 20)), then=ok), serve=[], method=METHOD,
                 restart=v1.Endpoint.NEVER)
        consumer = self.consumer(subscribe_request(of("bad")))
        consumer.wait(lambda: [state for state in consumer.received.states if state.error.code == 8],
                      "it has failed with RESOURCE_EXHAUSTED")

    def test_many_large_messages_do_not_delay_others(self):
        """As many as a turn has time for are inflated in it, and the others wait."""
        large = [gzip.compress(bytes(MAX - 100))] * 30
        for i in range(20):
            self.raw(f"large-{i}", speaks("gzip", *large, then=ok), serve=["/demo.Large/Watch"])
        witness = self.serving("witness")
        call, flood = self.call(), self.call(method="/demo.Large/Watch")
        there, slowest = witness.wait_calls(1), 0
        for number in range(1, 60):
            began = time.monotonic()
            there.send(b"%d" % number)
            call.wait(number)
            slowest = max(slowest, time.monotonic() - began)
        self.assertEqual(flood.wait_end(4 * PATIENCE), CODE.OK, flood.details)
        self.assertEqual(len(flood.messages), 600)
        self.assertEqual({len(each) for each in flood.messages}, {MAX - 100})
        self.assertLess(slowest, 1, "the other upstream's messages pass")
        eventually(lambda: self.daemon.counters()["live.deflated_bytes"] == 0, "nothing waits any more")

    def test_a_client_may_go_and_an_endpoint_be_removed_while_messages_wait(self):
        large = [bytes(MAX - 100)] * 30
        upstreams = [self.compressing(f"large-{i}", KINDS[0], method="", serve=[METHOD]) for i in range(4)]
        for number in range(5):
            calls = [self.call() for _ in range(4)]
            for upstream in upstreams:
                upstream.wait_calls(4 * number + 4)
                for there in upstream.calls[-4:]:
                    there.send(*large)
            calls[0].wait(1)
            for call in calls:
                call.cancel()
        call = self.call()
        for upstream in upstreams:
            upstream.wait_calls(21).send(*large)
        call.wait(1)
        for i in range(4):
            self.remove(f"large-{i}")
        call.wait_end()
        counters = self.daemon.counters
        eventually(lambda: counters()["live.deflated_bytes"] == 0 and counters()["live.dials"] == 0,
                   "nothing is left")

    def test_reflection_that_compresses(self):
        for kind in KINDS:
            upstream = Reflecting(TYPES, FEED, compression=kind)
            self.addCleanup(upstream.stop)
            self.add("a", upstream.address, method="", serve=[METHOD])
            client = Client(self.fan_in)
            self.assertEqual(client.files(file_containing_symbol="demo.Feed"),
                             ["demo/feed.proto", "demo/types.proto"])
            client.close()
            self.remove("a")


if __name__ == "__main__":
    main()
