"""A peer that says what it likes, byte by byte: no library would send what these tests need."""

from __future__ import annotations

import socket
import struct

from tamperscan.serve import dimse
from tamperscan.serve.upper_layer import data_messages, fragments

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def item(kind, content):
    return struct.pack(">BBH", kind, 0, len(content)) + content


def associate_request(called="TAMPERSCAN", calling="RAW", abstract=CT, transfer=EXPLICIT):
    context = bytes((1, 0, 0, 0)) + item(0x30, abstract.encode()) + item(0x40, transfer.encode())
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3")
    body = struct.pack(">HH", 1, 0) + called.encode().ljust(16) + calling.encode().ljust(16) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user)
    return struct.pack(">BBI", 1, 0, len(body)) + body


def store_command(uid, sop_class=CT):
    return dimse.encode(
        {
            dimse.AFFECTED_CLASS: sop_class,
            dimse.COMMAND_FIELD: dimse.C_STORE_RQ,
            dimse.MESSAGE_ID: 1,
            dimse.DATA_SET_TYPE: 0,
            0x0700: 0,
            dimse.AFFECTED_INSTANCE: uid,
        }
    )


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
        messages = list(data_messages(1, content, command=command, max_pdu=4096))
        for message in messages if whole else messages[:-1]:
            self.socket.sendall(message)

    def store(self, uid, content, sop_class=CT):
        """Store a data set; gives the status."""
        self.send(store_command(uid, sop_class), command=True)
        self.send(content, command=False)
        kind, body = self.read()
        assert kind == 4, kind
        ((_, _, _, part),) = fragments(memoryview(body))
        return dimse.decode(bytes(part))[dimse.STATUS]

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
