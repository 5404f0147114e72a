"""The processes that the bench starts. Each has a deadline, and none outlives the command."""

import os
import pathlib
import select
import signal
import subprocess
import time

STOP_SECONDS = 15

started = set()  # started, and not yet seen to end


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP. It is not an Exception, so that no handler catches it and all
    cleanup runs."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


def catch_signals():
    """The first signal ends the command. Later signals are ignored, since the command is ending
    already."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupted(number, frame):
        del frame
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    for each in numbers:
        signal.signal(each, interrupted)


def start(command, stdout, stderr, environment=None):
    """Starts a process in a session of its own, so that Ctrl-C reaches the harness alone. The
    harness then ends what it started, in order."""
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    started.add(process)
    return process


def ended(process, seconds):
    """Waits for the end of a process; it sleeps meanwhile. It leaves the exit status, since the
    process id belongs to the process until the exit status is collected."""
    if process.returncode is not None:
        return True
    handle = os.pidfd_open(process.pid)
    try:
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        return bool(waiting.poll(max(0, seconds) * 1000))
    finally:
        os.close(handle)


def end(process, patience_s=STOP_SECONDS):
    """Ends a process and its children: SIGTERM, then a wait, then SIGKILL. Returns the exit
    status."""
    if process.returncode is None:
        if not ended(process, 0):
            os.killpg(process.pid, signal.SIGTERM)
            ended(process, patience_s)
        os.killpg(process.pid, signal.SIGKILL)  # the group exists until its leader's exit status is collected
        process.wait()
    started.discard(process)
    return process.returncode


def end_all():
    """For the exit of the command: a signal may have come while another process was being ended."""
    for process in list(started):
        end(process)


def last_lines(path, count=15):
    text = pathlib.Path(path).read_text(errors="replace").strip()
    return "\n".join(text.splitlines()[-count:])


def wait_until(condition, seconds, what):
    """Calls `condition` until its answer is true, and returns the answer. TimeoutError: it took
    too long."""
    until = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)


def run(command, folder, seconds):
    """Runs one program to its end. Returns (exit status, standard output, the end of standard
    error). TimeoutError names the command."""
    output, errors = pathlib.Path(folder) / "output", pathlib.Path(folder) / "errors"
    with open(output, "wb") as out, open(errors, "wb") as err:
        process = start(command, out, err)
        try:
            in_time = ended(process, seconds)
        finally:
            status = end(process)
    if not in_time:
        raise TimeoutError(f"not within {seconds:g} s: {' '.join(str(word) for word in command)}")
    return status, output.read_text(errors="replace"), last_lines(errors)
