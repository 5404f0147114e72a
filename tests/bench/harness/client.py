"""A run of W8 or W13. It uses our own C library through `tributary bench` in place of the generator:
publishers of single events, and subscribers with a callback that check every number and every
sequence. The result has the names that the generator gives."""

import contextlib
import json
import pathlib

from . import account, children
from .campaign import RunFailed

START_SECONDS = 20
SLACK_SECONDS = 60  # more than what is measured: for the last confirmation and the last event
IDLE_SECONDS = 1  # subscribers end when nothing came for so long

ERROR_COUNTS = (
    "holes",
    "sequence_holes",
    "disorder",
    "duplicates",
    "lost",
    "unchecked",
    "before",
    "reconnects",
)


def publish_command(program, address, row, seconds):
    return [
        program,
        "bench",
        "pub",
        "--server",
        address,
        "--publishers",
        row.producers,
        "--size",
        row.option("--payload"),
        "--max-time",
        f"{seconds:g}s",
        "--json",
        "--quiet",
    ]


def subscribe_command(program, address, row, ready):
    return [
        program,
        "bench",
        "sub",
        "--server",
        address,
        "--subscribers",
        row.consumers,
        "--idle",
        f"{IDLE_SECONDS}s",
        "--ready-file",
        ready,
        "--json",
        "--quiet",
    ]


def printed(command, status, folder):
    """The JSON that a command printed; RunFailed where it failed."""
    if status != 0:
        raise RunFailed(
            f"{' '.join(str(word) for word in command[1:3])} ended with {status}: "
            f"{children.last_lines(folder / 'errors')}"
        )
    try:
        return json.loads((folder / "output").read_text())
    except ValueError as error:
        raise RunFailed(f"{' '.join(str(word) for word in command[1:3])} printed no JSON ({error})") from None


@contextlib.contextmanager
def running(command, folder):
    """A command in the background, with `output` and `errors` in a folder of its own."""
    folder.mkdir()
    with open(folder / "output", "wb") as out, open(folder / "errors", "wb") as errors:
        process = children.start(command, out, errors)
        try:
            yield process
        finally:
            children.end(process)


def subscribed(process, ready):
    """Whether all have subscribed. RunFailed: they never will."""
    has_ended = children.ended(
        process, 0
    )  # checked first: the process may become ready and end between the two checks
    if not ready.exists() and has_ended:
        raise RunFailed(
            f"tributary bench sub ended with {children.end(process)}: "
            f"{children.last_lines(ready.parent / 'sub' / 'errors')}"
        )
    return ready.exists()


def check(row, published, received):
    """Checks that every consumer has every event, once, in order."""
    for each in (received, *received["per_subscriber"]):
        wrong = [f"{name} {each[name]}" for name in ERROR_COUNTS if each.get(name)]
        if wrong or each.get("lost_unknown"):
            raise RunFailed(f"tributary bench sub: {', '.join(wrong) or 'more lost than could be counted'}")
    if published["refused"] or published["not_confirmed"] or published["reconnects"]:
        raise RunFailed(
            f"tributary bench pub: {published['refused']} refused, "
            f"{published['not_confirmed']} not confirmed, {published['reconnects']} reconnects"
        )
    counts = [each["events"] for each in received["per_subscriber"]]
    if counts != [published["confirmed"]] * row.consumers:
        raise RunFailed(
            f"{published['confirmed']} events were confirmed, the subscribers got "
            f"{' '.join(str(count) for count in counts)}"
        )


def result_of(row, published, received, before, after, memory):
    """The result as the generator prints it, and both summaries."""
    foreign, steal = account.shares(before, after)
    millions = received["events"] / 1e6
    if not millions:
        raise RunFailed("nothing was published")
    return {
        "protocol": "client",
        "producers": row.producers,
        "consumers": row.consumers,
        "payload": published["size"],
        "seconds": received["seconds"],
        "published": published["confirmed"],
        "delivered": received["events"],
        "events_per_s": received["events_per_second"],
        "published_per_s": published["events_per_second"],
        "server_cpu_s_per_M": (after.server_s - before.server_s) / millions,
        "server_cpu_share": (after.server_s - before.server_s) / received["seconds"],
        "producer_cpu_s_per_M": published["cpu_seconds"] / millions,
        "consumer_cpu_s_per_M": received["cpu_seconds"] / millions,
        "rss_before_bytes": memory[0],
        "rss_bytes": memory[1],
        "foreign_cpu_share": foreign,
        "steal_share": steal,
        "latency_us": {name: received["latency_us"].get(name) for name in ("p50", "p90", "p99", "max")},
        "consumer_delivered": [each["events"] for each in received["per_subscriber"]],
        "pub": published,
        "sub": received,
    }


def measure(program, pid, addresses, row, seconds, folder):
    """One run against the server with that process id. `addresses` has one for each side: "pub" and
    "sub". RunFailed, or TimeoutError."""
    folder = pathlib.Path(folder)
    ready = folder / "ready"
    subscribe = subscribe_command(program, addresses["sub"], row, ready)
    publish = publish_command(program, addresses["pub"], row, seconds)
    memory, before = [account.resident_bytes(pid)], account.Reading.of(pid)
    with running(subscribe, folder / "sub") as subscriber:
        children.wait_until(
            lambda: subscribed(subscriber, ready), START_SECONDS, "tributary bench sub has subscribed"
        )
        with running(publish, folder / "pub") as publisher:
            if not children.ended(publisher, seconds + SLACK_SECONDS):
                raise TimeoutError(f"not within {seconds + SLACK_SECONDS:g} s: tributary bench pub")
        memory.append(account.resident_bytes(pid))
        if not children.ended(subscriber, SLACK_SECONDS):
            raise TimeoutError(
                f"not within {SLACK_SECONDS} s: tributary bench sub, after the last event was confirmed"
            )
    after = account.Reading.of(pid)
    published = printed(publish, publisher.returncode, folder / "pub")
    received = printed(subscribe, subscriber.returncode, folder / "sub")
    check(row, published, received)
    return result_of(row, published, received, before, after, memory)
