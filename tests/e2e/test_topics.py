#!/usr/bin/python3
"""Stored topics as an operator sees them: created, changed, listed and deleted, and there again after
a restart and after a kill."""
import os
import subprocess
import unittest

import grpc

from harness.case import Case, main
from harness.daemon import PATIENCE, binary
from harness.protos import Fault, duration, fault_of, v1
from harness.topics import TopicsCase

CODE = grpc.StatusCode


class Changes(TopicsCase):
    def expect(self, code, reason, fields, call, *parts):
        fault = fault_of(call)
        self.assertEqual((fault.code, fault.reason), (code, reason), str(fault))
        if code == CODE.INVALID_ARGUMENT:
            self.assertEqual(fault.fields, fields)
        for part in parts:
            self.assertIn(part, fault.message)

    def test_a_topic_is_created_shown_changed_and_deleted(self):
        self.start()
        made = self.create("orders", max_age=duration(3600), max_bytes=1 << 30, max_events=10)
        self.assertEqual(made.name, "orders")
        self.assertGreater(made.epoch, 0)
        self.assertEqual((made.first_sequence, made.next_sequence, made.bytes), (1, 1, 0))
        self.assertEqual(made.settings.max_age.seconds, 3600)
        self.assertEqual((made.settings.max_bytes, made.settings.max_events), (1 << 30, 10))
        self.assertEqual(self.topic("orders"), made)
        changed = self.update("orders", max_events=20)
        self.assertEqual(changed.settings, v1.TopicSettings(max_events=20), "all settings are replaced")
        self.assertEqual(changed.epoch, made.epoch)
        self.assertEqual(self.topic("orders"), changed)
        self.assertEqual(self.delete("orders"), changed)
        self.expect(CODE.NOT_FOUND, "TOPIC_NOT_FOUND", ["name"], lambda: self.topic("orders"), '"orders"')

    def test_creating_is_idempotent_and_never_changes_settings(self):
        self.start()
        made = self.create("a", max_events=5)
        self.assertEqual(self.create("a", max_events=5), made)
        other = lambda: self.create("a", max_events=6)
        self.expect(CODE.ALREADY_EXISTS, "TOPIC_EXISTS", ["name"], other, '"a"')
        self.assertEqual(self.topic("a"), made)
        self.assertEqual(self.update("a", max_events=5), made)

    def test_each_error_names_field_value_and_bound(self):
        self.start()
        bad = CODE.INVALID_ARGUMENT
        names = {"": "EMPTY", "@a": "BAD_NAME", "a\nb": "BAD_NAME", "x" * 256: "TOO_LONG"}
        for name, reason in names.items():
            for call in (self.create, self.update, self.delete, self.topic):
                self.expect(bad, reason, ["name"], lambda: call(name))
        self.create("x" * 255)
        for settings, field, part in (
            ({"max_age": duration(0.5)}, "settings.max_age", "0.500000000 s"),
            ({"max_age": duration(-1)}, "settings.max_age", "-1"),
            ({"max_age": duration(876000 * 3600 + 1)}, "settings.max_age", "876000 h"),
            ({"max_bytes": 1 << 63}, "settings.max_bytes", str(1 << 63)),
            ({"max_events": 1 << 63}, "settings.max_events", str(1 << 63)),
            ({"id_window": duration(7 * 86400 + 1)}, "settings.id_window", "168 h"),
            ({"max_ids": 1000001}, "settings.max_ids", "1000001"),
        ):
            for call in (self.create, self.update):
                fault = fault_of(lambda: call("x" * 255, **settings))
                self.assertEqual((fault.code, fault.fields), (bad, [field]), str(fault))
                self.assertIn(part, fault.message)
        for call in (self.update, self.delete, self.topic):
            self.expect(CODE.NOT_FOUND, "TOPIC_NOT_FOUND", ["name"], lambda: call("nope"), '"nope"')
        self.expect(bad, "OUT_OF_BOUNDS", ["page_size"], lambda: self.topics(page_size=1001), "1001", "1000")
        self.expect(bad, "TOO_LONG", ["name"], lambda: self.topics("x" * 257), "256")
        token = v1.ListTopicsRequest(page_token="nonsense")
        self.expect(bad, "BAD_TOKEN", ["page_token"], lambda: self.admin().ListTopics(token))
        self.assertEqual(self.names(), ["x" * 255])

    def test_delete_with_an_epoch_spares_the_successor(self):
        self.start()
        first = self.create("a")
        self.delete("a", epoch=first.epoch)
        second = self.create("a")
        self.assertGreater(second.epoch, first.epoch)
        self.expect(CODE.ABORTED, "TOPIC_CHANGED", ["epoch"], lambda: self.delete("a", epoch=first.epoch),
                    str(first.epoch), str(second.epoch))
        self.assertEqual(self.topic("a"), second)
        self.delete("a", epoch=second.epoch)
        self.assertEqual(self.names(), [])

    def test_a_list_has_pages_and_a_pattern(self):
        self.start()
        names = [f"t{number:03}" for number in range(120)] + ["z", "ä"]
        for name in reversed(names):
            self.create(name)
        self.assertEqual(self.names(), names, "in the order of their bytes")
        self.assertEqual(self.names(page_size=7), names)
        tens = [name for name in names if name[0] == "t" and name[2] == "1"]
        self.assertEqual(self.names("t?1*", page_size=1), tens)
        self.assertEqual(self.names("no*"), [])

    def test_changes_of_one_name_at_the_same_time_are_carried_out_in_turn(self):
        self.start()
        admin = self.admin()
        calls = []
        for number in range(60):
            calls.append(admin.CreateTopic.future(v1.CreateTopicRequest(name="a"), timeout=PATIENCE))
            calls.append(admin.DeleteTopic.future(v1.DeleteTopicRequest(name="a"), timeout=PATIENCE))
        made = {call.result().epoch for call in calls[::2]}
        gone = [call.result().epoch for call in calls[1::2] if call.exception() is None]
        faults = {Fault(call.exception()).reason for call in calls[1::2] if call.exception()}
        self.assertLessEqual(faults, {"TOPIC_NOT_FOUND"})
        self.assertEqual(len(set(gone)), len(gone), "each is deleted once")
        left = made - set(gone)
        self.assertEqual([each.epoch for each in self.topics()], list(left))
        self.restart()
        self.assertEqual([each.epoch for each in self.topics()], list(left))

    def test_a_caller_that_leaves_does_not_stop_the_change(self):
        self.start()
        for number in range(30):
            call = self.admin().CreateTopic.future(v1.CreateTopicRequest(name=f"t{number}"), timeout=PATIENCE)
            call.cancel()
            self.create(f"u{number}")
        names = self.names("t*")
        self.restart()
        self.assertEqual(self.names("t*"), names, "what was begun is on the disk, and in effect")

    def test_a_topic_is_a_producer_of_the_hub_with_its_epoch(self):
        self.start()
        made = self.create("orders")
        shown = self.daemon.producer("@orders")
        self.assertEqual((shown.epoch, shown.last_sequence), (made.epoch, 0))
        self.delete("orders")
        self.assertIsNone(self.daemon.producer("@orders"))

    def test_what_the_hub_has_no_space_for_is_not_on_the_disk(self):
        self.start("--max-producers", "2", "--local-peer-share", "100")
        self.create("a")
        self.create("b")
        self.expect(CODE.RESOURCE_EXHAUSTED, "TOO_MANY_PRODUCERS", [], lambda: self.create("c"))
        calls = []
        self.delete("a")
        for name in "defgh":
            calls.append(self.admin().CreateTopic.future(v1.CreateTopicRequest(name=name), timeout=PATIENCE))
        made = [name for name, call in zip("defgh", calls) if call.exception() is None]
        self.assertEqual(len(made), 1)
        self.assertEqual(self.names(), ["b", *made])
        self.restart("--max-producers", "100")
        self.assertEqual(self.names(), ["b", *made])

    def test_a_peer_has_its_share_of_the_topics(self):
        self.start("--local-peer-share", "1")
        for number in range(100):
            self.create(f"t{number}")
        self.expect(CODE.RESOURCE_EXHAUSTED, "TOO_MANY_TOPICS", [], lambda: self.create("one more"), "100")
        self.delete("t5")
        self.create("one more")


class Restarts(TopicsCase):
    def test_topics_survive_a_restart_and_a_kill(self):
        self.start()
        made = [self.create("a", max_events=7), self.create("b", max_age=duration(60)), self.create("c")]
        self.delete("c")
        self.restart()
        self.assertEqual(self.topics(), made[:2])
        made[1] = self.update("b", max_bytes=1)
        self.kill_and_start()
        self.assertEqual(self.topics(), made[:2])
        self.assertGreater(self.create("c").epoch, made[2].epoch)

    def test_a_second_daemon_on_one_store_is_refused(self):
        self.start()
        self.create("a")
        command = [binary(), "--listen", "127.0.0.1:0", "--state-dir", self.state]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("store.refused", done.stderr)
        self.assertIn(str(self.daemon.pid), done.stderr, "it names the process that has it")
        self.assertEqual(self.names(), ["a"])

    def test_more_topics_than_producers_allowed_is_refused_at_the_start(self):
        self.start()
        for name in "abc":
            self.create(name)
        self.daemon.stop()
        command = [binary(), "--listen", "127.0.0.1:0", "--state-dir", self.state, "--max-producers", "2"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("--max-producers", done.stderr)
        self.start()
        self.assertEqual(self.names(), ["a", "b", "c"])
        info = self.admin().GetInfo(v1.GetInfoRequest(), timeout=PATIENCE)
        self.assertEqual(info.store.topics, 3)


class WithoutStateDir(Case):
    def test_there_are_no_topics_and_no_database(self):
        admin = self.daemon.admin()
        calls = {
            admin.CreateTopic: v1.CreateTopicRequest(name="a"),
            admin.UpdateTopic: v1.UpdateTopicRequest(name="a"),
            admin.DeleteTopic: v1.DeleteTopicRequest(name="a"),
            admin.GetTopic: v1.GetTopicRequest(name="a"),
        }
        for method, request in calls.items():
            fault = fault_of(lambda: method(request, timeout=PATIENCE))
            self.assertEqual((fault.code, fault.reason), (CODE.FAILED_PRECONDITION, "NO_STATE_DIR"))
        self.assertEqual(admin.ListTopics(v1.ListTopicsRequest(), timeout=PATIENCE), v1.ListTopicsResponse())
        files = os.listdir(f"/proc/{self.daemon.pid}/fd")
        targets = [os.readlink(f"/proc/{self.daemon.pid}/fd/{each}") for each in files]
        self.assertFalse([each for each in targets if "store" in each])


class Options(unittest.TestCase):
    def test_options_that_do_not_go_together_are_refused(self):
        for arguments, part in (
            (["--create-topics", "a*"], "need --state-dir"),
            (["--topic-max-age", "1ms"], "1s"),
            (["--create-topics", ""], "1 to 256 bytes"),
            (["--create-topics", "a"] * 17, "at most 16 times"),
        ):
            done = subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(part, done.stderr)


if __name__ == "__main__":
    main()
