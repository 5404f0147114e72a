"""Frames of HTTP/2, headers of HPACK and messages of gRPC, as bytes. Imports nothing of gRPC, so that
an attacker (attacks/attacker.py) starts at once."""
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 4, 5
CANCEL = 8


def _length(size):
    """HPACK's integer with a 7-bit prefix, for strings without Huffman."""
    if size < 127:
        return bytes([size])
    size, out = size - 127, b"\x7f"
    while size >= 128:
        out, size = out + bytes([size & 127 | 128]), size >> 7
    return out + bytes([size])


def literal(name, value):
    """One header that is never indexed."""
    name, value = (text.encode() if isinstance(text, str) else text for text in (name, value))
    return b"\x10" + _length(len(name)) + name + _length(len(value)) + value


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def message(payload, compressed=0):
    """gRPC's five bytes before a message."""
    return struct.pack(">BI", compressed, len(payload)) + payload
