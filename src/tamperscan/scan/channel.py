"""Messages between a reader's process and the one that asks it: lines of JSON, one of them with a file descriptor.

A descriptor hands the voxels over without a copy: both processes see the same memory.
"""

from __future__ import annotations

import array
import json
import os
import socket
import threading
from typing import Any, Final

LONGEST: Final = 2**26
"""Bytes of one message: a folder of a million files is told in about as many."""


class ChannelError(Exception):
    """The other side is gone, or does not keep to the rules."""


class Channel:
    """One end of a connection.

    Parameters
    ----------
    connection
        A Unix socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._kept = bytearray()
        self._files: list[int] = []
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any], file: int | None = None) -> None:
        """Send a message, from any thread; raises ChannelError if nobody is there."""
        line = json.dumps(message).encode() + b"\n"
        held = [] if file is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
        try:
            with self._lock:
                sent = self._connection.sendmsg([line], held)
                self._connection.sendall(line[sent:])
        except OSError as error:
            raise ChannelError("nobody is there") from error

    def receive(self, seconds: float | None = None) -> dict[str, Any]:
        """Wait for the next message.

        Raises
        ------
        TimeoutError
            If none comes in time.
        ChannelError
            If the other side is gone, or sends what is no message.
        """
        self._connection.settimeout(seconds)
        searched = 0
        while (end := self._kept.find(b"\n", searched)) < 0:
            searched = len(self._kept)
            if searched > LONGEST:
                raise ChannelError("a message without an end")
            self._fill()
        line = bytes(self._kept[:end])
        del self._kept[: end + 1]
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise ChannelError("no message") from None
        if not isinstance(message, dict):
            raise ChannelError("no message")
        return message

    def take_file(self) -> int:
        """Give the descriptor that came with the last message; the caller closes it."""
        if not self._files:
            raise ChannelError("no file came with it")
        return self._files.pop(0)

    def _fill(self) -> None:
        try:
            data, files, _, _ = socket.recv_fds(self._connection, 2**16, 4)
        except TimeoutError:
            raise
        except OSError as error:
            raise ChannelError("nobody is there") from error
        for file in files:
            os.set_inheritable(file, False)
        self._files += files
        if not data:
            raise ChannelError("nobody is there")
        self._kept += data

    def close(self) -> None:
        """Close this end."""
        for file in self._files:
            os.close(file)
        self._files.clear()
        self._connection.close()
