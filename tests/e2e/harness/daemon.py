"""tributaryd as a process: started on a port the kernel chooses, watched, and ended as its users
would end it."""
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

import grpc

from .protos import v1

# How long to wait for what should happen at once. Generous: the machine may be busy and the build
# instrumented.
PATIENCE = float(os.environ.get("TRIBUTARY_PATIENCE", "30"))
REPORT = re.compile(
    r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|check failed"
)


def binary(name="tributaryd"):
    folder = os.environ.get("TRIBUTARY_BIN")
    if not folder:
        raise RuntimeError("TRIBUTARY_BIN must name the folder of the built programs, such as build/dev/bin")
    return str(pathlib.Path(folder).resolve() / name)


def instrumented():
    """Whether the programs carry a sanitizer: then they are several times slower and larger."""
    return os.environ.get("TRIBUTARY_SANITIZE", "") != ""


def eventually(question, what, patience=PATIENCE):
    """Asks until the answer is true, and returns it. Fails when `patience` seconds have passed."""
    until = time.monotonic() + patience
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"did not happen within {patience:g} s: {what}")
        time.sleep(0.005)


class Daemon:
    def __init__(
        self,
        *arguments,
        listen=("127.0.0.1:0",),
        level="info",
        nofile=0,
        stderr=None,
        max_block_timeout="1h",
        env=(),
    ):
        """`env`: further variables of its environment.
        `nofile`: its RLIMIT_NOFILE; 0: as it is here. `stderr`: a descriptor in place of the file
        that stderr() and log() read. `max_block_timeout`: None is the daemon's own; the default lets
        tests hold producers as long as they need to."""
        self.folder = tempfile.TemporaryDirectory(prefix="tributary-e2e-")
        ready = pathlib.Path(self.folder.name) / "ready"
        self.errors = pathlib.Path(self.folder.name) / "stderr"
        limit = ["prlimit", f"--nofile={nofile}:{nofile}"] if nofile else []
        command = [*limit, binary(), "--ready-file", str(ready), "--log-format", "json", "--log-level", level]
        for address in listen:
            command += ["--listen", address]
        if max_block_timeout:
            command += ["--max-block-timeout", max_block_timeout]
        with open(self.errors, "wb") as out:
            self.process = subprocess.Popen(
                command + list(arguments),
                stdin=subprocess.DEVNULL,
                stderr=out if stderr is None else stderr,
                env=os.environ | dict(env),
            )
        self._channel = self._last_errors = None
        try:
            eventually(lambda: self._serves(ready), "the daemon writes its ready file")
        except AssertionError:
            self.kill()
            raise
        self.addresses = ready.read_text().split()
        self.address = self.addresses[0]

    def _serves(self, ready):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}: {self.stderr()}")
        return ready.exists() and ready.read_text().endswith("\n")

    @property
    def pid(self):
        return self.process.pid

    @property
    def channel(self):
        """One connection for looking in; it lives as long as the daemon."""
        if self._channel is None:
            options = [("grpc.use_local_subchannel_pool", 1)]
            self._channel = grpc.insecure_channel(self.address, options=options)
        return self._channel

    def admin(self):
        return v1.stub("Admin", self.channel)

    def counters(self):
        info = self.admin().GetInfo(v1.GetInfoRequest(), timeout=PATIENCE, wait_for_ready=True)
        return {counter.name: counter.value for counter in info.counters}

    def live(self):
        return {name: value for name, value in self.counters().items() if name.startswith("live.")}

    def subscriptions(self, sources=False):
        """All of them, page by page."""
        token, found = "", []
        while True:
            request = v1.ListSubscriptionsRequest(page_token=token, sources=sources, page_size=1000)
            answer = self.admin().ListSubscriptions(request, timeout=PATIENCE)
            found += answer.subscriptions
            token = answer.next_page_token
            if not token:
                return found

    def subscription(self, subscription_id, sources=False):
        for each in self.subscriptions(sources):
            if each.id == subscription_id:
                return each
        return None

    def producer(self, name):
        """None where it is not known."""
        try:
            return self.admin().GetProducer(v1.GetProducerRequest(name=name), timeout=PATIENCE)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
            return None

    def blocked(self, name):
        producer = self.producer(name)
        return producer is not None and producer.blocked_calls > 0

    def stderr(self):
        return self.errors.read_text(errors="replace") if self._last_errors is None else self._last_errors

    def last_lines(self, count=200):
        return "\n".join([f"the daemon at {self.address} said last:", *self.stderr().splitlines()[-count:]])

    def log(self, event=None):
        """The log's lines so far, as dictionaries; only those of one event where it is named. A thread
        of the daemon writes them: reads until nothing more comes for 50 ms."""
        lines, text = [], self.stderr()
        for _ in range(20 if self._last_errors is None else 0):
            time.sleep(0.05)
            before, text = text, self.stderr()
            if text == before:
                break
        for line in text.splitlines():
            if line.startswith("{"):
                lines.append(json.loads(line))
        return [line for line in lines if event is None or line.get("event") == event]

    def memory_bytes(self, field="VmRSS"):
        """Resident set size."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", text).group(1)) * 1024

    def ran_ms(self, threads=""):
        """The processor time of its threads so far, in milliseconds: of those that are there now and
        whose names begin so."""
        ran_ns = 0
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                if (task / "comm").read_text().startswith(threads):
                    ran_ns += int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has ended meanwhile
        return ran_ns / 1e6

    def memory_peak_bytes(self):
        """The largest resident set size since forget_memory_peak()."""
        return self.memory_bytes("VmHWM")

    def forget_memory_peak(self):
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def close_channel(self):
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, patience=PATIENCE):
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"the daemon still runs after {patience:g} s; its log ends:\n{self.stderr()[-3000:]}"
            ) from None

    def stop(self, patience=PATIENCE):
        """Ends it as an operator would, and proves that it ended well."""
        self.close_channel()
        try:
            if self.process.poll() is not None:
                raise AssertionError(
                    f"the daemon died by itself with {self.process.returncode}:\n{self.stderr()[-6000:]}"
                )
            self.terminate()
            code = self.wait(patience)
            errors = self.stderr()
            if code != 0 or REPORT.search(errors):
                raise AssertionError(f"the daemon exited with {code} and said:\n{errors[-6000:]}")
        finally:
            self.kill()

    def kill(self):
        """For what must not outlive a test; says nothing about how the daemon fared."""
        self.close_channel()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._last_errors is None:
            self._last_errors = self.stderr()  # for later calls: the folder is removed
        self.folder.cleanup()
