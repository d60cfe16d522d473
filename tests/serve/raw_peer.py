"""A peer that says what it likes, byte by byte: no library would send what these tests need."""

from __future__ import annotations

import socket
import struct

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
P_DATA, ABORT = 4, 7


def item(kind, content):
    return struct.pack(">BBH", kind, 0, len(content)) + content


def associate_request(called="TAMPERSCAN", calling="RAW", abstract=CT, transfer=EXPLICIT):
    context = bytes((1, 0, 0, 0)) + item(0x30, abstract.encode()) + item(0x40, transfer.encode())
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3")
    body = struct.pack(">HH", 1, 0) + called.encode().ljust(16) + calling.encode().ljust(16) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user)
    return struct.pack(">BBI", 1, 0, len(body)) + body


def element(number, value):
    """An element of a command (PS3.7 section 6.3.1): a number of two bytes, or a UID."""
    content = struct.pack("<H", value) if isinstance(value, int) else value.encode()
    content += b"\0" * (len(content) % 2)
    return struct.pack("<HHI", 0, number, len(content)) + content


def store_command(uid, sop_class=CT):
    values = {0x0002: sop_class, 0x0100: 1, 0x0110: 1, 0x0700: 0, 0x0800: 0, 0x1000: uid}
    elements = b"".join(element(*one) for one in values.items())
    return struct.pack("<HHII", 0, 0, 4, len(elements)) + elements


def status_of(response):
    """The status in a P-DATA-TF with a response that is one fragment long."""
    place = response.index(struct.pack("<HHI", 0, 0x0900, 2)) + 8
    return struct.unpack_from("<H", response, place)[0]


def data_message(part, *, command, last):
    return struct.pack(">BBIIBB", P_DATA, 0, len(part) + 6, len(part) + 2, 1, command | last << 1) + part


class RawPeer:
    def __init__(self, port, **request):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.sendall(associate_request(**request))
        self.kind, self.answer = self.read()

    def read(self):
        head = self._exactly(6)
        kind, length = struct.unpack(">BxI", head)
        return kind, self._exactly(length)

    def send(self, content, *, command, whole=True):
        parts = [content[start : start + 4096] for start in range(0, len(content), 4096)]
        for number, part in enumerate(parts, start=1):
            if whole or number < len(parts):
                self.socket.sendall(data_message(part, command=command, last=number == len(parts)))

    def store(self, uid, content, sop_class=CT):
        """Store a data set; gives the status."""
        self.send(store_command(uid, sop_class), command=True)
        self.send(content, command=False)
        kind, body = self.read()
        assert kind == P_DATA, kind
        return status_of(body)

    def is_ended(self):
        """Whether the other side aborts, or closes the connection."""
        try:
            return self.read()[0] == ABORT
        except (EOFError, ConnectionError):
            return True

    def close(self):
        self.socket.close()

    def _exactly(self, count):
        content = b""
        while len(content) < count:
            part = self.socket.recv(count - len(content))
            if not part:
                raise EOFError
            content += part
        return content
