"""The processes that the bench starts, and only those: each has a deadline, and none outlives the command."""
import os
import pathlib
import select
import signal
import subprocess
import time

STOP_SECONDS = 15

started = set()  # those that were started and not yet seen to end


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP. Not an Exception: nobody on the way handles it, everybody cleans up."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.number = number


def catch_signals():
    """The first signal ends the command; others are ignored from then on, since it is being ended."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupted(number, frame):
        del frame
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    for each in numbers:
        signal.signal(each, interrupted)


def start(command, stdout, stderr, environment=None):
    """In a session of its own, so that Ctrl-C reaches the harness alone, which then ends what it started, in order."""
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                               env={**os.environ, **(environment or {})}, start_new_session=True)
    started.add(process)
    return process


def ended(process, seconds):
    """Waits, without waking up meanwhile, and without taking the exit status: until that is taken, the process's number stays its own."""
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
    """Asks, waits, then does not ask any more; what it started itself goes with it. The exit status."""
    if process.returncode is None:
        if not ended(process, 0):
            os.killpg(process.pid, signal.SIGTERM)
            ended(process, patience_s)
        os.killpg(process.pid, signal.SIGKILL)  # the group is there as long as its leader's exit status was not taken
        process.wait()
    started.discard(process)
    return process.returncode


def end_all():
    """For the way out, whatever it was: a signal may have come while something else was being ended."""
    for process in list(started):
        end(process)


def last_lines(path, count=15):
    text = pathlib.Path(path).read_text(errors="replace").strip()
    return "\n".join(text.splitlines()[-count:])


def wait_until(question, seconds, what):
    """Asks until the answer is true, and returns it. TimeoutError when it is not in time."""
    until = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)


def run(command, folder, seconds):
    """Runs one program to its end. (exit status, standard output, the end of standard error); TimeoutError names the command."""
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
