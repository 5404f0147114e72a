#!/usr/bin/python3
"""What a stored topic keeps is there again after SIGTERM, after kill -9 and in a restored backup; and
retention removes what it should, seen over the wire."""
import os
import subprocess
import tempfile

from harness.case import main
from harness.client import event, number_of, subscribe_request
from harness.daemon import PATIENCE, binary, eventually
from harness.protos import duration, message_class, v1
from harness.topics import TopicsCase


class StoredCase(TopicsCase):
    def publish(self, topic, numbers, producer="web", size=0):
        events = [event(number, size, topic=topic) for number in numbers]
        request = v1.PublishRequest(producer=producer, events=events)
        return v1.stub("Publisher", self.channel()).Publish(request, timeout=PATIENCE)

    def consume(self, topic, **start):
        start = start or {"earliest": message_class("tributary.v1.Start.Earliest")()}
        return self.consumer(
            subscribe_request(selectors=[v1.Selector(producer=f"@{topic}")], start=v1.Start(**start),
                              overflow=v1.OVERFLOW_BLOCK)
        )

    def read(self, topic, count, **start):
        """The first events, as (epoch, sequence, number)."""
        consumer = self.consume(topic, **start)
        received = consumer.received
        eventually(lambda: received.delivered >= count or consumer.ended, f"{count} events")
        self.assertEqual((received.lost, consumer.fault), ([], None))
        consumer.cancel()
        self.assertEqual({source for source, *_ in received.events}, {f"@{topic}"})
        return [(epoch, sequence, number_of(each.data)) for _, epoch, sequence, each in received.events]

    @staticmethod
    def whole(made, first, last):
        return [(made.epoch, number, number) for number in range(first, last + 1)]


class Restarts(StoredCase):
    """S15, S26."""

    def test_what_is_confirmed_is_read_again_after_sigterm_and_after_a_kill(self):
        self.start()
        made = self.create("orders")
        for first in range(1, 501, 50):
            answer = self.publish("orders", range(first, first + 50))
            self.assertEqual(answer.ranges[0].epoch, made.epoch)
        self.assertEqual(self.read("orders", 500), self.whole(made, 1, 500))
        self.restart()
        self.assertEqual(self.read("orders", 500), self.whole(made, 1, 500))
        self.publish("orders", range(501, 601))
        self.kill_and_start()
        self.assertEqual(self.topic("orders").next_sequence, 601)
        self.assertEqual(self.read("orders", 600), self.whole(made, 1, 600))
        self.assertEqual(self.read("orders", 10, last=10), self.whole(made, 591, 600))
        self.assertEqual(self.read("orders", 100, sequence=501), self.whole(made, 501, 600))

    def test_a_deleted_and_recreated_topic_is_told_by_its_epoch(self):
        self.start()
        first = self.create("a")
        self.publish("a", range(1, 11))
        before = self.consume("a")
        eventually(lambda: before.received.delivered == 10, "what is kept")
        self.delete("a")
        second = self.create("a")
        self.publish("a", [1])
        self.assertGreater(second.epoch, first.epoch)
        self.assertEqual(self.read("a", 1), [(second.epoch, 1, 1)])
        eventually(lambda: before.received.delivered == 11, "the successor's first event")
        epochs = [epoch for _, epoch, _, _ in before.received.events]
        self.assertEqual(epochs, [first.epoch] * 10 + [second.epoch])

    def test_a_topic_that_is_made_on_publish_has_the_settings_of_the_options(self):
        self.start("--create-topics", "auto.*", "--topic-max-age", "2h", "--topic-max-events", "50")
        self.publish("auto.a", range(1, 11))
        self.assertEqual(self.names(), ["auto.a"])
        made = self.topic("auto.a")
        self.assertEqual(
            (made.settings.max_age.seconds, made.settings.max_bytes, made.settings.max_events),
            (7200, 1 << 30, 50))
        self.publish("live", [1])
        self.assertEqual(self.names(), ["auto.a"])
        self.kill_and_start()
        self.assertEqual(self.read("auto.a", 10), self.whole(made, 1, 10))

    def test_a_backup_restored_into_a_new_folder_reads_everything(self):
        self.start()
        self.create("a")
        self.create("b", max_events=1000)
        for first in range(1, 2001, 500):
            self.publish("a", range(first, first + 500), size=400)
            self.publish("b", range(first, first + 500))
        expected = {name: self.read(name, count, **start)
                    for name, count, start in (("a", 2000, {}), ("b", 1, {"last": 1}))}
        data = b"".join(part.data for part in self.admin().Backup(v1.BackupRequest(), timeout=PATIENCE))
        self.publish("a", [2001])
        self.daemon.stop()
        self.state = tempfile.mkdtemp(dir=self.folder)
        with open(os.path.join(self.state, "store.db"), "wb") as file:
            file.write(data)
        os.chmod(file.name, 0o600)
        self.start()
        self.assertEqual(
            [each[1:] for each in self.read("a", 2000)], [each[1:] for each in expected["a"]])
        self.assertEqual(self.topic("a").next_sequence, 2001, "as new as the backup's end")
        self.assertGreater(self.topic("a").epoch, expected["a"][0][0])
        self.assertEqual(self.read("b", 1, last=1)[0][1:], expected["b"][0][1:])
        self.publish("a", [2001])
        self.assertEqual(self.read("a", 1, last=1), [(self.topic("a").epoch, 2001, 2001)])


class Retention(StoredCase):
    """S16."""

    def kept(self, name):
        topic = self.topic(name)
        return topic.next_sequence - topic.first_sequence

    def test_count_and_bytes_keep_at_least_their_bound_and_one_row_more(self):
        self.start()
        count, size = self.create("count", max_events=100), self.create("bytes", max_bytes=100_000)
        for first in range(1, 1001, 10):
            self.publish("count", range(first, first + 10))
            self.publish("bytes", range(first, first + 10), size=1000)
        self.assertTrue(100 <= self.kept("count") <= 110, self.kept("count"))
        self.assertTrue(100_000 <= self.topic("bytes").bytes <= 130_000, self.topic("bytes"))
        first = self.topic("count").first_sequence
        self.assertEqual(self.read("count", 1001 - first), self.whole(count, first, 1000))
        first = self.topic("bytes").first_sequence
        self.assertEqual(self.read("bytes", 1001 - first), self.whole(size, first, 1000))

    def test_a_smaller_bound_acts_on_what_is_kept(self):
        self.start()
        made = self.create("a")
        for first in range(1, 1001, 10):
            self.publish("a", range(first, first + 10))
        self.assertEqual(self.kept("a"), 1000)
        self.update("a", max_events=20)
        eventually(lambda: self.kept("a") <= 30, "what is too much leaves")
        self.restart()
        first = self.topic("a").first_sequence
        self.assertEqual(self.read("a", 1001 - first), self.whole(made, first, 1000))

    def test_age_removes_what_is_too_old_without_another_append(self):
        self.start()
        made = self.create("a", max_age=duration(1))
        self.publish("a", range(1, 11))
        self.assertEqual(self.kept("a"), 10)
        eventually(lambda: self.kept("a") == 0, "they are too old")
        self.assertEqual(self.topic("a").next_sequence, 11)
        self.publish("a", [11])
        self.assertEqual(self.read("a", 1), self.whole(made, 11, 11))


class Sizes(StoredCase):
    """What GetInfo and `tributary status` say of the store."""

    def store(self):
        return self.admin().GetInfo(v1.GetInfoRequest(), timeout=PATIENCE).store

    def test_the_sizes_are_those_of_the_files_and_commits_are_counted(self):
        self.start()
        self.create("orders")
        empty = self.store()
        self.assertGreater(empty.database_bytes, 0)
        eventually(lambda: self.store().ballast_bytes == 32 << 20, "the ballast is written")
        self.assertEqual(os.path.getsize(f"{self.state}/store.ballast"), 32 << 20)
        before = self.daemon.counters()["store.commits"]
        for number in range(1, 11):
            self.publish("orders", [number], size=500_000)
        self.assertEqual(self.daemon.counters()["store.commits"], before + 10, "each waited for its own")
        self.assertGreaterEqual(self.daemon.counters()["store.checkpoints"], 1, "beyond 4 MiB")
        full = self.store()
        self.assertGreater(full.database_bytes, empty.database_bytes + 5_000_000)
        self.assertLess(full.log_bytes, full.database_bytes)
        self.delete("orders")
        eventually(lambda: self.store().free_bytes > 5_000_000, "the topic's pages are free")
        self.assertEqual(self.store().database_bytes, full.database_bytes, "the file stays as large")
        tool = subprocess.run([binary("tributary"), "status", "-s", self.daemon.address],
                              capture_output=True, text=True, timeout=PATIENCE, check=True)
        self.assertRegex(tool.stdout, r"on the disk    \d\.\d MiB, of them \d\.\d MiB free; log ")
        last = self.store()
        self.daemon.stop()
        self.assertEqual(os.path.getsize(f"{self.state}/store.db"), last.database_bytes)
        self.start()
        self.assertEqual(self.store().database_bytes, last.database_bytes)


if __name__ == "__main__":
    main()
