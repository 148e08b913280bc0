"""A Storage SCU inside TLS: sends the same object again and again, synchronously.

    python tls_sender.py PORT OBJECTS SIZE PDU CERTIFICATE KEY CA

Prints one line of JSON. Everything but the UIDs is put together before the clock
starts, so that encryption is nearly all that the sender does.
"""

import json
import socket
import ssl
import struct
import sys
import time
from collections.abc import Sequence

CT_IMAGE = b"1.2.840.10008.5.1.4.1.1.2"
IMPLICIT_LE = b"1.2.840.10008.1.2"
APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
UID_BYTES = 40


def _element(group: int, number: int, value: bytes) -> bytes:
    padded = value + b"\0" * (len(value) % 2)
    return struct.pack("<HHI", group, number, len(padded)) + padded


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _associate_rq(pdu: int) -> bytes:
    context = b"\1\0\0\0" + _item(0x30, CT_IMAGE) + _item(0x40, IMPLICIT_LE)
    user = _item(0x51, struct.pack(">I", pdu)) + _item(0x52, b"1.2.3.4")
    body = struct.pack(">HH16s16s32x", 1, 0, b"ANY".ljust(16), b"TLS".ljust(16))
    body += _item(0x10, APPLICATION_CONTEXT) + _item(0x20, context) + _item(0x50, user)
    return struct.pack(">BxI", 1, len(body)) + body


def _uid(association: int, number: int) -> bytes:
    return (
        f"1.2.3.{association}.".encode().ljust(UID_BYTES - 8, b"1") + b"%08d" % number
    )


def _command(uid: bytes) -> bytes:
    elements = (
        _element(0, 0x0002, CT_IMAGE)
        + _element(0, 0x0100, struct.pack("<H", 1))
        + _element(0, 0x0110, struct.pack("<H", 1))
        + _element(0, 0x0700, struct.pack("<H", 0))
        + _element(0, 0x0800, struct.pack("<H", 1))
        + _element(0, 0x1000, uid)
    )
    return _element(0, 0, struct.pack("<I", len(elements))) + elements


def _data_set(uid: bytes, size: int) -> bytes:
    numbers = ((0x0002, 1), (0x0010, 512), (0x0011, size // 1024), (0x0100, 16))
    numbers += ((0x0101, 16), (0x0102, 15), (0x0103, 0))
    pixel = b"".join(_element(0x28, n, struct.pack("<H", v)) for n, v in numbers)
    return (
        _element(8, 0x16, CT_IMAGE)
        + _element(8, 0x18, uid)
        + pixel
        + _element(0x7FE0, 0x10, bytes(range(256)) * (size // 256))
    )


def _framed(data: bytes, control: int, pdu: int) -> bytes:
    pieces = [data[at : at + pdu - 6] for at in range(0, len(data), pdu - 6)]
    return b"".join(
        struct.pack(
            ">BxIIBB",
            *(4, len(piece) + 6, len(piece) + 2, 1),
            control | 2 * (piece is pieces[-1]),
        )
        + piece
        for piece in pieces
    )


def message(association: int, size: int, pdu: int) -> bytearray:
    """The C-STORE-RQ that is sent, with the UID of the first one."""
    uid = _uid(association, 0)
    return bytearray(
        _framed(_command(uid), 1, pdu) + _framed(_data_set(uid, size), 0, pdu)
    )


def _read_pdu(connection: ssl.SSLSocket) -> bytes:
    data = b""
    while len(data) < 6 or len(data) < 6 + int.from_bytes(data[2:6], "big"):
        part = connection.recv(65_536)
        if not part:
            raise ConnectionError("closed")
        data += part
    return data


def main(argv: Sequence[str]) -> int:
    """One association."""
    port, objects, size, pdu, association = map(int, argv[:5])
    certificate, key, authority = argv[5:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cafile=authority)
    context.load_cert_chain(certificate, key)
    first = _uid(association, 0)
    request = message(association, size, pdu)
    places = (request.index(first), request.rindex(first))
    begun = time.monotonic()
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port))) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(_associate_rq(pdu))
        if _read_pdu(peer)[0] != 2:
            raise ConnectionError("not accepted")
        for number in range(objects):
            for at in places:
                request[at : at + UID_BYTES] = _uid(association, number)
            peer.sendall(request)
            if b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00" not in _read_pdu(peer):
                raise ConnectionError("no Success")
        cipher = peer.cipher()
        peer.sendall(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")
        _read_pdu(peer)
    answer = {
        "objects": objects,
        "begun": begun,
        "ended": time.monotonic(),
        "cpu_s": time.process_time(),
        "cipher": cipher[0] if cipher else "",
        "data_set_bytes": len(_data_set(first, size)),
    }
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
