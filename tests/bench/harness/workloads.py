"""The workloads and their rows, as data. Nothing here runs anything.

A workload is a table of rows. A row is one shape (producers x consumers and the generator's
options) and its *contestants*, which run one after the other, each on a server of its own. One
contestant may be the *base*: the others are compared with it within the same round. Contestants
differ in their protocol (which server), or in an option of the generator or of tributaryd."""

import dataclasses

# Protocols that the generator can use besides ours. "client" is our own C library, through
# `tributary bench`.
PEERS = ("raw", "nats", "redis")

CLOSED = ("rate", "ratio", "cpu", "cpu_generator", "rss")
OPEN = ("rate", "p50", "p99", "p50_over", "p99_over", "cpu", "cpu_over", "cpu_generator", "rss")
MEMORY = ("rss_before", "rss", "per_consumer", "per_added")
STALLED = ("others", "p50", "p99", "p99_change", "cpu", "rss")
FILTERED = ("ingested", "rate", "cpu_ingested", "cpu_ingested_over", "cpu_generator", "rss")
CLIENT = ("rate", "ingested", "cpu", "cpu_generator", "rss")
GUARDED = ("rate", "rate_over_off", "cpu", "cpu_over_off", "cpu_generator", "rss")
DIALLED = ("rate", "rate_over_in", "cpu", "cpu_over_in", "cpu_generator", "rss")
SORTED = ("rate", "p50", "p99", "cpu", "cpu_over_unsorted", "cpu_generator", "rss")
FAN_IN = ("rate", "rate_over_one", "cpu", "cpu_over_proxy", "p50", "p50_added", "p99", "rss")
FAR = ("megabytes", "rate", "cpu", "cpu_generator", "p50", "p99", "rss")
DURABLE = ("rate", "rate_over_js", "cpu", "cpu_over_js", "p50", "p99", "cpu_generator", "rss")
FAIR = ("p50", "p90", "p99", "max", "late_p99", "ingested", "cpu", "rss")


@dataclasses.dataclass(frozen=True)
class Contestant:
    name: str
    protocol: str = "tributary"
    load: tuple = ()  # the generator's options besides those of the row
    consumers: int = 0  # 0: as the row
    server: tuple = ()  # the options of tributaryd besides those of the row
    far: tuple = ("pub", "sub")  # the sides that are behind the proxy of the row
    upstreams: int = 1  # of W15

    @property
    def stalled(self):
        return int(self.load[self.load.index("--stall") + 1]) if "--stall" in self.load else 0


@dataclasses.dataclass(frozen=True)
class Row:
    workload: str
    name: str  # words; --only selects rows by any one of them
    producers: int
    consumers: int
    load: tuple
    contestants: tuple
    base: str = ""  # the contestant that ratios are taken over; "": none
    seconds: float = 4
    server: tuple = ()  # the options of tributaryd that this row needs
    timed: bool = True  # whether the load of other programs disturbs it; False: only memory is read
    mirrored: bool = False  # each round runs the contestants in order, and then in reverse order
    round_trip_us: int = 0  # of the proxy in front of the server; 0: there is none

    @property
    def id(self):
        return f"{self.workload} {self.name}"

    @property
    def turns(self):
        """The contestants as a round runs them."""
        return self.contestants + (self.contestants[::-1] if self.mirrored else ())

    @property
    def files(self):
        """How many open files a server or the generator needs, with some of their own."""
        return self.producers + self.consumers + 100

    def option(self, name, default=None):
        """The value of a generator's option that the row sets."""
        return self.load[self.load.index(name) + 1] if name in self.load else default


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    title: str
    columns: tuple
    rows: tuple
    note: str = ""


def contestants(peers=PEERS):
    return (Contestant("tributary"),) + tuple(Contestant(peer, peer) for peer in peers)


def closed_loop(workload, shape, per_message, payload=128, label=""):
    producers, consumers = (int(side) for side in shape.split("x"))
    return Row(
        workload,
        f"{label} {shape}".strip(),
        producers,
        consumers,
        ("--per-message", str(per_message), "--payload", str(payload)),
        contestants(),
        base="raw",
    )


def open_loop(workload, shape, rate=20000):
    producers, consumers = (int(side) for side in shape.split("x"))
    return Row(
        workload,
        shape,
        producers,
        consumers,
        ("--per-message", "1", "--payload", "128", "--rate", str(rate)),
        contestants(),
        base="raw",
        seconds=5,
    )


SHAPES = ("4x1", "1x1", "1x8", "16x16", "200x1")


def fairness(name, events):
    """50 producers of 10 events/s each, beside one that publishes messages of `events` events at
    full speed."""
    flood = ("--flood", str(events))
    return Row(
        "W10",
        f"{name} 50x1",
        50,
        1,
        ("--per-message", "1", "--payload", "128", "--rate", "500"),
        (
            Contestant("own consumer", load=(*flood, "--flood-apart"), consumers=2),
            Contestant("one for all", load=flood),
            Contestant("no flood"),
        ),
        base="no flood",
        seconds=8,
    )


def guarded(name, per_message, shape):
    """The daemon with the guard and without it, and nothing else changes. The ratio should come
    near 1, so the order must not decide: the runs of a round are on, off, off, on."""
    row = closed_loop("W12", shape, per_message, label=name)
    ours = Contestant("tributary"), Contestant("guard off", server=("--guard", "off"))
    return dataclasses.replace(row, contestants=ours, base="guard off", seconds=2, mirrored=True)


def dialled(name, per_message, raw=False):
    """Producers that the server dials, beside the same producers that dial in. Each has a
    connection of its own in both. The order must not decide, so each round runs all of them in
    order and back."""
    row = closed_loop("W11", "200x1", per_message, label=name)
    ours = (
        Contestant("dialled", "dialled"),
        Contestant("per consumer", "dialled", load=("--endpoint", "per-consumer")),
        *([Contestant("raw", "dialled", load=("--endpoint", "raw"))] if raw else []),
        Contestant("dial in"),
    )
    return dataclasses.replace(row, contestants=ours, base="dial in", seconds=2, mirrored=True)


def sorted_by_time(shape, rate):
    """The same events, with times, to a consumer that sorts and to one that does not."""
    ours = (
        Contestant("sorted", load=("--sort-window", "250")),
        Contestant("unsorted", load=("--sort-window", "0")),
    )
    return dataclasses.replace(
        open_loop("W14", shape, rate), contestants=ours, base="unsorted", seconds=5, mirrored=True
    )


def idle(consumers):
    # By default all peers may have 10 000 connections, and a local peer 97 % of them. The producer
    # needs one, too.
    more = ("--max-connections", str(consumers + 100), "--local-peer-share", "100")
    server = more if consumers + 1 > 9700 else ()
    return Row(
        "W5",
        f"idle {consumers}",
        1,
        consumers,
        ("--idle",),
        contestants(("nats", "redis")),
        seconds=2,
        server=server,
        timed=False,
    )


def workloads():
    # The policy is the server's default for these producers. With the generator's default, the
    # stalled consumer would block them.
    stalled = ("--per-message", "1", "--payload", "1024", "--rate", "20000", "--overflow", "drop-oldest")
    plain = ("--per-message", "64", "--payload", "128")
    return (
        Workload(
            "W1",
            "saturation: 128 B, 64 events per message in",
            CLOSED,
            tuple(closed_loop("W1", shape, 64) for shape in SHAPES),
        ),
        Workload(
            "W2",
            "saturation: 128 B, one event per message in",
            CLOSED,
            tuple(closed_loop("W2", shape, 1) for shape in SHAPES),
        ),
        Workload(
            "W3",
            "20 000 events/s, 128 B, one event per message; latency from the scheduled send time",
            OPEN,
            tuple(open_loop("W3", shape) for shape in ("4x1", "1x8", "200x1")),
        ),
        Workload(
            "W4",
            "saturation by size: 64 events per message in",
            CLOSED,
            (closed_loop("W4", "4x1", 64, 16, "16B"), closed_loop("W4", "4x1", 64, 1024, "1KiB")),
        ),
        Workload(
            "W5",
            "memory: consumers with a connection each",
            MEMORY,
            (
                idle(1000),
                idle(10000),
                Row(
                    "W5",
                    "200x200",
                    200,
                    200,
                    ("--per-message", "1", "--payload", "128", "--rate", "1000"),
                    contestants(("nats", "redis")) + (Contestant("with one consumer", consumers=1),),
                    base="with one consumer",
                    seconds=4,
                    timed=False,
                ),
            ),
            note="per consumer: (memory at the end - memory before anybody connected) / consumers, "
            "so 200x200 charges them with the\n"
            "producers, too; per added consumer: over the same 200 producers with one consumer; "
            "both after 1000 events/s to each",
        ),
        Workload(
            "W6",
            "one consumer of four stops reading: 20 000 events/s, 1 KiB; what the others get",
            STALLED,
            (
                Row(
                    "W6",
                    "1x4",
                    1,
                    4,
                    stalled,
                    (Contestant("one stalled", load=("--stall", "1")), Contestant("none stalled")),
                    base="none stalled",
                    seconds=60,
                ),
            ),
            note="the overflow policy is drop-oldest, what the server does where a consumer says nothing",
        ),
        Workload(
            "W7",
            "one filter per consumer, each gets an eighth: 128 B, 64 events per message in",
            FILTERED,
            (
                Row(
                    "W7",
                    "1x8",
                    1,
                    8,
                    plain,
                    (Contestant("unfiltered"),)
                    + tuple(Contestant(kind, load=("--filter", kind)) for kind in ("key", "type", "topic")),
                    base="unfiltered",
                ),
            ),
            note="over unfiltered: the server's processor time for each event that came in, "
            "over that of W1 1x8 in the same round",
        ),
        Workload(
            "W8",
            "through the C client library: 128 B, single events published, a callback for each one received",
            CLIENT,
            tuple(by_client(shape) for shape in ("4x1", "1x8")),
            note="generator CPU: of the client library, both sides, and of the bench around it",
        ),
        Workload(
            "W9",
            "events that are confirmed when they are on the disk (fsync), beside JetStream of nats-server",
            DURABLE,
            (
                durable("4x64", 4, 64, 4096),
                durable("half", 4, 64, 4096, "--half"),
                durable("single", 16, 1, 1),
            ),
            note="4x64: 4 producers, 64 events in a message, 4096 of each without a confirmation; p50, p99: "
            "until it is confirmed;\n"
            "half: the same at half of the rate that this contestant reached; single: 16 producers that wait "
            "for each event;\n"
            "jetstream confirms without fsync, jetstream always with it; all stores are on one disk",
        ),
        Workload(
            "W10",
            "fairness: 50 producers of 10 events/s beside one at full speed (the flood); latency of the 50",
            FAIR,
            (fairness("packed", 64), fairness("single", 1)),
            note="packed, single: 64 events or one in each message of the flood; own consumer: the flood "
            "goes to a consumer of its own;\n"
            "one for all: one consumer receives everything; no flood: the 50 alone; "
            "published/s is with the flood",
        ),
        Workload(
            "W11",
            "200 producers that the server dials, over the same that dial in: W1 (packed) and W2 (single)",
            DIALLED,
            (dialled("packed", 64), dialled("single", 1, raw=True)),
            note="over dialling in: within a round, which runs all in order and back; the mean of its two "
            "pairs;\n"
            "dialled: SHARED endpoints of Upstream/Produce; per consumer: PER_CONSUMER ones; "
            "raw: SHARED with decode RAW,\n"
            "one message for each event; dial in: PublishStream",
        ),
        Workload(
            "W12",
            "the guard: W1 (packed) and W2 (single) with it and without it",
            GUARDED,
            tuple(
                guarded(name, events, shape)
                for name, events in (("packed", 64), ("single", 1))
                for shape in ("4x1", "1x8", "16x16", "200x1")
            ),
            note="over guard off: within a round, whose runs are on, off, off, on; "
            "the mean of its two pairs",
        ),
        Workload(
            "W13",
            "one publisher and one consumer 10 ms away: the C client library, and a proxy that delays",
            FAR,
            tuple(
                far_away(name, payload)
                for name, payload in (("1KiB", 1024), ("16KiB", 16384), ("64KiB", 65536))
            ),
            note="MB/s: of payload, 10^6 bytes; publisher, consumer: that side alone is behind the proxy;\n"
            "both: each of them is; "
            "raw relay: the same proxy in front of the relay, the control: what proxy and machine can move",
        ),
        Workload(
            "W14",
            "100 000 events/s of 16 producers, one per message, to a consumer that sorts by time or does not",
            SORTED,
            (sorted_by_time("16x1", 100000),),
            note="sorted: a window of 250 ms, and every event is checked for its place; "
            "the latency is with the window;\n"
            "CPU over unsorted: within a round, which runs both in order and back; the mean of its two pairs",
        ),
        Workload(
            "W15",
            "a call of --fan-in, beside a one-to-one proxy on the bare gRPC core, and a call to the upstream",
            FAN_IN,
            (
                fan_in("150B", 150, 0, PROXIED, "proxy"),
                fan_in("10KB", 10000, 0, PROXIED, "proxy"),
                fan_in("three", 150, 20000, THREE, "one upstream"),
                fan_in("added", 150, 1000, ADDED, "direct"),
            ),
            note="150B, 10KB: as fast as the client reads; three: each upstream sends 20 000 messages/s; "
            "added: one sends 1000;\n"
            "over: within a round, which runs all in order and back; the mean of its two pairs",
        ),
    )


def durable(name, producers, per_message, window, *more):
    """The load of nats-server counts as that of another program, so these runs are not dropped for
    it."""
    load = ("--per-message", str(per_message), "--window", str(window), "--payload", "128", *more)
    all_three = (
        Contestant("tributary", "stored"),
        Contestant("jetstream", "jetstream"),
        Contestant("jetstream always", "jetstream-always"),
    )
    return Row("W9", name, producers, 0, load, all_three, base="jetstream", timed=False)


ONE = Contestant("one upstream", "fanin")
PROXIED = (ONE, Contestant("proxy", "proxy"))
THREE = (Contestant("three upstreams", "fanin", upstreams=3), ONE)
ADDED = (ONE, Contestant("proxy", "proxy"), Contestant("direct", "direct"))


def fan_in(name, payload, rate, ours, base):
    """Upstreams and client count as other programs, so these runs are not dropped for the load of
    others."""
    load = ("--payload", str(payload), "--rate", str(rate))
    return Row("W15", name, 1, 1, load, ours, base=base, seconds=3, timed=False, mirrored=True)


def far_away(name, payload):
    """One connection that publishes and one that receives. The proxy counts as another program, so
    these runs are not dropped for the load of others. The relay takes part as the control; its
    generator has up to 64 MiB in flight, as the publisher and the consumer's channel have."""
    in_flight = str((64 << 20) // payload)
    ours = tuple(
        Contestant(who, "client", far=far)
        for who, far in (("publisher", ("pub",)), ("consumer", ("sub",)), ("both", ("pub", "sub")))
    )
    raw = Contestant("raw relay", "raw", load=("--per-message", "1", "--in-flight", in_flight))
    return Row(
        "W13",
        f"{name} 1x1",
        1,
        1,
        ("--payload", str(payload)),
        (*ours, raw),
        base="raw relay",
        timed=False,
        round_trip_us=10000,
    )


def by_client(shape):
    """As a user's program does it: our library packs single events, and subscribers have a
    callback."""
    producers, consumers = (int(side) for side in shape.split("x"))
    return Row("W8", shape, producers, consumers, ("--payload", "128"), (Contestant("tributary", "client"),))


def chosen(names, only):
    """The workloads by name (all if none is named), each with the rows that `only` names.
    ValueError: a name is unknown."""
    known = workloads()
    wanted = [name.upper() for name in names] or [workload.name for workload in known]
    for name in wanted:
        if name not in [workload.name for workload in known]:
            raise ValueError(
                f"workload \"{name}\" is none of: {' '.join(workload.name for workload in known)}"
            )
    picked = []
    for workload in known:
        if workload.name not in wanted:
            continue
        rows = tuple(row for row in workload.rows if not only or set(row.name.split()) & set(only))
        if rows:
            picked.append(dataclasses.replace(workload, rows=rows))
    missing = set(only) - {word for workload in picked for row in workload.rows for word in row.name.split()}
    if missing:
        raise ValueError(f"--only: no row of {' '.join(wanted)} is called {' or '.join(sorted(missing))}")
    return picked


def peer_of(protocol):
    """JetStream is nats-server's. \"\": it is ours."""
    return "nats" if protocol.startswith("jetstream") else protocol if protocol in PEERS else ""


def without_peers(row, peers):
    """The row with our contestants and those among `peers`."""
    left = tuple(one for one in row.contestants if peer_of(one.protocol) in ("", *peers))
    base = row.base if row.base in [one.name for one in left] else ""
    return dataclasses.replace(row, contestants=left, base=base)
