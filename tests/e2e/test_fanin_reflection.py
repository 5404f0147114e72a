#!/usr/bin/python3
"""Reflection at --fan-in: rule 4 of docs/fan-in.md, of descriptors that are given with endpoints, and of the
upstreams' own reflection."""
import signal
import tempfile
import threading
import time

import grpc

from harness.case import main
from harness.daemon import Daemon, eventually
from harness.endpoints import ADD, endpoint
from harness.fanin import METHOD, WithFanIn
from harness.protos import fault_of
from harness.reflection import FEED, TYPES, V1, V1ALPHA, Client, Reflecting, file, file_set, pool_of

SET = file_set(TYPES, FEED)
NOT_FOUND, UNAVAILABLE = grpc.StatusCode.NOT_FOUND.value[0], grpc.StatusCode.UNAVAILABLE.value[0]


class WithReflection(WithFanIn):
    def client(self, version=V1):
        client = Client(self.fan_in, version)
        self.addCleanup(client.call.cancel)
        return client

    def reflecting(self, name, *files, serve=(METHOD,), versions=(V1, V1ALPHA), **fields):
        upstream = Reflecting(*files, versions=versions)
        self.addCleanup(upstream.stop)
        self.add(name, upstream.address, method="", serve=list(serve), **fields)
        return upstream


class Listing(WithReflection):
    def test_the_services_of_all_endpoints_are_listed_once(self):
        self.assertEqual(self.client().services(), [])
        self.serving("a", ["/demo.Feed/Watch", "/demo.Feed/Other", "/demo.Store/*"])
        self.serving("b", ["/demo.Feed/*"])
        for version in (V1, V1ALPHA):
            self.assertEqual(self.client(version).services(), ["demo.Feed", "demo.Store"])
        self.remove("a")
        self.assertEqual(self.client().services(), ["demo.Feed"])

    def test_our_own_services_are_not_among_them(self):
        self.serving("a")
        self.assertEqual(self.client().error(file_containing_symbol="tributary.v1.Admin")[0], UNAVAILABLE)
        self.assertEqual(self.client().error(file_by_filename="tributary/v1/admin.proto")[0], UNAVAILABLE)

    def test_an_endpoint_that_serves_reflection_itself_answers_alone(self):
        self.serving("a", descriptor_set=SET)
        upstream = self.serving("reflection", ["/grpc.reflection.v1.ServerReflection/*,requests=many"])
        call = self.call(b"\x3a\x00", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                         half_close=False)
        there = upstream.wait_calls(1)
        there.send(b"raw")
        self.assertEqual(call.wait(1), [b"raw"])
        other = self.call(b"\x3a\x00", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        self.assertEqual(other.wait_end(), grpc.StatusCode.UNIMPLEMENTED)
        self.remove("reflection")
        self.assertEqual(self.client(V1ALPHA).services(), ["demo.Feed"])

    def test_a_request_for_nothing_is_answered_and_junk_ends_the_call(self):
        self.serving("a", descriptor_set=SET)
        self.assertEqual(self.client().error()[0], grpc.StatusCode.INVALID_ARGUMENT.value[0])
        for junk in (b"\x0a\xff", b"\x22\x05abc", b"\xff" * 20):
            call = self.call(junk, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
            self.assertEqual(call.wait_end(), grpc.StatusCode.INVALID_ARGUMENT, junk)
        call = self.call(b"\x22\x80\x80\x08" + b"x" * 131072,
                         "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        self.assertEqual(call.wait_end(), grpc.StatusCode.INVALID_ARGUMENT)


class Given(WithReflection):
    def test_descriptors_of_an_endpoint_describe_its_services_and_their_methods(self):
        upstream = self.serving("a", descriptor_set=SET)
        client = self.client()
        for symbol in ("demo.Feed", "demo.Feed.Watch"):
            self.assertEqual(client.files(file_containing_symbol=symbol),
                             ["demo/feed.proto", "demo/types.proto"])
        answer = client.request(file_containing_symbol="demo.Feed")
        self.assertEqual(pool_of(answer).FindServiceByName("demo.Feed").methods[0].name, "Watch")
        self.assertEqual(client.files(file_containing_symbol="demo.Ask"), ["demo/types.proto"])
        self.assertEqual(client.files(file_by_filename="demo/types.proto"), ["demo/types.proto"])
        numbers = client.request(all_extension_numbers_of_type="demo.Ask").all_extension_numbers_response
        self.assertEqual((numbers.base_type_name, list(numbers.extension_number)), ("demo.Ask", []))
        self.assertEqual(client.error(file_containing_symbol="demo.None")[0], NOT_FOUND)
        self.assertEqual(client.error(file_by_filename="none.proto")[0], NOT_FOUND)
        self.assertEqual(client.close(), [])
        self.assertEqual(upstream.calls, [], "nobody asked the upstream")

    def test_one_of_two_endpoints_is_enough(self):
        self.serving("a")
        self.serving("b", descriptor_set=SET)
        self.assertEqual(self.client().files(file_containing_symbol="demo.Feed"),
                         ["demo/feed.proto", "demo/types.proto"])

    def test_wrong_descriptors_are_refused_with_the_reason(self):
        circle = [file("a.proto", imports=["b.proto"]), file("b.proto", imports=["a.proto"])]
        for set_, words in (
            (b"junk", "no FileDescriptorSet"),
            (SET[:-1], "no FileDescriptorSet"),
            (file_set(FEED), "demo/types.proto"),
            (file_set(*circle), "in a circle"),
            (file_set(TYPES, file("other.proto", messages=["Ask"])), "twice"),
            (file_set(TYPES, file("demo/types.proto")), "other content"),
            (file_set(*[file(f"{i}") for i in range(1025)]), "1024"),
            (file_set(file("")), "malformed"),
            (b"\x0a\x03\x0a\x01a" * 100000, "1024"),
            (file_set(file("big", messages=["m" * 600])), "too long"),
        ):
            with self.subTest(words):
                fault = fault_of(lambda: self.add("a", "127.0.0.1:1", serve=[METHOD], descriptor_set=set_))
                self.assertEqual(fault.fields, ["endpoint.descriptor_set"], fault)
                self.assertIn(words, fault.message)
        fault = fault_of(lambda: self.add("a", "127.0.0.1:1", descriptor_set=SET))
        self.assertIn("only with endpoint.serve", fault.message)
        self.assertEqual(self.client().services(), [])

    def test_the_same_file_twice_and_any_order_are_allowed(self):
        self.serving("a", descriptor_set=file_set(FEED, TYPES, FEED))
        self.assertEqual(self.client().files(file_containing_symbol="demo.Feed"),
                         ["demo/feed.proto", "demo/types.proto"])

    def test_lists_leave_them_out_and_an_update_replaces_them(self):
        upstream = self.serving("a", descriptor_set=SET)
        self.assertEqual(self.daemon.producer("a").endpoint.descriptor_set, b"")
        self.assertEqual(self.daemon.producer("a").endpoint.serve, [METHOD])
        other = file_set(TYPES, file("new.proto", imports=["demo/types.proto"], services=["Feed"]))
        self.add("a", upstream.address, on_duplicate=2, method="", serve=[METHOD], descriptor_set=other)
        self.assertEqual(self.client().files(file_containing_symbol="demo.Feed"),
                         ["new.proto", "demo/types.proto"])

    def test_what_is_kept_for_peers_comes_back(self):
        before = self.daemon.counters()["live.fanin_bytes"]
        self.serving("a", descriptor_set=SET)
        self.assertGreater(self.daemon.counters()["live.fanin_bytes"], before + len(SET))
        self.client().files(file_containing_symbol="demo.Feed")
        self.remove("a")
        eventually(lambda: self.daemon.counters()["live.fanin_bytes"] == before, "the bytes are given back")


class Restart(WithReflection):
    def test_they_survive_a_restart(self):
        with tempfile.TemporaryDirectory() as folder:
            arguments = ("--fan-in", "127.0.0.1:0", "--state-dir", folder)
            for is_first in (True, False):
                daemon = Daemon(*arguments)
                self.addCleanup(daemon.kill)
                if is_first:
                    daemon.admin().AddProducer(ADD(endpoint=endpoint(
                        "a", "127.0.0.1:1", method="", serve=[METHOD], descriptor_set=SET)))
                client = Client(self.channel(daemon.addresses[-1]))
                self.assertEqual(client.files(file_containing_symbol="demo.Feed"),
                                 ["demo/feed.proto", "demo/types.proto"])
                client.close()
                daemon.stop()


class Fetched(WithReflection):
    def test_the_upstreams_own_reflection_is_asked_and_imports_are_added(self):
        for version in (V1, V1ALPHA):
            with self.subTest(version):
                upstream = self.reflecting("a", TYPES, FEED, versions=(version,), metadata={"token": "x"})
                client = self.client()
                self.assertEqual(client.files(file_containing_symbol="demo.Feed.Watch"),
                                 ["demo/feed.proto", "demo/types.proto"])
                self.assertEqual(upstream.asked, ["demo.Feed", "demo/types.proto"])
                self.assertEqual(upstream.metadata[-1]["token"], "x", "the endpoint's own metadata")
                self.assertEqual(self.client().files(file_by_filename="demo/types.proto"),
                                 ["demo/types.proto"])
                self.remove("a")

    def test_what_was_fetched_is_kept_until_a_connection_is_new(self):
        upstream = self.reflecting("a", TYPES, FEED)
        call = self.call()
        there, began = upstream.wait_calls(1), time.monotonic()
        for _ in range(3):
            self.client().files(file_containing_symbol="demo.Feed")
        self.assertEqual(len(upstream.metadata), 1, "one call of reflection")
        there.end()
        call.wait_end()
        upstream.files[1] = file("new.proto", imports=["demo/types.proto"], services=["Feed"])
        self.call()
        upstream.wait_calls(2)
        files = self.client().files
        eventually(lambda: files(file_containing_symbol="demo.Feed") == ["new.proto", "demo/types.proto"],
                   "after 5 s it is asked again")
        self.assertGreater(time.monotonic() - began, 5)
        self.assertEqual(len(upstream.metadata), 2)

    def test_many_clients_share_one_fetch(self):
        upstream = self.reflecting("a", TYPES, FEED)
        go_on, answer = threading.Event(), upstream.answer

        def late(package, request):
            go_on.wait()
            yield from answer(package, request)

        upstream.answer = late
        clients = [self.client() for _ in range(30)]
        for client in clients:
            client.send(file_containing_symbol="demo.Feed")
        eventually(lambda: upstream.asked, "the upstream is asked")
        go_on.set()
        for client in clients:
            self.assertEqual(len(next(client.call).file_descriptor_response.file_descriptor_proto), 2)
        self.assertEqual(len(upstream.metadata), 1)

    def test_types_are_found_in_every_endpoint(self):
        self.reflecting("a", TYPES, FEED)
        store = file("store.proto", "store", messages=["Ask", "Tell", "Row"], services=["Store"])
        self.reflecting("b", store, serve=["/store.Store/*"])
        client = self.client()
        self.assertEqual(client.files(file_containing_symbol="store.Row"), ["store.proto"])
        self.assertEqual(client.files(file_containing_symbol="demo.Tell"), ["demo/types.proto"])

    def test_failures_are_told_in_the_answer(self):
        self.reflecting("none", versions=())
        code, text = self.client().error(file_containing_symbol="demo.Feed")
        self.assertEqual(code, UNAVAILABLE)
        self.assertIn("none: its reflection has ended with UNIMPLEMENTED", text)
        self.remove("none")
        self.reflecting("other", TYPES)
        code, text = self.client().error(file_containing_symbol="demo.Feed")
        self.assertIn("other: its reflection has no \"demo.Feed\": not here", text)
        self.remove("other")
        self.add("down", "127.0.0.1:1", method="", serve=[METHOD])
        code, text = self.client().error(file_containing_symbol="demo.Feed")
        self.assertEqual(code, UNAVAILABLE)
        self.assertIn("down: its reflection has ended with UNAVAILABLE", text)
        self.remove("down")
        self.reflecting("lacks", FEED)
        code, text = self.client().error(file_containing_symbol="demo.Feed")
        self.assertIn("demo/types.proto", text)

    def test_what_is_told_is_cut_between_characters(self):
        for shift in range(2):
            name = "x" * shift + "\u00e4" * 100
            upstream = self.reflecting(name, versions=())
            text = self.client().error(file_containing_symbol="demo.Feed")[1]
            self.assertIn("\u00e4: its reflection has ended", text)
            self.remove(name)
            upstream = self.serving("a")
            client = self.client()
            client.send(file_containing_symbol="demo.Feed")
            upstream.wait_calls(1).end(grpc.StatusCode.UNKNOWN, name)
            self.assertIn("UNKNOWN: " + name[:40], next(client.call).error_response.error_message)
            self.remove("a")

    def test_another_endpoint_is_asked_where_one_fails(self):
        self.reflecting("a", versions=())
        self.reflecting("b", TYPES, FEED)
        self.assertEqual(self.client().files(file_containing_symbol="demo.Feed"),
                         ["demo/feed.proto", "demo/types.proto"])

    def test_an_endpoint_may_go_while_it_is_asked(self):
        upstream = self.reflecting("a", TYPES, FEED)
        never = threading.Event()
        self.addCleanup(never.set)
        upstream.answer = lambda package, request: (never.wait(), iter(()))[1]
        client = self.client()
        client.send(file_containing_symbol="demo.Feed")
        eventually(lambda: upstream.asked, "the upstream is asked")
        self.remove("a")
        self.assertEqual(next(client.call).error_response.error_code, NOT_FOUND)
        eventually(lambda: self.daemon.counters()["live.endpoints"] == 0, "it is gone")


class Hostile(WithReflection):
    def answers(self, upstream, make):
        upstream.answer = lambda package, request: (yield from make(package, request))

    def failure(self):
        began = time.monotonic()
        code, text = self.client().error(file_containing_symbol="demo.Feed")
        self.assertEqual(code, UNAVAILABLE, text)
        return text, time.monotonic() - began

    def respond(self, package, *protos):
        answer = package.ServerReflectionResponse()
        answer.file_descriptor_response.file_descriptor_proto.extend(protos)
        return answer

    def test_an_upstream_that_never_answers_has_five_seconds(self):
        upstream = self.reflecting("a")
        never = threading.Event()
        self.addCleanup(never.set)

        def silent(package, request):
            never.wait()
            return
            yield

        self.answers(upstream, silent)
        call = self.call(method=METHOD)
        there = upstream.wait_calls(1)
        text, seconds = self.failure()
        self.assertIn("did not answer within 5 s", text)
        self.assertTrue(4 < seconds < 15, seconds)
        there.send(b"on")
        call.wait(1)
        peer = there.context.peer()
        self.call(method=METHOD)
        self.assertEqual(upstream.wait_calls(2).context.peer(), peer, "the connection is kept")

    def test_wrong_answers_fail_at_once(self):
        circle = [file("a.proto", imports=["b.proto"], services=["Feed"]),
                  file("b.proto", imports=["a.proto"])]
        for words, make in (
            ("no answer", lambda package, request: [b"\xff\xff"]),
            ("without a name", lambda package, request: [self.respond(package, b"")]),
            ("malformed", lambda package, request: [self.respond(package, b"\x0a\x01a\x22\x7f")]),
            ("has sent no files", lambda package, request: [self.respond(package)] * 1000),
            ("1024", lambda package, request: [
                self.respond(package, *[file(f"{i}").SerializeToString() for i in range(2000)])]),
            ("1048576", lambda package, request: [
                self.respond(package, b"\x0a\x01" + (request.file_by_filename or "a").encode() +
                             b"\x1a\x01z\x12\x80\x80\x28" + b"x" * 655360)]),
            ("too long", lambda package, request: [
                self.respond(package, b"\x0a\x01a\x12\x80\x80\x28" + b"x" * 655360)]),
            ("8192", lambda package, request: [self.respond(package, b"\x0a\x01a" + b"\x1a\x01b" * 10000)]),
            ("circle", lambda package, request: [
                self.respond(package, *[each.SerializeToString() for each in circle])]),
        ):
            with self.subTest(words):
                upstream = self.reflecting("a")
                self.answers(upstream, make)
                text, seconds = self.failure()
                self.remove("a")
                self.assertIn(words, text)
                self.assertLess(seconds, 4)

    def test_what_was_given_up_is_not_asked_by_the_older_name(self):
        for _ in range(5):
            upstream = self.serving("a")
            client = self.client()
            client.send(file_containing_symbol="demo.Feed")
            there = upstream.wait_calls(1)
            eventually(lambda there=there: there.requests, "it is asked")
            self.daemon.process.send_signal(signal.SIGSTOP)  # so that both come at once
            there.send(b"\xff\xff")
            there.end(grpc.StatusCode.UNIMPLEMENTED)
            there.over.wait()
            self.daemon.process.send_signal(signal.SIGCONT)
            self.assertIn("no answer", next(client.call).error_response.error_message)
            self.remove("a")
            self.assertEqual(len(upstream.calls), 1)

    def test_imports_without_end_are_bounded(self):
        upstream = self.reflecting("a")

        def endless(package, request):
            number = int(request.file_by_filename or "0")
            services = ["Feed"] if number == 0 else []
            made = file(f"{number}", imports=[f"{number + 1}"], services=services)
            yield self.respond(package, made.SerializeToString())

        self.answers(upstream, endless)
        text, _ = self.failure()
        self.assertTrue("1024" in text or "within 5 s" in text, text)
        self.assertLess(len(upstream.asked), 1100)

    def test_a_client_that_never_reads_holds_its_share_at_most(self):
        big = file("big.proto", services=["Feed"], messages=["Ask", "Tell"])
        big.message_type[0].field[0].json_name = "x" * 700000
        self.serving("a", descriptor_set=file_set(big))
        clients = [self.client() for _ in range(20)]
        for client in clients:
            for _ in range(10):
                client.send(file_containing_symbol="demo.Feed")
        fresh = self.client()
        self.assertEqual(fresh.services(), ["demo.Feed"])

    def test_what_waits_is_charged_and_goes_with_its_client(self):
        upstream = self.reflecting("a")
        never = threading.Event()
        self.addCleanup(never.set)
        upstream.answer = lambda package, request: (never.wait(), iter(()))[1]
        before = self.daemon.counters()["live.fanin_bytes"]
        stays = self.client()
        stays.send(file_containing_symbol="demo.Feed")
        eventually(lambda: upstream.asked, "the upstream is asked")
        began, one = time.monotonic(), self.daemon.counters()["live.fanin_bytes"] - before
        self.assertGreater(one, 2000)
        clients = [self.client() for _ in range(50)]
        for number, client in enumerate(clients):
            client.send(**({"file_containing_symbol": "demo.Feed"} if number % 2 else
                           {"file_by_filename": "demo/feed.proto"}))
        eventually(lambda: self.daemon.counters()["live.fanin_bytes"] > before + 50 * one, "they wait")
        for client in clients:
            client.call.cancel()
        eventually(lambda: self.daemon.counters()["live.fanin_bytes"] == before + one, "one is left")
        self.assertLess(time.monotonic() - began, 4, "the upstream still has time to answer")
        self.assertEqual(next(stays.call).error_response.error_code, UNAVAILABLE)
        eventually(lambda: self.daemon.counters()["live.fanin_bytes"] == before, "none is left")

    def test_a_request_of_over_two_kilobytes_is_refused(self):
        self.serving("a", descriptor_set=SET)
        name = "x" * 2040
        self.assertEqual(self.client().error(file_by_filename=name)[0], NOT_FOUND)
        with self.assertRaises(grpc.RpcError) as caught:
            self.client().request(file_by_filename=name + "x" * 20)
        self.assertIn("at most 2048 bytes", caught.exception.details())

    def test_sigterm_while_a_question_waits(self):
        never = threading.Event()
        self.addCleanup(never.set)
        daemon = Daemon("--fan-in", "127.0.0.1:0")
        self.addCleanup(daemon.kill)
        upstream = Reflecting()
        self.addCleanup(upstream.stop)
        upstream.answer = lambda package, request: (never.wait(), iter(()))[1]
        daemon.admin().AddProducer(ADD(endpoint=endpoint("a", upstream.address, method="", serve=[METHOD])))
        client = Client(self.channel(daemon.addresses[-1]))
        client.send(file_containing_symbol="demo.Feed")
        eventually(lambda: upstream.asked, "the upstream is asked")
        daemon.stop()


if __name__ == "__main__":
    main()
