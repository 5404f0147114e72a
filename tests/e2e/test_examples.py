#!/usr/bin/python3
"""The examples of the C library, against the daemon."""
import pathlib
import subprocess

from harness.case import Case, main
from harness.client import event, publish
from harness.daemon import PATIENCE, binary, eventually


class Examples(Case):
    def example(self, name):
        path = pathlib.Path(binary()).parents[1] / "client" / "lib" / f"example_{name}"
        return self.start_program(path, self.daemon.address, stdin=subprocess.PIPE, text=True)

    def test_K5_one_loop_waits_for_events_and_for_input(self):
        poll = self.example("poll")
        eventually(self.daemon.subscriptions, "it subscribed")
        for number in range(3):
            publish(self.daemon.channel, "web", [event(number)])
            self.assertEqual(poll.stdout.readline(), f"web {number + 1}: {number} \n")
        out, err = poll.communicate("\n", timeout=PATIENCE)
        self.assertEqual((out, poll.returncode), ("", 0), err)
        self.assertIn("the stream ended: OK", err)


if __name__ == "__main__":
    main()
