#!/usr/bin/python3
"""Consumers of stored topics: where they begin, whose events they select, what they are told, and
that the tool goes on after a restart with nothing lost and nothing twice."""
import json
import subprocess
import time

import grpc

from harness.case import Case, main
from harness.client import event, number_of, subscribe_request
from harness.daemon import PATIENCE, binary, eventually
from harness.protos import message_class, v1
from harness.topics import TopicsCase

CODE = grpc.StatusCode
EARLIEST = message_class("tributary.v1.Start.Earliest")()


class ReadCase(TopicsCase):
    def publish(self, numbers, producer="web", topic="orders", channel=None):
        events = [event(number, topic=topic) for number in numbers]
        request = v1.PublishRequest(producer=producer, events=events)
        return v1.stub("Publisher", channel or self.channel()).Publish(request, timeout=PATIENCE)

    def tool(self, *arguments):
        return [binary("tributary"), *arguments, "-s", self.daemon.address]

    def sub(self, *arguments, code=0):
        command = self.tool("sub", "--topic", "orders", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def read_to_the_end(self, *arguments):
        """(sequence, origin) of each event, and the notices."""
        lines, notices = self.sub("--until-caught-up", "-o", "jsonl", *arguments)
        read = [json.loads(line) for line in lines.splitlines()]
        self.assertEqual({each["producer"] for each in read} | {"@orders"}, {"@orders"})
        return [(each["sequence"], each["origin"]) for each in read], notices


class Tool(ReadCase):
    def test_each_form_of_from(self):
        self.start()
        self.create("orders")
        for number in range(1, 6):
            self.publish([number], producer=f"web-{number % 2}")
        whole = [(number, f"web-{number % 2}") for number in range(1, 6)]
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
        for start, expected in [("earliest", whole), ("last:2", whole[3:]), ("last:1024", whole),
                                ("seq:4", whole[3:]), ("seq:1", whole), ("-1h", whole), (moment, whole),
                                ("live", [])]:
            with self.subTest(start):
                read, notices = self.read_to_the_end("--from", start)
                self.assertEqual(read, expected)
                self.assertIn("@orders has caught up with 5", notices)
                self.assertIn("the stream is closing: CAUGHT_UP", notices)
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        self.assertEqual(self.read_to_the_end("--from", later)[0], [])
        self.assertEqual(self.read_to_the_end("--from", "earliest", "-q")[1], "")
        text = self.sub("--from", "last:1", "--until-caught-up", "-v")[0]
        self.assertIn("origin=web-1  topic=orders", text)

    def test_wrong_values_are_refused(self):
        self.start()
        for arguments in (("--from", "yesterday"), ("--from", "seq:0"), ("--from", "last:1025"),
                          ("--from", "last:1", "--last", "1"), ("--until-caught-up", "--until", "ended")):
            with self.subTest(arguments):
                self.assertIn(arguments[0], self.sub(*arguments, code=2)[1])

    def test_it_goes_on_after_a_restart_with_nothing_lost_and_nothing_twice(self):
        listen = {"listen": [f"unix:{self.folder}/socket"]}
        self.start(**listen)
        self.create("orders")
        self.publish(range(1, 11))
        command = self.tool("sub", "--topic", "orders", "--from", "earliest", "-o", "jsonl", "-n", "40")
        reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(reader.kill)
        first = [json.loads(reader.stdout.readline())["sequence"] for _ in range(10)]
        self.restart(**listen)
        self.publish(range(11, 31))
        self.kill_and_start(**listen)
        self.publish(range(31, 41))
        rest, notices = reader.communicate(timeout=PATIENCE)
        read = first + [json.loads(line)["sequence"] for line in rest.splitlines()]
        self.assertEqual(read, list(range(1, 41)), notices)
        self.assertEqual(reader.returncode, 0)

    def test_a_copy_has_the_names_of_those_who_published(self):
        self.start()
        self.create("orders")
        self.publish([1, 2], producer="web-1")
        self.publish([3], producer="web-2")
        lines = self.sub("--from", "earliest", "--until-caught-up", "-o", "jsonl")[0]
        self.create("copy")
        lines = lines.replace('"topic":"orders"', '"topic":"copy"')
        pub = self.tool("pub", "--jsonl", "-q")
        subprocess.run(pub, input=lines, text=True, check=True, timeout=PATIENCE)
        consumer = self.consumer(
            subscribe_request([v1.Selector(producer="@copy")], start=v1.Start(earliest=EARLIEST))
        )
        consumer.wait(lambda: consumer.received.delivered == 3, "the copies")
        self.assertEqual(sorted(consumer.received.origins.values()), ["web-1", "web-1", "web-2"])


class Selectors(ReadCase):
    def numbers(self, *selectors, exclude=()):
        request = subscribe_request(
            list(selectors), exclude=list(exclude), start=v1.Start(earliest=EARLIEST),
            end_when=v1.END_WHEN_CAUGHT_UP,
        )
        consumer = self.consumer(request)
        consumer.wait(lambda: consumer.ended, "the end")
        self.assertIsNone(consumer.fault)
        return [number_of(each.data) for _, _, _, each in consumer.received.events]

    def test_topics_sources_and_origins(self):
        self.start()
        self.create("orders")
        self.create("orders.dlq")
        for number in range(1, 9):
            self.publish([number], producer=f"web-{number % 2}")
        self.publish([100], topic="orders.dlq")
        by, odd = v1.Selector, [1, 3, 5, 7]
        self.assertEqual(self.numbers(by(topic="orders")), list(range(1, 9)), "not orders.dlq")
        self.assertEqual(self.numbers(by(producer="@orders")), list(range(1, 9)))
        self.assertEqual(self.numbers(by(producer_name="@orders")), list(range(1, 9)))
        self.assertEqual(sorted(self.numbers(by(producer="@*"))), [*range(1, 9), 100])
        self.assertEqual(self.numbers(by(producer="web-1")), odd)
        self.assertEqual(self.numbers(by(producer="*-1")), odd)
        self.assertEqual(self.numbers(by(producer_name="web-1", topic="orders")), odd)
        self.assertEqual(self.numbers(by(topic="orders", keys=["none"])), [])
        self.assertEqual(self.numbers(by(topic="orders"), exclude=[by(producer="web-0")]), odd)
        self.assertEqual(self.numbers(by(topic="orders"), exclude=[by(producer="@orders")]), [])
        self.assertEqual(self.numbers(by(producer="*"), exclude=[by(topic="orders")]), [100])
        label = message_class("tributary.v1.Selector.Pair")(name="zone", value="*")
        self.assertEqual(self.numbers(by(topic="orders", labels=[label])), [])


class Wire(ReadCase):
    def test_caught_up_comes_once_behind_what_was_kept_also_without_notices(self):
        self.start()
        made = self.create("orders")
        self.publish(range(1, 101))
        request = subscribe_request(
            [v1.Selector(topic="orders")], start=v1.Start(sequence=51), notices=v1.NOTICES_NONE,
            max_batch_events=7,
        )
        consumer = self.consumer(request)
        received = consumer.received
        consumer.wait(lambda: received.catches, "CaughtUp")
        self.assertEqual([s for _, _, s, _ in received.events], list(range(51, 101)))
        self.publish([101])
        consumer.wait(lambda: received.delivered == 51, "the new event")
        self.assertEqual(
            [(each.source, each.epoch, each.sequence) for each in received.catches],
            [("@orders", made.epoch, 100)],
        )
        self.assertEqual(received.states, [])
        self.assertEqual(received.origins["@orders", 101], "web")


class WithoutTopics(Case):
    def test_the_starts_mean_live_and_there_is_nothing_to_catch_up_with(self):
        for start in (v1.Start(earliest=EARLIEST), v1.Start(sequence=5), v1.Start(time_unix_nano=5)):
            consumer = self.consumer(subscribe_request(start=start))
            self.publish("web", [event(1)])
            consumer.wait(lambda: consumer.received.delivered == 1, "a live event")
            consumer.cancel()
        stub = v1.stub("Subscriber", self.channel())
        with self.assertFault(CODE.INVALID_ARGUMENT, "OUT_OF_BOUNDS", "end_when"):
            list(stub.Subscribe(subscribe_request(end_when=v1.END_WHEN_CAUGHT_UP), timeout=PATIENCE))
        with self.assertFault(CODE.INVALID_ARGUMENT, "OUT_OF_BOUNDS", "start.sequence"):
            list(stub.Subscribe(subscribe_request(start=v1.Start(sequence=0)), timeout=PATIENCE))
        with self.assertFault(CODE.INVALID_ARGUMENT, "OUT_OF_BOUNDS", "start.time_unix_nano"):
            list(stub.Subscribe(subscribe_request(start=v1.Start(time_unix_nano=1 << 63)), timeout=PATIENCE))


if __name__ == "__main__":
    main()
