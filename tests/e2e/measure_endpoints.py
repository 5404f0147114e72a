#!/usr/bin/python3
"""What endpoints cost: processor time of a thousand that fail, memory of a thousand that are active.

  TRIBUTARY_BIN=build/release/bin tests/e2e/measure_endpoints.py [KIND ...]

Kinds (all of them by default):
  refuse     nobody listens at their port
  swallow    the network does not answer: the SYN is dropped
  silent     they accept the connection, and say nothing
  active     a connection and a stream each, in plaintext, that is idle
  active-tls the same with TLS

The first three run with the default backoff, and with a backoff of 10 ms that never grows. A figure
is taken over 20 s, after 60 s (--ramp): by then the backoff is as long as it becomes. Needs a
release build and 2 200 open files."""
import argparse
import asyncio
import contextlib
import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import sys
import time

import grpc

from harness.certificates import Certificates
from harness.daemon import Daemon, eventually
from harness.protos import duration, message_class, v1

ENDPOINT = message_class("tributary.v1.Endpoint")
ADD = v1.AddProducerRequest
FAST = dict(backoff=duration(0.01), max_backoff=duration(0.01))
METHOD = "/feed.Log/Follow"


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_kb(pid):
    """Of this moment, and not of the last time at which the kernel looked."""
    for line in open(f"/proc/{pid}/smaps_rollup", encoding="ascii"):
        if line.startswith("Rss:"):
            return int(line.split()[1])
    raise RuntimeError("no Rss")


def add_all(daemon, count, address, **fields):
    for number in range(count):
        endpoint = ENDPOINT(
            name=f"e{number}",
            address=address(number) if callable(address) else address,
            method=METHOD,
            requests=[b""],
            activation=ENDPOINT.SHARED,
            **fields,
        )
        daemon.admin().AddProducer(ADD(endpoint=endpoint))


@contextlib.contextmanager
def bad_address(kind):
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        name = listening.getsockname()
        if kind != "refuse":
            listening.listen(0 if kind == "swallow" else 4096)
        for _ in range(8 if kind == "swallow" else 0):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(name)
        yield "127.0.0.1:%d" % name[1]


def failing(kind, count, seconds, ramp, fast):
    with bad_address(kind) as address:
        daemon = Daemon("--log-level", "warn")
        before = rss_kb(daemon.pid)
        add_all(daemon, count, address, **(FAST if fast else {}))
        most, until = 0, time.monotonic() + ramp
        while time.monotonic() < until:
            most = max(most, descriptors(daemon.pid))
            time.sleep(0.05)
        begun, cpu, waits = time.monotonic(), cpu_s(daemon.pid), []
        while time.monotonic() - begun < seconds:
            asked = time.monotonic()
            daemon.counters()
            waits.append(time.monotonic() - asked)
            most = max(most, descriptors(daemon.pid))
            time.sleep(0.1)
        share = (cpu_s(daemon.pid) - cpu) / (time.monotonic() - begun)
        print(
            f"{count} x {kind}, backoff {'10 ms' if fast else 'default'}: {share * 100:.1f} % of a core, "
            f"{(rss_kb(daemon.pid) - before) / count:.0f} KB each, at most {most} descriptors, "
            f"GetInfo {statistics.median(waits) * 1e3:.1f} ms",
            flush=True,
        )
        daemon.stop()


def serve(ports, ready, listeners, tls):
    """A process of its own: one server on so many ports, whose streams never say anything after one
    message."""

    async def follow(_, context):
        await context.write(b"begun")
        await asyncio.Event().wait()

    async def run():
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_stream_rpc_method_handler(follow)
        service, method = METHOD[1:].split("/")
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: handler})])
        for number in range(listeners):
            bound = "127.0.0.1:0"
            ports[number] = server.add_secure_port(bound, tls) if tls else server.add_insecure_port(bound)
        await server.start()
        ready.set()
        await server.wait_for_termination()

    asyncio.run(run())


def active(count, seconds, made):
    """Four ports serve all: an endpoint has a connection of its own in any case."""
    context = multiprocessing.get_context("fork")
    ports, ready = context.Array("i", 4), context.Event()
    tls = made.server("server", None) if made else None
    process = context.Process(target=serve, args=(ports, ready, 4, tls), daemon=True)
    process.start()
    try:
        if not ready.wait(20):
            raise RuntimeError("the upstreams do not serve")
        options = ("--upstream-tls", f"ca:ca={made.crt('ca')}") if made else ()
        daemon = Daemon("--log-level", "warn", *options)
        before = rss_kb(daemon.pid)
        fields = dict(tls="ca", authority="localhost") if made else {}
        add_all(daemon, count, lambda number: "127.0.0.1:%d" % ports[number % 4], **fields)
        eventually(lambda: daemon.counters()["messages.in"] >= count, "all are active", patience=120)
        time.sleep(5)
        begun, cpu = time.monotonic(), cpu_s(daemon.pid)
        time.sleep(seconds)
        share = (cpu_s(daemon.pid) - cpu) / (time.monotonic() - begun)
        print(
            f"{count} x active{' with TLS' if made else ''}: {(rss_kb(daemon.pid) - before) / count:.1f} KB "
            f"each, {share * 100:.1f} % of a core, {descriptors(daemon.pid)} descriptors",
            flush=True,
        )
        daemon.stop()
    finally:
        process.kill()
        process.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    kinds = ("refuse", "swallow", "silent", "active", "active-tls")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(kinds))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--ramp", type=float, default=60)
    asked = parser.parse_args()
    if set(asked.kinds) - set(kinds):
        parser.error(f"no such kind: {' '.join(set(asked.kinds) - set(kinds))}")
    if len(asked.kinds) != 1:  # gRPC must not have been used before a process forks
        options = [f"--{name}={getattr(asked, name):g}" for name in ("count", "seconds", "ramp")]
        for kind in asked.kinds or kinds:
            subprocess.run([sys.executable, "-B", __file__, *options, kind], check=True)
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * asked.count + 1000), hard))
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    kind = asked.kinds[0]
    if kind == "active":
        active(asked.count, asked.seconds, None)
    elif kind == "active-tls":
        with contextlib.closing(Certificates()) as made:
            made.ca("ca")
            made.issue("server", "ca")
            active(asked.count, asked.seconds, made)
    else:
        failing(kind, asked.count, asked.seconds, asked.ramp, False)
        failing(kind, asked.count, asked.seconds, asked.ramp, True)


if __name__ == "__main__":
    sys.exit(main())
