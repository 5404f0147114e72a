"""Python's protobuf decodes what the scan accepts, to the same values. The scan accepts what Python encodes.

  cross_decoders.py CROSS_PEER PROTO_FOLDER

The same messages go through each of Python's own implementations. Seeds are printed; TRIBUTARY_SEED
repeats one.
"""

import os
import random
import subprocess
import sys
import tempfile
import time

MESSAGES = 3000
ENCODED = 2000
HEADERS = ("a", "b", "c", "d")
TEXTS = ("id", "topic", "key", "type", "content_type", "data")
NUMBERS = ("time_unix_nano", "expires_unix_nano", "deliver_after_unix_nano")


def frames(data):
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


def frame(data):
    return len(data).to_bytes(4, "little") + data


def number(data):
    return int.from_bytes(data, "little")


def decode(path):
    """Runs in a process of its own, in which one implementation of protobuf is chosen."""
    from google.protobuf.internal import api_implementation
    from tributary.v1 import event_pb2

    with open(path, "rb") as file:
        pieces = frames(file.read())
    # Pure Python takes a tag that is not in its shortest form for an unknown field. It decodes, but
    # sees fewer fields.
    exact = api_implementation.Type() != "python"
    messages = events = 0
    for data in pieces:
        batch = event_pb2.EventBatch()
        batch.ParseFromString(data)
        run = batch.runs[0]
        assert run.source == "cross" and run.epoch == 7 and run.first_sequence == 1
        views = [view(pieces) for _ in range(number(next(pieces)))]
        if exact:
            assert [view_of(event) for event in run.events] == views
        else:
            assert len(run.events) <= len(views)
        messages += 1
        events += len(run.events)
    assert messages == MESSAGES, messages
    print(
        f"{api_implementation.Type()}: {messages} messages, "
        f"{events} events decoded{' alike' if exact else ''}"
    )


def view(pieces):
    """One event as cross_peer read it."""
    texts = [next(pieces) for _ in TEXTS]
    numbers = [number(next(pieces)) for _ in NUMBERS]
    headers = [(number(next(pieces)) == 1, next(pieces)) for _ in HEADERS]
    return texts, numbers, headers


def view_of(event):
    """The same as Python reads it."""
    texts = [event.data if name == "data" else getattr(event, name).encode() for name in TEXTS]
    numbers = [getattr(event, name) for name in NUMBERS]
    headers = [
        (name in event.headers, event.headers[name].encode() if name in event.headers else b"")
        for name in HEADERS
    ]
    return texts, numbers, headers


def random_text(dice, printable):
    wide = "éß€漢😀\u07ff\ufffd\U0010ffff\u00a0\ue000"
    narrow = "".join(map(chr, range(0x20 if printable else 1, 0x7F)))
    return "".join(
        dice.choice(wide if dice.random() < 0.1 else narrow) for _ in range(dice.choice((0, 1, 7, 8, 9, 40)))
    )


def random_event(dice, event_pb2):
    event = event_pb2.Event()
    for name in TEXTS[:-1]:
        if dice.random() < 0.5:
            setattr(event, name, random_text(dice, name in ("topic", "type")))
    for name in NUMBERS:
        if dice.random() < 0.3:
            setattr(event, name, dice.getrandbits(dice.choice((1, 32, 64))))
    for _ in range(dice.choice((0, 0, 1, 5, 64))):
        event.headers["k" + random_text(dice, False)] = random_text(dice, False)
    if dice.random() < 0.7:
        event.data = dice.randbytes(dice.choice((0, 1, 127, 128, 300, 17000)))
    return event


def encode(seed):
    from tributary.v1 import event_pb2, publisher_pb2

    dice = random.Random(seed)
    out = bytearray()
    for _ in range(ENCODED):
        request = publisher_pb2.PublishRequest(producer=random_text(dice, True), confirm=dice.choice((0, 1)))
        request.events.extend(random_event(dice, event_pb2) for _ in range(dice.choice((0, 1, 2, 10))))
        out += frame(request.SerializeToString()) + frame(len(request.events).to_bytes(8, "little"))
    return bytes(out)


def main(peer, protos):
    seed = int(os.environ.get("TRIBUTARY_SEED", time.time_ns()))
    print(f"TRIBUTARY_SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "grpc_tools.protoc",
                "-I",
                protos,
                "--python_out",
                folder,
                "tributary/v1/event.proto",
                "tributary/v1/publisher.proto",
            ],
            check=True,
        )
        env = dict(os.environ, PYTHONPATH=folder, TRIBUTARY_SEED=str(seed))
        path = os.path.join(folder, "accepted")
        with open(path, "wb") as file:
            subprocess.run([peer, "write", str(MESSAGES)], check=True, stdout=file, env=env)
        for implementation in ("cpp", "python"):
            subprocess.run(
                [sys.executable, __file__, "--decode", path],
                check=True,
                env=dict(env, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=implementation),
            )
        sys.path.insert(0, folder)
        answer = subprocess.run([peer, "read"], check=True, input=encode(seed), stdout=subprocess.PIPE).stdout
        assert int(answer) == ENCODED, answer
        print(f"{ENCODED} messages of Python's encoder accepted")


if __name__ == "__main__":
    if sys.argv[1] == "--decode":
        decode(sys.argv[2])
    else:
        main(sys.argv[1], sys.argv[2])
