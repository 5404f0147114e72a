"""The attacks, as data. What is judged of each is in `off` and `also`; tests/attacks/judge.py and
test_guard.py know the judgements."""
import dataclasses
import functools
from typing import Callable, Optional

from ..h2frames import CONTINUATION, DATA, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, message
from .shapes import (
    EMPTY_MESSAGE,
    ENDLESS_HEADER,
    GOAWAY_FRAME,
    HELLO,
    PADDED_INTEGER,
    PING_FRAME,
    PRIORITY_FRAME,
    PUSH_FRAME,
    RESET_UNIT_BYTES,
    TINY_MESSAGE,
    UNKNOWN,
    Beside,
    Fill,
    Repeat,
    Series,
    Trickle,
    compressed_bomb,
    header_block,
    increment,
    open_streams,
    opened_and_reset,
    request_block,
    reset_opening,
    setting,
)

MB = 1000 * 1000
NOFILE = 256  # of the daemon whose descriptors are used up


@dataclasses.dataclass(frozen=True)
class Attack:
    name: str
    title: str
    row: str  # of the scorecard, or of the findings
    body: Callable  # makes what next() is called of, for each connection
    # So many units are allowed; or so many seconds after `then` was sent, or `first` where there is
    # no wait. None: it has no bound, and is only slowed.
    bound: Optional[int] = None
    bound_s: Optional[float] = None
    reasons: tuple = ()  # the guard's, any of them; CORE: gRPC core may end it first
    first: bytes = HELLO
    then: bytes = b""  # after the server's SETTINGS
    acknowledges: bool = True
    waits: bool = True  # for the server's SETTINGS
    reads: bool = True
    connections: int = 1
    again: bool = False  # a connection that was ended is opened anew, until the time is over
    seconds: float = 2.0
    nofile: int = 0  # RLIMIT_NOFILE of the daemon; 0: as it is
    load: bool = False  # an honest publisher and consumer at full speed, in place of `body`
    mutation: bool = False  # must fail with --guard off
    quick: bool = True  # test_guard.py runs it too
    off: tuple = ()  # judgements that do not hold by design; the comment says why
    also: tuple = ()  # further judgements


CORE = "BY_CORE"
OPEN = open_streams(1)
NOTHING = functools.partial(Repeat, b"", 0)

# With full speed 64 SETTINGS or PINGs may pass in one turn, before gRPC core has answered one.
SETTINGS_REASONS = ("FLOOD_SETTINGS", "UNANSWERED")
# gRPC core counts PINGs too, and ends a connection with "too_many_pings".
PING_REASONS = ("FLOOD_PINGS", "UNANSWERED", CORE)


def repeat(unit, **options):
    return functools.partial(Repeat, unit, **options)


def bytewise(data):
    return b"".join(frame(DATA, 0, 1, bytes([byte])) for byte in data)


# Findings 1 and 2.
MESSAGES = (
    Attack("message_600mb", "one message of 600 MB", "K1.1", functools.partial(Fill, 1, 600 * MB, 600 * MB),
           bound=1, reasons=("MESSAGE_TOO_LARGE",), then=OPEN, mutation=True, seconds=3),
    Attack("partial_messages", "900 streams, each with most of an allowed message of 1 MB", "K1.1",
           functools.partial(Fill, 900, 1 << 20, (1 << 20) - 1), bound=33 << 20, reasons=("UNFINISHED",),
           then=open_streams(900), seconds=3),
    # Each connection is within its own bound; together they are not. So much memory is allowed.
    Attack("partial_crowd", "40 connections, each with 15 of an allowed message of 1 MB, unfinished", "K1.1",
           functools.partial(Fill, 15, 1 << 20, (1 << 20) - 1), reasons=("KEPT_BY_PEER",),
           then=open_streams(15), connections=40, seconds=8, quick=False, off=("ended", "memory")),
    Attack("declared_1gb", "a message that declares 1 GB", "row_33",
           functools.partial(Fill, 1, 1 << 30, 1 << 20), bound=1, reasons=("MESSAGE_TOO_LARGE",), then=OPEN),
    Attack("compressed_flag", "the compressed flag without an encoding", "row_33",
           repeat(frame(DATA, 0, 1, message(bytes(100), compressed=1)), count=1), then=OPEN,
           off=("ended", "logged")),  # the call is refused
    Attack("gzip_bomb", "1 GB of zeros as one gzip message", "row_33",
           functools.partial(Series, compressed_bomb, 1),
           then=open_streams(1, extra=((b"grpc-encoding", b"gzip"),)), quick=False,
           off=("ended", "logged")),  # it is inflated up to the limit of a message, and refused
    Attack("empty_messages", "empty messages, one in a frame", "K1.2",
           repeat(frame(DATA, 0, 1, EMPTY_MESSAGE), flow=5), bound=10001, reasons=("FLOOD_EMPTY_MESSAGES",),
           then=OPEN),
    Attack("packed_empty_messages", "empty messages, 3276 in a frame", "K1.2",
           repeat(frame(DATA, 0, 1, EMPTY_MESSAGE * 3276), flow=16380), bound=4,
           reasons=("FLOOD_EMPTY_MESSAGES",), then=OPEN),
    Attack("one_byte_messages", "small messages, each byte in a frame of its own", "K1.2",
           repeat(bytewise(TINY_MESSAGE), flow=len(TINY_MESSAGE)), bound=1113,
           reasons=("FLOOD_SMALL_DATA",), then=OPEN),
    Attack("one_byte_data", "one message of 1 MB, each byte in a frame of its own", "row_33",
           repeat(frame(DATA, 0, 1, b"a"), flow=1), bound=10001, reasons=("FLOOD_SMALL_DATA",),
           then=OPEN + frame(DATA, 0, 1, message(bytes(1 << 20))[:5])),
)

# Finding 2.
CHEAP_FRAMES = (
    Attack("empty_data", "empty DATA", "row_32", repeat(frame(DATA, 0, 1)), bound=2501,
           reasons=("FLOOD_EMPTY_DATA",), then=OPEN),
    Attack("window_updates", "WINDOW_UPDATE of the connection", "row_32", repeat(increment(0)), bound=10101,
           reasons=("FLOOD_WINDOW_UPDATES",), then=OPEN),
    Attack("stream_window_updates", "WINDOW_UPDATE of a stream", "row_32", repeat(increment(1)), bound=10101,
           reasons=("FLOOD_WINDOW_UPDATES",), then=OPEN),
    Attack("settings", "empty SETTINGS", "row_32", repeat(frame(SETTINGS)), bound=1251,
           reasons=SETTINGS_REASONS, mutation=True),
    Attack("settings_values", "SETTINGS of 100 parameters", "row_32",
           repeat(frame(SETTINGS, 0, 0, setting(4, 65535) * 100)), bound=94, reasons=SETTINGS_REASONS),
    Attack("settings_windows", "SETTINGS that change the windows of 900 streams", "row_32",
           repeat(frame(SETTINGS, 0, 0, setting(4, 65535)) + frame(SETTINGS, 0, 0, setting(4, 1000))),
           bound=557, reasons=SETTINGS_REASONS, then=open_streams(900)),
    Attack("settings_unread", "SETTINGS, and the answers are never read", "row_32", repeat(frame(SETTINGS)),
           bound=1251, reasons=SETTINGS_REASONS, reads=False),
    Attack("pings", "PING", "row_32", repeat(PING_FRAME), bound=2565, reasons=PING_REASONS),
    Attack("pings_beside_a_stream", "PING, while a stream is open", "row_32", repeat(PING_FRAME), bound=2565,
           reasons=PING_REASONS, then=OPEN),
    Attack("pings_unread", "PING, and the answers are never read", "row_32", repeat(PING_FRAME), bound=2565,
           reasons=PING_REASONS, reads=False),
    Attack("priorities", "PRIORITY", "row_32", repeat(PRIORITY_FRAME), bound=10001,
           reasons=("FLOOD_PRIORITY",), then=OPEN),
    Attack("unknown_frames", "frames of an unknown type", "row_32", repeat(frame(UNKNOWN, 0, 0, b"abcd")),
           bound=10001, reasons=("FLOOD_OTHER",), then=OPEN),
    Attack("idle_resets", "RST_STREAM of a stream that was never opened", "row_32",
           repeat(frame(RST_STREAM, 0, 7777, b"\0\0\0\x08")), bound=10001, reasons=("FLOOD_LATE",),
           then=OPEN),
    Attack("goaways", "GOAWAY", "row_32", repeat(GOAWAY_FRAME), bound=1251,
           reasons=("FLOOD_OTHER", CORE), then=OPEN),
    Attack("push_promise", "PUSH_PROMISE", "row_32", repeat(PUSH_FRAME), bound=1, reasons=("PUSH",),
           then=OPEN),
    Attack("empty_continuations", "empty CONTINUATION", "row_31", repeat(frame(CONTINUATION, 0, 3)),
           bound=9, reasons=("TOO_MANY_CONTINUATIONS",), then=OPEN + frame(HEADERS, 0, 3, request_block())),
)

# Findings 3 and 12.
LARGE_HEADERS = tuple(
    Attack(f"continuation_{size}mb", f"a header block of {size} MB", "row_31",
           repeat(frame(CONTINUATION, 0, 1, b"a" * 16384), count=size * MB // 16384), bound=5,
           reasons=("HEADER_TOO_LARGE", "TOO_MANY_CONTINUATIONS"), then=frame(HEADERS, 0, 1, ENDLESS_HEADER),
           mutation=size == 64, quick=size == 64)
    for size in (16, 64)
) + (
    Attack("varint_padding", "an integer of HPACK with 6.5 MB of padding", "row_31",
           repeat(frame(CONTINUATION, 0, 1, b"\x80" * 16000), count=406), bound=5,
           reasons=("HEADER_TOO_LARGE", "TOO_MANY_CONTINUATIONS"),
           then=frame(HEADERS, 0, 1, PADDED_INTEGER)),
    # Under the server's limit (64 KiB), above what gRPC core allows by itself (8 KiB).
    Attack("metadata_9kb", "a call with 9 000 bytes of metadata beside a healthy stream", "K1.12",
           functools.partial(Beside, 9000), then=OPEN, seconds=1,
           off=("ended", "logged"), also=("stream",)),
    # Over the limit of the guard. It cannot refuse a call alone, since the core would lose the
    # state of HPACK.
    Attack("metadata_300kb", "a call with 300 KB of metadata beside a healthy stream", "K1.12",
           functools.partial(Beside, 300_000), bound_s=1, reasons=("HEADER_TOO_LARGE",), then=OPEN),
)

# Finding 3.
STREAMS = (
    Attack("rapid_reset", "rapid reset, 4 connections, opened anew when they end", "row_30",
           functools.partial(Series, opened_and_reset, RESET_UNIT_BYTES), bound=626,
           reasons=("FLOOD_RESETS",), then=reset_opening(), connections=4, again=True, mutation=True,
           seconds=3),
    Attack("rapid_reset_unacknowledged", "rapid reset, SETTINGS never acknowledged", "row_30",
           functools.partial(Series, opened_and_reset, RESET_UNIT_BYTES), bound=626,
           reasons=("FLOOD_RESETS",), then=reset_opening(), connections=4, acknowledges=False, mutation=True,
           seconds=3),
    Attack("streams_unacknowledged", "2 000 open streams, SETTINGS never acknowledged", "row_32",
           functools.partial(Series, lambda: open_streams(2000), len(OPEN)), bound=1025,
           reasons=("TOO_MANY_STREAMS",), acknowledges=False),
    Attack("settings_unacknowledged", "SETTINGS never acknowledged, and nothing else", "row_32", NOTHING,
           bound_s=10, reasons=("SETTINGS_TIMEOUT",), acknowledges=False, seconds=10, quick=False),
)

SLOW = (
    # The handshake of the server (server/wire/handshake.c) ends this one: the guard has no reason.
    Attack("slow_preface", "half a preface, then a byte every half second", "row_35",
           functools.partial(Trickle, PREFACE[10:]), bound_s=5, first=PREFACE[:10], waits=False,
           connections=50, seconds=6, quick=False, off=("logged",)),
    Attack("slow_settings", "a preface and half of SETTINGS", "row_35", NOTHING, bound_s=5,
           reasons=("OPEN_TIMEOUT",), first=PREFACE + frame(SETTINGS, 0, 0, setting(4, 65535))[:10],
           waits=False, connections=50, seconds=6, quick=False),
    Attack("slow_headers", "half a HEADERS frame, then a byte every half second", "row_35",
           functools.partial(Trickle, bytes(100)), bound_s=5,
           reasons=("HEADER_TIMEOUT", "FRAME_TIMEOUT"), then=header_block(1, request_block())[:30],
           connections=50, seconds=6, quick=False),
    # A body may be slow: the guard's limit for a frame is a minute, longer than this attack.
    Attack("slow_body", "half a DATA frame, then a byte every half second", "row_35",
           functools.partial(Trickle, bytes(100)),
           then=OPEN + frame(DATA, 0, 1, message(bytes(1000)))[:20], connections=50, seconds=6,
           quick=False, off=("ended", "logged")),
    # 5 000 connections take the memory of 5 000 connections; --max-connections bounds it.
    Attack("slow_crowd", "5 000 connections with half a HEADERS frame", "row_35", NOTHING, bound_s=5,
           reasons=("HEADER_TIMEOUT", "FRAME_TIMEOUT"), then=header_block(1, request_block())[:30],
           connections=5000, seconds=8, quick=False, off=("memory", "returns"), also=("new clients",)),
    # Calls that do nothing wrong; there are only many. --max-kept-bytes allows them.
    Attack("idle_calls", "18 000 open calls on 20 connections, which do nothing", "row_34", NOTHING,
           then=open_streams(900), connections=20, seconds=8, quick=False,
           off=("ended", "logged", "memory")),
    # Connections that do nothing wrong; there are only too many.
    Attack("descriptors", f"{2 * NOFILE} connections, where {NOFILE} descriptors are allowed", "row_34",
           NOTHING, waits=False, connections=2 * NOFILE, nofile=NOFILE, off=("ended", "logged"),
           also=("accepts again",)),
)

HONEST = (
    # Finding 4. It is honest, so it takes turns with the others, and keeps its share of the
    # machine.
    Attack("full_speed", "an honest publisher and its consumer at full speed", "row_17", NOTHING,
           load=True, quick=False, seconds=3,
           off=("ended", "logged", "throughput", "latency", "memory", "returns"),
           also=("p99",)),
)

ATTACKS = (*MESSAGES, *CHEAP_FRAMES, *LARGE_HEADERS, *STREAMS, *SLOW, *HONEST)
BY_NAME = {attack.name: attack for attack in ATTACKS}
