#!/usr/bin/python3
"""What the campaign makes of its rounds, what the attacks send, and what an attacker notices. The
servers are stand-ins.

    tests/attacks/test_campaign.py -v [Class.test_name]"""
import copy
import dataclasses
import pathlib
import re
import socket
import struct
import sys
import threading
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

import judge  # noqa: E402 - the path comes first
from harness.attacks import attacker, shapes, table  # noqa: E402
from harness.h2frames import DATA, HEADERS, RST_STREAM, SETTINGS, frame  # noqa: E402
from harness.rawh2 import Inflater  # noqa: E402

SENT = {"connections": 1, "ended": 1, "not_ended": 0, "lag_s": 0.1, "answered_s": 2.0, "farewell": ""}
RUN = {
    "steady": {"events_per_s": 1000.0, "p90_ms": 1.0, "p99_ms": 3.0},
    "full": {"events_per_s": 1e5, "events_per_cpu_s": 1e5},
    "attack": SENT,
    "attack_at_full": SENT,
    "new_clients": {"refused": 0, "max_s": 0.1},
    "accepts_s": 0.1,
    "grown_mb": 1.0,
    "kept_mb": 1.0,
    "died": "",
    "ended": {"FLOOD_SETTINGS": (1, "")},
    "others": 0.0,
}
EVERYTHING = tuple(each.name for each in judge.JUDGEMENTS if not each.always)
ATTACK = dataclasses.replace(table.BY_NAME["settings"], also=EVERYTHING)


def rounds_of(**changes):
    """Three rounds that are good, but for what differs in the attacked run."""
    attacked = copy.deepcopy(RUN)
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(attacked[name], dict) and name != "ended":
            attacked[name].update(value)
        else:
            attacked[name] = value
    return [(RUN, attacked)] * 3


class Judgements(unittest.TestCase):
    def failures(self, **changes):
        return judge.failures(judge.of(ATTACK, rounds_of(**changes)))

    def test_good_rounds_have_no_failure(self):
        self.assertEqual(self.failures(), [])

    def test_each_judgement_can_fail(self):
        for name, changes in {
            "lives": {"died": "killed"},
            "throughput": {"steady": {"events_per_s": 799.0}},
            "latency": {"steady": {"p90_ms": 21.5}},
            "memory": {"grown_mb": 65.0},
            "returns": {"kept_mb": 17.0},
            "ended": {"attack": {"lag_s": 1.5}, "attack_at_full": {"lag_s": 1.5}},
            "logged": {"ended": {"FLOOD_PINGS": (1, "")}},
            "stream": {"attack": {"answered_s": 0.4}},
            "accepts again": {"accepts_s": None},
            "new clients": {"new_clients": {"refused": 1}},
            "p99": {"steady": {"p99_ms": 51.0}},
        }.items():
            self.assertEqual(self.failures(**changes), [name], changes)

    def test_one_connection_that_was_not_ended_is_a_failure(self):
        self.assertEqual(self.failures(attack={"not_ended": 1}), ["ended"])

    def test_a_log_without_a_line_is_good_only_where_the_core_may_be_first(self):
        self.assertEqual(self.failures(ended={}), ["logged"])
        pings = table.BY_NAME["pings"]
        self.assertEqual(judge.failures(judge.of(pings, rounds_of(ended={}))), [])

    def test_at_full_speed_either_rate_is_enough(self):
        self.assertEqual(self.failures(full={"events_per_s": 1e4}), [])
        both = {"events_per_s": 1e4, "events_per_cpu_s": 7e4}
        self.assertEqual(self.failures(full=both), ["throughput"])

    def test_a_pair_that_failed_is_no_good_pair(self):
        steady = {"events_per_s": 0.0, "p90_ms": None}
        self.assertEqual(self.failures(steady=steady), ["throughput", "latency"])

    def test_the_median_of_the_rounds_counts(self):
        rounds = rounds_of()[:2] + rounds_of(steady={"p90_ms": 500.0, "events_per_s": 10.0})[:1]
        self.assertEqual(judge.failures(judge.of(ATTACK, rounds)), [])

    def test_more_than_half_of_the_rounds_settle_it(self):
        good, bad = rounds_of(), rounds_of(steady={"p90_ms": 500.0})
        self.assertFalse(judge.is_settled(ATTACK, good, 7))
        self.assertTrue(judge.is_settled(ATTACK, good + good[:1], 7))
        self.assertFalse(judge.is_settled(ATTACK, good + bad, 7))
        self.assertTrue(judge.is_settled(ATTACK, good + bad + good[:1], 7))

    def test_rounds_that_hold_by_different_rates_settle_nothing(self):
        by_time, by_cpu = rounds_of(full={"events_per_cpu_s": 1e4}), rounds_of(full={"events_per_s": 1e4})
        self.assertFalse(judge.is_settled(ATTACK, by_time + by_cpu, 7))
        self.assertTrue(judge.is_settled(ATTACK, by_time + by_cpu + by_time[:1], 7))

    def test_what_is_off_is_not_judged(self):
        quiet = dataclasses.replace(ATTACK, off=("memory",))
        self.assertNotIn("memory", judge.of(quiet, rounds_of(grown_mb=500.0)))


class Table(unittest.TestCase):
    def test_names_differ_and_reasons_are_the_guards(self):
        text = (ROOT / "src/h2guard/h2guard_reason.def").read_text()
        known = set(re.findall(r"^REASON\((\w+),", text, re.M))
        self.assertEqual(len(table.BY_NAME), len(table.ATTACKS))
        names = {each.name for each in judge.JUDGEMENTS}
        for each in table.ATTACKS:
            self.assertLessEqual(set(each.reasons) - {table.CORE}, known, each.name)
            self.assertLessEqual({*each.off, *each.also}, names, each.name)

    def test_what_must_end_has_a_bound_and_what_is_logged_a_reason(self):
        for each in table.ATTACKS:
            has_bound = each.bound is not None or each.bound_s is not None
            self.assertEqual(has_bound, "ended" not in each.off, each.name)
            self.assertEqual(bool(each.reasons), "logged" not in each.off, each.name)


class Shapes(unittest.TestCase):
    def test_rapid_reset_opens_and_resets_each_stream(self):
        data = shapes.opened_and_reset(1000)
        self.assertEqual(len(data), 1000 * shapes.RESET_UNIT_BYTES)
        unit = data[-shapes.RESET_UNIT_BYTES:]
        self.assertEqual((unit[3], unit[9 + 6 + 3]), (HEADERS, RST_STREAM))
        self.assertEqual(unit[5:9], unit[9 + 6 + 5:9 + 6 + 9])
        self.assertEqual(struct.unpack(">I", unit[5:9])[0], 2001)

    def test_its_indexed_headers_are_those_of_a_request(self):
        literals, indexed = shapes.indexed_request()
        inflater = Inflater()
        first = inflater.headers(literals)
        self.assertEqual(first, inflater.headers(indexed))
        self.assertEqual(dict(first)[":path"], shapes.PUBLISH)
        inflater.close()

    def test_messages_honour_the_windows(self):
        windows, sent = shapes.Windows(), {}
        fill = shapes.Fill(3, 1 << 20, 1 << 19)
        while part := fill.next(windows):
            stream = struct.unpack(">I", part[5:9])[0]
            sent[stream] = sent.get(stream, 0) + len(part) - 9
        self.assertEqual(sum(sent.values()), 65535)
        windows.connection = 1 << 20
        while part := fill.next(windows):
            stream = struct.unpack(">I", part[5:9])[0]
            sent[stream] = sent.get(stream, 0) + len(part) - 9
        self.assertEqual(sent, {1: 65535, 3: 65535, 5: 65535})

    def test_units_are_whole_and_honour_the_window(self):
        windows = shapes.Windows()
        unit = frame(DATA, 0, 1, bytes(5))
        repeat = shapes.Repeat(unit, flow=5)
        data = b""
        while part := repeat.next(windows):
            data += part
        self.assertEqual(data, unit * (65535 // 5))

    def test_a_count_is_kept(self):
        repeat = shapes.Repeat(b"abc", count=100_001)
        self.assertEqual(sum(len(part) for part in iter(lambda: repeat.next(None), None)), 300_003)


class Attacker(unittest.TestCase):
    """Against a server that answers the preface with SETTINGS, and then does `then(connection)`."""

    def attack(self, name, then, **changes):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            def serve():
                with listening.accept()[0] as connection:
                    connection.recv(100)
                    connection.sendall(frame(SETTINGS))
                    then(connection)

            serving = threading.Thread(target=serve)
            serving.start()
            attack = dataclasses.replace(table.BY_NAME[name], **changes)
            result = attacker.Attacker(attack, f"127.0.0.1:{listening.getsockname()[1]}", 0.3).run()
            serving.join()
            return result

    @staticmethod
    def read_all(connection):
        while connection.recv(1 << 20):
            pass

    def test_who_is_closed_before_its_bound_has_no_lag(self):
        result = self.attack("settings", lambda connection: None, bound=1 << 40)
        self.assertEqual((result["ended"], result["not_ended"], result["lag_s"]), (1, 0, 0.0))

    def test_who_is_never_closed_was_not_ended(self):
        grace, attacker.GRACE_S = attacker.GRACE_S, 0.2
        self.addCleanup(setattr, attacker, "GRACE_S", grace)
        result = self.attack("settings", self.read_all)
        self.assertEqual((result["ended"], result["not_ended"], result["lag_s"]), (0, 1, None))

    def test_the_lag_counts_from_the_bound(self):
        def late(connection):
            until = threading.Event()
            threading.Timer(0.2, until.set).start()
            while not until.is_set():
                connection.recv(1 << 20)

        result = self.attack("settings", late, bound=1)
        self.assertEqual((result["ended"], result["not_ended"]), (1, 0))
        self.assertGreater(result["lag_s"], 0.1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
