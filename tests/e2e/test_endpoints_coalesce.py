#!/usr/bin/python3
"""Endpoints whose small messages have waited, so that the server is busy with them and coalesces several
into one chunk. Consumers must see no difference.

The server decides whether to coalesce. Its counters show it: `chunks.in` below `messages.in`."""
import grpc

from harness.case import main
from harness.daemon import PATIENCE, eventually
from harness.endpoints import ENDED, ENDPOINT, Endpoints, batch, numbered
from harness.protos import v1

COUNT, UPSTREAMS = 5000, 6


class Coalesce(Endpoints):
    """A consumer that blocks does not read until each upstream has sent what its window takes."""
    arguments = ("--write-timeout", "300s")


    def backlog(self, turn, messages, ends=lambda call: call.end(), **fields):
        """Yields a consumer that has not read, and the endpoints, whose upstreams have sent and end."""
        consumer = self.stalled(
            selectors=[v1.Selector(producer=f"turn {turn} *")],
            overflow=v1.OVERFLOW_BLOCK,
            block_timeout=3600,
            max_events=1000,
        )
        names = [f"turn {turn} {number}" for number in range(UPSTREAMS)]
        for name in names:
            upstream = self.served(name, activation=ENDPOINT.SHARED, restart=ENDPOINT.NEVER, **fields)
            call = upstream.wait_calls(1)
            call.send(*messages)
            ends(call)
        for name in names:
            eventually(lambda: self.daemon.blocked(name), f"{name} is blocked")
        return consumer, names

    def until_coalesced(self, round):
        """Runs rounds until the server was busy enough to coalesce. A round returns how many events were
        accepted."""
        for turn in range(10):
            before = self.daemon.counters()
            accepted = round(turn)
            after = self.daemon.counters()
            grown = {name: after[name] - before[name] for name in ("messages.in", "events.in", "chunks.in")}
            self.assertEqual((grown["messages.in"], grown["events.in"]), (accepted, accepted))
            if grown["chunks.in"] < accepted:
                print(f"\n  {accepted} messages in {grown['chunks.in']} chunks", flush=True)
                return
            self.assertEqual(grown["chunks.in"], accepted)
        self.fail("messages were never coalesced")

    def check_whole(self, consumer, names, count):
        consumer.wait_accounted(len(names) * count, 4 * PATIENCE)
        self.assertEqual(consumer.received.lost, [])
        for name in names:
            self.assertEqual(consumer.received.numbers(name), list(range(count)))
            sequences = [each[2] for each in consumer.received.events if each[0] == name]
            self.assertEqual(sequences, list(range(1, count + 1)))

    def rounds(self, messages, count, ends, state, **fields):
        def round(turn):
            consumer, names = self.backlog(turn, messages, ends, **fields)
            consumer.read()
            self.check_whole(consumer, names, count)
            for name in names:
                eventually(lambda: self.daemon.producer(name).state == state, f"the state of {name}")
            consumer.cancel()
            return len(names) * count

        self.until_coalesced(round)

    def test_any_bytes_that_waited_arrive_whole_and_in_order(self):
        self.rounds(numbered(range(COUNT)), COUNT, lambda call: call.end(), ENDED)

    def test_batches_that_waited_arrive_whole_and_in_order(self):
        messages = [batch(number) for number in range(COUNT)]
        self.rounds(messages, COUNT, lambda call: call.end(), ENDED, decode=ENDPOINT.EVENT_BATCH)

    def test_all_before_an_error_arrives(self):
        def fails(call):
            call.end(grpc.StatusCode.INTERNAL, "the disk is full")

        self.rounds(numbered(range(COUNT)), COUNT, fails, ENDED)

    def test_all_before_a_message_that_is_refused_arrives(self):
        messages = [*map(batch, range(COUNT)), b"\x0a\x7f", *map(batch, range(10))]
        self.rounds(messages, COUNT, lambda call: call.end(), ENDED, decode=ENDPOINT.EVENT_BATCH)

    def test_large_messages_between_small_ones_keep_their_place(self):
        def size(number):
            return 40_000 if number % 50 == 7 else 3000 if number % 11 == 5 else 0

        messages = [message for number in range(COUNT // 5) for message in numbered([number], size(number))]
        self.rounds(messages, len(messages), lambda call: call.end(), ENDED)

    def test_an_endpoint_that_is_removed_while_it_is_blocked_leaves_nothing(self):
        live = self.daemon.live()
        consumer, names = self.backlog("removed", numbered(range(COUNT)))
        for name in names:
            self.remove(name)
        consumer.read()
        consumer.wait_accounted(1000, 4 * PATIENCE)
        for name in names:
            numbers = consumer.received.numbers(name)
            self.assertEqual(numbers, list(range(len(numbers))))
        consumer.cancel()
        eventually(lambda: self.daemon.live()["live.chunk_bytes"] == live["live.chunk_bytes"], "it is freed")


if __name__ == "__main__":
    main()
