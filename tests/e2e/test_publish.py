#!/usr/bin/python3
"""Publishing: Publish and PublishStream, what they answer, and that events pass unchanged."""
import grpc

from harness.case import Case, main
from harness.client import connect, event, subscribe_request
from harness.protos import v1

INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Publishing(Case):
    def test_publish_answers_with_sequences_that_go_on(self):
        first = self.publish("counting", [event(n) for n in range(3)])
        second = self.publish("counting", [event(3)])

        self.assertEqual((first.first_sequence, first.last_sequence, first.matched_subscriptions), (1, 3, 0))
        self.assertEqual((second.first_sequence, second.last_sequence), (4, 4))
        self.assertEqual(first.epoch, second.epoch)
        self.assertGreater(first.epoch, 1_600_000_000 * 10**9, "the server's clock in nanoseconds")

    def test_publish_of_no_events_answers_with_zeros(self):
        answer = self.publish("nothing", [])
        self.assertEqual(
            (answer.first_sequence, answer.last_sequence, answer.matched_subscriptions), (0, 0, 0)
        )

    def test_publish_without_a_name_is_anonymous(self):
        consumer = self.consumer()
        self.publish("", [event(1)])
        consumer.wait_events(1)
        self.assertEqual(consumer.received.events[0][0], "anonymous")

    def test_publish_counts_the_subscriptions_that_want_an_event(self):
        self.consumer()
        self.consumer(subscribe_request([v1.Selector(topic="wanted")]))
        self.consumer(subscribe_request([v1.Selector(producer="somebody else")]))

        both = self.publish("matching", [event(1, topic="other"), event(2, topic="wanted")])
        one = self.publish("matching", [event(3, topic="other")])
        self.assertEqual((both.matched_subscriptions, one.matched_subscriptions), (2, 1))

    def test_a_batch_with_one_bad_event_is_refused_whole(self):
        consumer = self.consumer()
        with self.assertFault(INVALID, "TOO_LONG", "events[1].topic"):
            self.publish("whole", [event(1), event(2, topic="x" * 257), event(3)])
        self.publish("whole", [event(4)])
        consumer.wait_events(1)
        self.assertEqual(consumer.received.numbers("whole"), [4])
        self.assertEqual(consumer.received.events[0][2], 1, "the refused batch took no sequence numbers")

    def test_events_pass_unchanged_with_every_field(self):
        sent = v1.Event(
            id="id 1",
            topic="a/b",
            key="käse",
            type="t.x",
            content_type="text/plain",
            headers={"traceparent": "00-1-2-01", "empty": ""},
            time_unix_nano=2**63 + 1,
            data=bytes(range(256)),
            expires_unix_nano=7,
            deliver_after_unix_nano=8,
        )
        consumer = self.consumer()
        self.publish("every field", [sent, v1.Event()])
        consumer.wait_events(2)
        self.assertEqual([each[3] for each in consumer.received.events], [sent, v1.Event()])

    def test_events_pass_byte_for_byte_with_fields_unknown_to_the_server(self):
        # Field 2 twice, out of order, a varint that is longer than needed, and unknown fields of
        # every kind.
        body = (
            b"\x42\x03abc"
            b"\x12\x01a"
            b"\xf8\x06\x81\x80\x00"
            b"\x12\x01b"
            b"\xe1\x0612345678"
            b"\xed\x06abcd"
            b"\xf2\x06\x02\xff\xfe"
        )
        sent = b"\x0a" + bytes([len(body)]) + body
        stub = v1.stub("Subscriber", self.channel(), raw=True)
        call = stub.Subscribe(subscribe_request().SerializeToString())
        self.addCleanup(call.cancel)
        next(call)
        v1.stub("Publisher", self.channel(), raw=True).Publish(sent + b"\x12\x03raw")

        for raw in call:
            if v1.EventBatch.FromString(raw).runs:
                self.assertIn(sent, raw, "the same bytes, with tag and length")
                break

    def test_the_run_says_when_the_server_received_it(self):
        consumer = self.consumer()
        info = self.daemon.admin().GetInfo(v1.GetInfoRequest())
        observed = []
        consumer._on_batch = lambda batch: observed.extend(run.observed_time_unix_nano for run in batch.runs)
        self.publish("clock", [event(1)])
        consumer.wait(lambda: observed, "a run")
        self.assertGreater(observed[0], info.started_unix_nano)


class Streams(Case):
    def test_a_stream_confirms_every_batch_and_ends_with_ok(self):
        stream = self.publishing("streaming")
        for batch in range(50):
            stream.send([event(batch * 4 + offset) for offset in range(4)])
        stream.finish()
        self.assertEqual(stream.answers[-1].last_sequence, 200)
        self.assertGreater(stream.answers[-1].epoch, 0)

    def test_an_empty_stream_ends_with_ok(self):
        stream = self.publishing()
        stream.finish()
        self.assertEqual(stream.confirmed, 0)

    def test_an_empty_batch_is_confirmed(self):
        stream = self.publishing("empty batches")
        stream.send([])
        stream.send([event(1)])
        stream.send([])
        stream.finish()
        self.assertEqual(stream.answers[-1].last_sequence, 1)

    def test_a_refused_batch_is_answered_and_the_stream_goes_on(self):
        consumer = self.consumer()
        stream = self.publishing("refused in between")
        stream.send([event(1)])
        stream.send([event(2), event(3, type="t" * 257)])
        stream.send([event(4)])
        stream.finish()

        self.assertEqual([refused.batch for refused in stream.refused], [2])
        refused = stream.refused[0]
        self.assertEqual((refused.code, refused.reason), (INVALID.value[0], "TOO_LONG"))
        for part in ("events[1].type", "at most 256", '"tttt'):
            self.assertIn(part, refused.message)
        consumer.wait_events(2)
        self.assertEqual(consumer.received.numbers("refused in between"), [1, 4])

    def test_many_refused_batches_are_each_answered_once(self):
        stream = self.publishing("mostly refused")
        for batch in range(1, 301):
            stream.send([event(batch, topic="bad\n" if batch % 3 else "good")])
        stream.finish()
        self.assertEqual(
            [refused.batch for refused in stream.refused], [batch for batch in range(1, 301) if batch % 3]
        )
        self.assertEqual(stream.answers[-1].last_sequence, 100)

    def test_a_later_message_may_repeat_the_name_but_not_change_it(self):
        stream = self.publishing("steady")
        stream.send([event(1)])
        stream.send([event(2)], producer="steady")
        stream.send([event(3)], producer="other")
        stream.send([event(4)])
        stream.finish()
        self.assertEqual(
            [(refused.batch, refused.reason) for refused in stream.refused], [(3, "PRODUCER_CHANGED")]
        )
        self.assertIn("other", stream.refused[0].message)
        self.assertEqual(stream.answers[-1].last_sequence, 3)

    def test_the_first_messages_bad_name_ends_the_stream(self):
        stream = self.publishing("bad\tname")
        stream.send([event(1)])
        stream.wait(lambda: stream.ended, "the stream ends")
        self.check_fault(stream.fault, INVALID, "BAD_NAME", "producer", [r'"bad\tname"'])

    def test_two_streams_and_a_unary_call_share_one_producer(self):
        consumer = self.consumer()
        one, two = self.publishing("shared"), self.publishing("shared")
        for round_number in range(100):
            one.send([event(2 * round_number)])
            two.send([event(2 * round_number + 1)])
        self.publish("shared", [event(200)])
        one.finish()
        two.finish()
        consumer.wait_events(201)
        self.assertEqual([each[2] for each in consumer.received.events], list(range(1, 202)))
        self.assertEqual({each[1] for each in consumer.received.events}, {one.answers[-1].epoch})
        numbers = consumer.received.numbers("shared")
        self.assertEqual(
            [n for n in numbers if n < 200 and n % 2 == 0],
            list(range(0, 200, 2)),
            "the order of each stream is kept",
        )
        self.assertEqual([n for n in numbers if n < 200 and n % 2], list(range(1, 200, 2)))

    def test_a_cancelled_stream_leaves_what_was_confirmed(self):
        consumer = self.consumer()
        stream = self.publishing("cancelled")
        for number in range(20):
            stream.send([event(number)])
        stream.wait_confirmed()
        stream.cancel()
        consumer.wait_events(20)
        self.assertEqual(consumer.received.numbers("cancelled"), list(range(20)))

    def test_a_stream_whose_connection_closes_leaves_the_others_alone(self):
        other = self.publishing("staying")
        channel = connect(self.daemon.address)
        leaving = self.publishing("leaving", channel=channel)
        leaving.send([event(1)])
        leaving.wait_confirmed()
        channel.close()
        leaving.wait(lambda: leaving.ended, "the stream ends")
        other.send([event(1)])
        other.finish()


class Forgetting(Case):
    forget = "200ms"

    def test_a_transient_producer_is_forgotten_and_comes_back_with_a_new_epoch(self):
        consumer = self.consumer()
        first = self.publish("passing", [event(1), event(2)])
        consumer.wait(
            lambda: any(status.state == v1.PRODUCER_STATE_REMOVED for status in consumer.received.states),
            "REMOVED is reported",
        )
        with self.assertFault(grpc.StatusCode.NOT_FOUND, "PRODUCER_NOT_FOUND", contains=['"passing"']):
            self.daemon.admin().GetProducer(v1.GetProducerRequest(name="passing"))

        second = self.publish("passing", [event(3)])
        self.assertEqual((second.first_sequence, second.last_sequence), (1, 1))
        self.assertGreater(second.epoch, first.epoch)
        consumer.wait_events(3)

    def test_an_open_stream_keeps_its_producer(self):
        consumer = self.consumer()
        stream = self.publishing("staying")
        stream.send([event(1)])
        stream.wait_confirmed()
        epoch = stream.answers[-1].epoch
        # Another producer serves as a clock: it ends later, and so is forgotten later.
        self.publish("the clock", [event(1)])
        consumer.wait(
            lambda: any(status.state == v1.PRODUCER_STATE_REMOVED for status in consumer.received.states),
            "the clock is forgotten",
        )
        stream.send([event(2)])
        stream.finish()
        self.assertEqual(stream.answers[-1].epoch, epoch)
        self.assertEqual(stream.answers[-1].last_sequence, 2)


if __name__ == "__main__":
    main()
