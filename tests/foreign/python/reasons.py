"""reasons.py - how a call ends for gRPC core, through Debian's python3-grpcio. ../reasons says what it reads
and writes. It runs with tests/e2e in PYTHONPATH."""
import base64
import json
import queue
import sys

import grpc

from harness.protos import Fault, message_class


def ending(error):
    """What the library says of the end of a call."""
    fault = Fault(error)
    info = fault.parts.get("google.rpc.ErrorInfo", message_class("google.rpc.ErrorInfo")())
    return {"code": fault.code.value[0], "message": fault.message, "reason": info.reason,
            "domain": info.domain, "metadata": dict(info.metadata),
            "parts": list(fault.parts), "details_message": fault.status.message}


def main():
    settings = {"seconds": "0", "metadata": "0", "gzip": ""}
    settings.update(argument.split("=", 1) for argument in sys.argv[1:])
    outbox = queue.SimpleQueue()
    channel = grpc.insecure_channel(settings["address"])
    call = channel.stream_stream(settings["method"])(
        iter(outbox.get, None), timeout=int(settings["seconds"]) or None,
        metadata=[("padding", "x" * int(settings["metadata"]))] if int(settings["metadata"]) else None,
        compression=grpc.Compression.Gzip if settings["gzip"] else None)

    def answer():
        print("answer", base64.b64encode(next(call)).decode(), flush=True)

    result = {"code": 0, "message": "", "reason": "", "domain": "", "metadata": {}, "parts": [],
              "details_message": ""}
    try:
        for line in sys.stdin:
            verb, _, rest = line.strip().partition(" ")
            if verb == "send":
                outbox.put(base64.b64decode(rest))
            elif verb == "close":
                outbox.put(None)
            elif verb == "answer":
                answer()
            elif verb == "read":
                while True:
                    answer()
    except StopIteration:
        pass
    except grpc.RpcError as error:
        result = ending(error)
    print("end", json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
