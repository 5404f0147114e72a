#!/usr/bin/python3
"""What many producers and consumers cost: how long the loop works at a time, memory, processor time.

  TRIBUTARY_BIN=build/release/bin tests/e2e/measure_scale.py [--producers N] [--consumers N] [KIND ...]

Kinds (all of them by default):
  turns        each thing that the loop does with N shared producers and N consumers of `*`
  activations  the same with sessions in mode PER_CONSUMER: N x 1, and 1 x N
  idle         nothing happens: memory, and processor time with default heartbeats
  seldom       one of the producers publishes an event each second: processor time

For `turns` and `activations` each line has the turns of the loop by how long they worked. The daemon
gets a higher priority where that is allowed, so that the load of others counts less."""
import argparse
import contextlib
import os
import resource
import select as wait_for
import signal
import subprocess
import sys
import time

import grpc

from harness.crowd import Crowd
from harness.daemon import PATIENCE, Daemon, eventually
from harness.protos import message_class, v1
from harness.sessions import PER_CONSUMER, SHARED

PER_LINK = 100
SUBSCRIBE, CONSUME = "/tributary.v1.Subscriber/Subscribe", "/tributary.v1.Subscriber/Consume"
REGISTER, STREAM = "/tributary.v1.Publisher/Register", "/tributary.v1.Publisher/PublishStream"
BOUNDS = ["64us", "128us", "256us", "512us", "1ms", "2ms", "4ms", "8ms", "16ms", "32ms", "64ms", "128ms",
          "256ms", "512ms", "1s"]


def rss_bytes(pid):
    """Of this moment, and not of the last time at which the kernel looked."""
    for line in open(f"/proc/{pid}/smaps_rollup", encoding="ascii"):
        if line.startswith("Rss:"):
            return int(line.split()[1]) << 10
    raise RuntimeError("no Rss")


def cpu_s(pid):
    """By thread; the main one is the loop."""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError):
            ns = int(open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii").read().split()[0])
            found["loop" if task == str(pid) else task] = ns / 1e9
    return found


def call_get_info(address):
    """Asks again and again until standard input ends. The first answer only says that it begins."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -19)
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(
            "/tributary.v1.Admin/GetInfo", request_serializer=v1.GetInfoRequest.SerializeToString
        )
        call(v1.GetInfoRequest(), timeout=PATIENCE, wait_for_ready=True)
        print("begun", flush=True)
        waits = []
        while not input_has_ended(0.005):
            asked_at = time.monotonic()
            call(v1.GetInfoRequest(), timeout=PATIENCE)
            waits.append((time.monotonic() - asked_at) * 1e3)
    waits.sort()
    print(
        f"  GetInfo beside it: {waits[len(waits) // 2]:.1f} ms in the middle, 99 % within "
        f"{waits[len(waits) * 99 // 100]:.1f}, at most {waits[-1]:.1f} of {len(waits)}",
        flush=True,
    )


def input_has_ended(timeout_s):
    return wait_for.select([sys.stdin], [], [], timeout_s)[0]


@contextlib.contextmanager
def info_called(address):
    """Another process asks for GetInfo meanwhile, and prints how long it waited: this one is busy with
    what all the peers are sent, and would count that."""
    command = [sys.executable, __file__, "--get-info", address]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        yield
        print(process.communicate()[0].rstrip(), flush=True)


def hello(name, mode=SHARED):
    return v1.RegisterRequest(hello=v1.Hello(name=name, mode=mode)).SerializeToString()


def wants(pattern="*", **fields):
    return v1.SubscribeRequest(selectors=[v1.Selector(producer=pattern)], **fields).SerializeToString()


def consume(pattern="*"):
    request = v1.SubscribeRequest(selectors=[v1.Selector(producer=pattern)])
    return v1.ConsumeRequest(init=request).SerializeToString()


def select(pattern):
    step = message_class("tributary.v1.ConsumeRequest.Select")(selectors=[v1.Selector(producer=pattern)])
    return v1.ConsumeRequest(select=step).SerializeToString()


class Scale:
    def __init__(self, asked, *arguments):
        self.asked = asked
        self.daemon = Daemon("--log-level", "warn", "--local-peer-share", "100", *arguments, nofile=20000)
        for task in os.listdir(f"/proc/{self.daemon.pid}/task"):
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, int(task), -19)
        self.crowd = Crowd(self.daemon.address)
        self.producers, self.consumers = [], []  # (link, stream)

    def close(self):
        self.crowd.close()
        self.daemon.kill()

    def many(self, count, path, payloads, end=False):
        """Opens so many streams, PER_LINK on a connection. Returns when each has been answered."""
        found = []
        before = self.crowd.begun()
        for number in range(count):
            if number % PER_LINK == 0:
                link = self.crowd.link()
            found.append((link, link.open(path, payloads(number), end)))
        self.crowd.wait_begun(before + count)
        return found

    def register(self, count, prefix="p", mode=SHARED):
        self.producers += self.many(count, REGISTER, lambda number: hello(f"{prefix}{number}", mode))

    def subscribe(self, count, pattern="*"):
        self.consumers += self.many(count, SUBSCRIBE, lambda _: wants(pattern), end=True)

    def live(self, name):
        return self.daemon.counters()[f"live.{name}"]

    def settle(self):
        """Until the server has nothing to do any more."""
        quiet = 0
        while quiet < 3:
            before = sum(cpu_s(self.daemon.pid).values())
            time.sleep(0.1)
            quiet = quiet + 1 if sum(cpu_s(self.daemon.pid).values()) - before < 0.02 else 0

    @contextlib.contextmanager
    def turns(self, what):
        """Prints the turns of the loop meanwhile."""
        before, cpu = self.daemon.counters(), cpu_s(self.daemon.pid)
        began = time.monotonic()
        yield
        self.settle()
        took, after, spent = time.monotonic() - began, self.daemon.counters(), cpu_s(self.daemon.pid)
        cpu = {name: value - cpu.get(name, 0) for name, value in spent.items()}
        self.report(what, took, before, after, cpu)

    def report(self, what, took, before, after, cpu=None):
        counts = {}
        for bound in BOUNDS:
            name = f"loop.turns.le_{bound}"
            if after[name] > before[name]:
                counts[bound] = after[name] - before[name]
        counts[">1s"] = after["loop.turns.gt_1s"] - before["loop.turns.gt_1s"]
        long = {bound: count for bound, count in counts.items() if bound not in BOUNDS[:7] and count}
        busy = ", ".join(f"{name} {value:.2f}" for name, value in (cpu or {}).items() if value > 0.01)
        print(
            f"{what:42} {took:6.2f} s  turns {sum(counts.values()):6}, beyond 4 ms: "
            f"{' '.join(f'{bound}:{count}' for bound, count in long.items()) or '-':24} cpu s: {busy}",
            flush=True,
        )

    def terminated(self):
        """SIGTERM, and the turns as long as the server answers."""
        before = after = self.daemon.counters()
        began = time.monotonic()
        self.daemon.process.send_signal(signal.SIGTERM)
        while self.daemon.process.poll() is None and time.monotonic() - began < 4 * PATIENCE:
            with contextlib.suppress(grpc.RpcError):
                info = self.daemon.admin().GetInfo(v1.GetInfoRequest(), timeout=5)
                after = {counter.name: counter.value for counter in info.counters}
        self.report(f"SIGTERM (exit {self.daemon.process.poll()})", time.monotonic() - began, before, after)


def turns(asked):
    scale = Scale(asked, "--transient-forget", "2s", "--drain-timeout", "10s")
    try:
        with scale.turns(f"register {asked.producers} producers"):
            scale.register(asked.producers)
        with scale.turns(f"subscribe {asked.consumers} consumers"):
            scale.subscribe(asked.consumers)
        print(f"  resident: {rss_bytes(scale.daemon.pid) >> 20} MiB", flush=True)
        admin = scale.daemon.admin()
        with info_called(scale.daemon.address), scale.turns("200 more producers"):
            before = scale.crowd.begun()
            link = [scale.crowd.link(), scale.crowd.link()]
            for number in range(200):
                stream = link[number % 2].open(REGISTER, hello(f"more{number}"))
                scale.producers.append((link[number % 2], stream))
            scale.crowd.wait_begun(before + 200)
            scale.settle()
        with scale.turns("100 more consumers"):
            scale.subscribe(100)
        with scale.turns("they leave"):
            for link, number in scale.consumers[-100:]:
                link.abort(number)
            eventually(lambda: scale.live("subscriptions") <= asked.consumers, "they are gone")
        closed = sum(link.closed for link in scale.crowd.links)
        print(f"  {closed} connections were closed by the server", flush=True)
        with scale.turns("a connection of 100 consumers breaks"):
            next(link for link, _ in scale.consumers if not link.closed).socket.shutdown(2)
            eventually(lambda: scale.live("subscriptions") <= asked.consumers - 100, "they are gone")
        with scale.turns("all pages of producers and consumers"):
            token = ""
            while True:
                answer = admin.ListProducers(v1.ListProducersRequest(page_size=1000, page_token=token))
                token = answer.next_page_token
                if not token:
                    break
            scale.daemon.subscriptions(sources=True)
        with scale.turns("an event of each of 10 producers"):
            for number in range(10):
                link, stream = scale.producers[number]
                link.send(stream, v1.RegisterRequest(events=[v1.Event(data=b"x")]).SerializeToString())
        with scale.turns("Consume, three selects"):
            link = scale.crowd.link()
            stream = link.open(CONSUME, consume())
            for pattern in ("p1*", "p*", "*"):
                link.send(stream, select(pattern))
                scale.settle()
        with scale.turns("Consume, exact name, ends"):
            stream = link.open(CONSUME, consume("p17"))
            link.send(stream, select("*"))
            scale.settle()
            link.abort(stream)
        with scale.turns("100 transient producers"):
            publisher = v1.stub("Publisher", scale.daemon.channel)
            for number in range(100):
                publisher.Publish(v1.PublishRequest(producer=f"t{number}", events=[v1.Event(data=b"x")]))
        with scale.turns("they are forgotten"):
            eventually(lambda: scale.live("producers") <= asked.producers + 200, "they are gone")
        with scale.turns("RemoveProducer"):
            admin.RemoveProducer(v1.RemoveProducerRequest(name="p5", mode=v1.RemoveProducerRequest.CANCEL))
        with scale.turns("100 producers leave"):
            for link, stream in scale.producers[-100:]:
                link.abort(stream)
        with scale.turns("a connection of 100 producers breaks"):
            next(link for link, _ in scale.producers if not link.closed).socket.shutdown(2)
        with scale.turns("a session replaces another"):
            link.open(REGISTER, hello("p1050"))
        with scale.turns("a PER_CONSUMER session comes"):
            link = scale.crowd.link()
            stream = link.open(REGISTER, hello("each", PER_CONSUMER))
        with scale.turns("its call is lost"):
            link.abort(stream)
            eventually(lambda: scale.live("activations") == 0, "its activations are gone")
        with scale.turns("another one comes, and is removed"):
            link.open(REGISTER, hello("each", PER_CONSUMER))
            scale.settle()
            admin.RemoveProducer(v1.RemoveProducerRequest(name="each", mode=v1.RemoveProducerRequest.CANCEL))
            eventually(lambda: scale.live("activations") == 0, "its activations are gone")
        scale.terminated()
    finally:
        scale.close()


def activations(asked):
    scale = Scale(asked, "--drain-timeout", "10s")
    try:
        with scale.turns(f"register {asked.producers} PER_CONSUMER"):
            scale.register(asked.producers, mode=PER_CONSUMER)
        with scale.turns("Consume of all"):
            link = scale.crowd.link()
            stream = link.open(CONSUME, consume())
            eventually(lambda: scale.live("activations") == asked.producers, "all are started")
        print(f"  resident: {rss_bytes(scale.daemon.pid) >> 20} MiB", flush=True)
        for pattern in ("p*", "p1*", "*"):
            with scale.turns(f"select {pattern}"):
                link.send(stream, select(pattern))
        with scale.turns("its pages with sources"):
            scale.daemon.subscriptions(sources=True)
        with scale.turns("the consumer leaves"):
            link.abort(stream)
            eventually(lambda: scale.live("activations") == 0, "all are over")
        with scale.turns("Consume of all again"):
            link.open(CONSUME, consume())
            eventually(lambda: scale.live("activations") == asked.producers, "all are started")
        scale.terminated()
    finally:
        scale.close()


def idle(asked):
    scale = Scale(asked)
    try:
        before = rss_bytes(scale.daemon.pid)
        scale.register(asked.producers)
        scale.settle()
        made = rss_bytes(scale.daemon.pid)
        scale.subscribe(asked.consumers)
        scale.settle()
        now = rss_bytes(scale.daemon.pid)
        print(
            f"resident {now >> 20} MiB: {(made - before) / asked.producers / 1024:.1f} KiB for a producer, "
            f"{(now - made) / asked.consumers / 1024:.1f} KiB for a consumer",
            flush=True,
        )
        time.sleep(5)
        for _ in range(asked.rounds):
            cpu, began, sent = cpu_s(scale.daemon.pid), time.monotonic(), scale.daemon.counters()
            frames = sum(link.data_frames for link in scale.crowd.links)
            time.sleep(asked.seconds)
            took, after = time.monotonic() - began, cpu_s(scale.daemon.pid)
            got = scale.daemon.counters()
            shares = {name: (value - cpu.get(name, 0)) / took * 100 for name, value in after.items()}
            print(
                f"idle: {sum(shares.values()):.2f} % of a core ("
                + ", ".join(f"{name} {share:.2f}" for name, share in shares.items() if share > 0.02)
                + f"), {(got['messages.out'] - sent['messages.out']) / took:.0f} messages/s, "
                f"{(sum(link.data_frames for link in scale.crowd.links) - frames) / took:.0f} frames/s",
                flush=True,
            )
    finally:
        scale.close()


def seldom(asked):
    scale = Scale(asked)
    try:
        scale.register(asked.producers)
        scale.subscribe(asked.consumers)
        scale.settle()
        link, stream = scale.producers[0]
        one = v1.RegisterRequest(events=[v1.Event(data=b"x")]).SerializeToString()
        cpu, began = cpu_s(scale.daemon.pid), time.monotonic()
        for _ in range(int(asked.seconds)):
            link.send(stream, one)
            time.sleep(1)
        took, after = time.monotonic() - began, cpu_s(scale.daemon.pid)
        share = sum(value - cpu.get(name, 0) for name, value in after.items()) / took
        each = share / asked.consumers * 1e6
        print(f"an event each second: {share * 100:.1f} % of a core, {each:.0f} us for a delivery")
    finally:
        scale.close()


KINDS = {"turns": turns, "activations": activations, "idle": idle, "seldom": seldom}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--producers", type=int, default=10000)
    parser.add_argument("--consumers", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--get-info", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.get_info:
        call_get_info(asked.get_info)
        return
    if set(asked.kinds) - set(KINDS):
        parser.error(f"no such kind: {' '.join(set(asked.kinds) - set(KINDS))}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    for kind in asked.kinds or KINDS:
        KINDS[kind](asked)


if __name__ == "__main__":
    sys.exit(main())
