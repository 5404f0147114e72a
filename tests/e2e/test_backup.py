#!/usr/bin/python3
"""Admin.Backup and `tributary backup`: a copy of the store, made while it is used, that another daemon
opens."""
import os
import shutil
import subprocess
import tempfile

import grpc

from harness.case import main
from harness.daemon import PATIENCE, binary, eventually
from harness.protos import duration, fault_of, v1
from harness.topics import TopicsCase

CODE = grpc.StatusCode


class Backups(TopicsCase):
    def backup(self):
        parts = list(self.admin().Backup(v1.BackupRequest(), timeout=PATIENCE))
        data = b"".join(part.data for part in parts)
        self.assertEqual({part.total_bytes for part in parts}, {len(data)})
        return data

    def restore(self, data):
        """A new folder with the copy."""
        self.state = tempfile.mkdtemp(dir=self.folder)
        os.chmod(self.state, 0o700)
        path = os.path.join(self.state, "store.db")
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o600)

    def copies(self):
        return [name for name in os.listdir(self.state) if name.startswith("backup")]

    def run_tool(self, *arguments, code=0):
        command = [binary("tributary"), "backup", *arguments, "-s", self.daemon.address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def test_a_copy_has_every_topic_in_a_new_epoch(self):
        self.start()
        made = [self.create(f"t{number:03}", max_age=duration(60 + number)) for number in range(300)]
        data = self.backup()
        self.assertGreater(len(data), 1 << 20, "several parts")
        eventually(lambda: not self.copies(), "the copy is removed")
        self.daemon.stop()
        self.restore(data)
        self.start()
        found = self.topics()
        self.assertEqual([each.name for each in found], [each.name for each in made])
        self.assertEqual([each.settings for each in found], [each.settings for each in made])
        for before, after in zip(made, found):
            self.assertGreater(after.epoch, before.epoch)

    def stalled_backup(self):
        """A caller that does not read."""
        stream = self.raw(self.daemon.address, window=1000, replenish=False).call(
            "/tributary.v1.Admin/Backup", b"")
        eventually(self.copies, "the copy is there")
        return stream

    def test_one_at_a_time_and_a_caller_that_leaves_makes_space_for_the_next(self):
        self.start()
        for number in range(300):
            self.create(f"t{number}")
        stream = self.stalled_backup()
        fault = fault_of(lambda: list(self.admin().Backup(v1.BackupRequest(), timeout=PATIENCE)))
        self.assertEqual((fault.code, fault.reason), (CODE.RESOURCE_EXHAUSTED, "STORE_BUSY"))
        self.assertIn("another backup", fault.message)
        stream.abort()
        eventually(lambda: not self.copies(), "the copy is removed")
        for _ in range(20):
            call = self.admin().Backup(v1.BackupRequest(), timeout=PATIENCE)
            call.cancel()
        self.assertGreater(len(eventually(self.backup_if_free, "the next one")), 0)
        eventually(lambda: not self.copies(), "copies are removed")

    def test_a_caller_that_does_not_read_has_the_write_timeout(self):
        self.start("--write-timeout", "500ms")
        for number in range(300):
            self.create(f"t{number}")
        stream = self.stalled_backup()
        eventually(lambda: not self.copies(), "the copy is removed")
        stream.wait_end()
        self.assertGreater(len(self.backup()), 0)

    def backup_if_free(self):
        try:
            return self.backup()
        except grpc.RpcError as error:
            self.assertEqual(error.code(), CODE.RESOURCE_EXHAUSTED)
            return None

    def test_the_tool_writes_a_file_that_a_daemon_opens(self):
        self.start()
        made = self.create("orders", max_events=5)
        target = os.path.join(self.folder, "copy.db")
        self.assertIn("copy.db: ", self.run_tool(target)[0])
        self.assertEqual(os.stat(target).st_mode & 0o777, 0o600)
        self.assertEqual(sorted(os.listdir(self.folder)), ["copy.db", "state"])
        before = os.stat(target).st_ino
        self.assertIn("--force", self.run_tool(target, code=1)[1])
        self.assertEqual(os.stat(target).st_ino, before, "never over a file without --force")
        self.run_tool("--force", target)
        self.assertNotEqual(os.stat(target).st_ino, before)
        open(target + ".tmp", "w", encoding="ascii").close()
        os.remove(target)
        self.assertIn("copy.db.tmp", self.run_tool(target, code=1)[1])
        self.run_tool("--force", target)
        self.daemon.stop()
        with open(target, "rb") as file:
            self.restore(file.read())
        self.start()
        self.assertEqual(self.topic("orders").settings, made.settings)

    def test_the_tool_leaves_nothing_where_it_fails(self):
        self.start()
        self.assertIn("No such file", self.run_tool(os.path.join(self.folder, "none", "x"), code=1)[1])
        self.run_tool("", code=2)
        daemon = self.start_daemon()
        self.daemon.stop()
        self.daemon = daemon
        self.assertIn("NO_STATE_DIR", self.run_tool(os.path.join(self.folder, "x"), code=73)[1])
        self.assertEqual(os.listdir(self.folder), ["state"])

    def test_a_drain_ends_a_backup(self):
        self.start()
        for number in range(300):
            self.create(f"t{number}")
        self.stalled_backup()
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(), 0)
        self.assertEqual(self.copies(), [])


if __name__ == "__main__":
    main()
