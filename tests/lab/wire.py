"""wire.py -- the few frames of the protocol that tests make by hand (net/frame.c, proto/frames.h)."""

import struct

GREET, REPORT, REQUEST = 3, 10, 40
AGENT, CLIENT = 2, 4
HEADER = struct.Struct(">4sHHII")  # magic, version, type, length, checksum


def _table():
    rows = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        rows.append(n)
    return rows


TABLE = _table()


def crc32c(data):
    """Castagnoli's, byte by byte: the frames here are short."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def frame(kind, payload):
    """One frame of the protocol."""
    return HEADER.pack(b"DRC1", 1, kind, len(payload), crc32c(payload)) + payload


def varint(value):
    """A number in as few bytes as it takes, 7 bits in each."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def number(field, value):
    """A number as protobuf has it."""
    return varint(field << 3) + varint(value)


def nested(field, payload):
    """A message, or bytes, as protobuf has them."""
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def text(field, value):
    """A text as protobuf has it."""
    return nested(field, value.encode())


def greeting(kind=CLIENT, cluster="", name=""):
    """What a client, or an agent, says first."""
    who = (text(2, cluster) if cluster else b"") + (text(3, name) if name else b"")
    return frame(GREET, number(1, kind) + who + number(4, 1))


def report(service, member, server):
    """An agent's report of a server in that state (model/report.h), and of nothing else."""
    return frame(REPORT, text(1, service) + text(2, member) + number(8, server) + number(10, 1))


def request(ident, verb, service="", reason="", start=0):
    """A client's request."""
    payload = number(1, ident) + text(2, verb)
    payload += (text(3, service) if service else b"") + (text(6, reason) if reason else b"")
    return frame(REQUEST, payload + (number(11, start) if start else b""))
