#!/usr/bin/python3
"""The daemon is killed again and again while publishers with numbers store events and a reader
follows. Afterwards everything that was confirmed is there, once, in the order of its publisher, and
nothing that was never sent: row_1, S15.

`--kills N` before the other arguments kills N times (15)."""
import random
import subprocess
import sys
import tempfile
import threading
import time

from harness.case import main
from harness.client import connect, subscribe_request
from harness.daemon import PATIENCE, binary, eventually, instrumented
from harness.outliving import NumberedPublisher, ResumingReader
from harness.protos import v1
from harness.topics import TopicsCase

TOPIC = "kept"
KILLS = 5 if instrumented() else 15
PYTHON_PUBLISHERS = 2
TOOL = "tool"


class Feeder(threading.Thread):
    """Writes lines to `tributary pub --confirm stored`, which is the C library."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process, self.lines = process, 0
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            lines = range(self.lines + 1, self.lines + 51)
            self.process.stdin.write("".join(f"{TOOL} {number}\n" for number in lines).encode())
            self.process.stdin.flush()
            self.lines += 50
            time.sleep(0.01)
        self.process.stdin.close()


class Kills(TopicsCase):
    def setUp(self):
        super().setUp()
        self.address = f"unix:{self.folder}/socket"
        self.random = random.Random()

    def start_here(self):
        return self.start(listen=(self.address,))

    def start_tool(self):
        errors = tempfile.TemporaryFile()
        self.addCleanup(errors.close)
        process = subprocess.Popen(
            [binary("tributary"), "pub", "-s", self.address, "--wait"]
            + ["-p", TOOL, "-t", TOPIC, "--confirm", "stored"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        self.addCleanup(process.kill)
        return process, errors

    def read_everything(self):
        """What the topic holds, read anew."""
        request = subscribe_request([v1.Selector(topic=TOPIC)])
        request.start.earliest.SetInParent()
        request.end_when = v1.END_WHEN_CAUGHT_UP
        found = []
        with connect(self.address) as channel:
            for batch in v1.stub("Subscriber", channel).Subscribe(request, timeout=PATIENCE):
                self.assertFalse(batch.lost)
                for run in batch.runs:
                    self.assertEqual(run.first_sequence, len(found) + 1)
                    found += [(run.origin, event.data) for event in run.events]
        return found

    def test_what_was_confirmed_is_stored_once_over_kills(self):
        self.start_here()
        self.create(TOPIC)
        publishers = [
            NumberedPublisher(self.address, TOPIC, f"p{i}", self.random.random())
            for i in range(PYTHON_PUBLISHERS)
        ]
        reader = ResumingReader(self.address, TOPIC)
        process, errors = self.start_tool()
        feeder = Feeder(process)
        for thread in (*publishers, reader, feeder):
            thread.start()
        for _ in range(KILLS):
            before = [publisher.confirmed for publisher in publishers]
            eventually(
                lambda: all(each.confirmed > had or each.problems for each, had in zip(publishers, before)),
                "every publisher goes on",
            )
            time.sleep(self.random.uniform(0, 0.2))  # the moment of the kill is what is tested
            self.daemon.kill()
            self.start_here()
        for thread in (*publishers, feeder):
            thread.stopping.set()
        for thread in (*publishers, feeder):
            thread.join(2 * PATIENCE)
            self.assertFalse(thread.is_alive(), [each.problems for each in publishers])
        self.assertEqual(process.wait(2 * PATIENCE), 0, self.text_of(errors))
        for publisher in publishers:
            self.assertEqual(publisher.problems, [])
            self.assertEqual(publisher.confirmed, publisher.next_number - 1)
        self.check(publishers, feeder, reader)

    @staticmethod
    def text_of(file):
        file.seek(0)
        return file.read().decode()

    def check(self, publishers, feeder, reader):
        stored = self.read_everything()
        last = {publisher.name_of_producer: publisher.confirmed for publisher in publishers}
        last[TOOL] = feeder.lines
        numbers = dict.fromkeys(last, 0)
        for origin, data in stored:
            name, number = data.decode().split()
            self.assertEqual(origin, name)
            numbers[name] += 1
            self.assertEqual(int(number), numbers[name], f"of {name}: lost, twice, or out of order")
        self.assertEqual(numbers, last)
        self.assertTrue(reader.wait(len(stored), PATIENCE), f"{len(reader.events)} of {len(stored)}")
        self.assertEqual(reader.problems, [])
        self.assertEqual(list(zip(reader.origins, reader.events)), stored)
        reader.stop()
        reader.join(PATIENCE)
        print(
            f"{KILLS} kills: {len(stored)} events; {sum(each.losses for each in publishers)} lost calls, "
            f"{sum(each.duplicates for each in publishers)} duplicates; the reader resumed {reader.resumed} "
            f"times, {reader.repeated} events came again behind a token",
            file=sys.stderr,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--kills"]:
        KILLS = int(sys.argv[2])
        del sys.argv[1:3]
    main()
