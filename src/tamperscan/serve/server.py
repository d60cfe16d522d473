"""pynetdicom's server on a socket that several processes share."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any, Final

from pynetdicom.transport import ThreadedAssociationServer

from tamperscan.serve.refusals import Refusals

HANDSHAKE_SECONDS: Final = 10.0
ACCEPT_SECONDS: Final = 0.2
_SPARE_THREADS: Final = 50

_log = logging.getLogger("tamperscan.serve.server")


class SharedServer(ThreadedAssociationServer):
    """Accepts connections on a socket that listens already, and makes the TLS handshake in the connection's thread.

    It is made by `pynetdicom.AE.make_server`, which hands on what it does not know itself.

    Parameters
    ----------
    listening
        The socket.
    refusals
        Is told of connections that come to nothing.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, *rest: Any, listening: socket.socket, refusals: Refusals, **more: Any) -> None:
        self._listening, self._refusals = listening, refusals
        super().__init__(*rest, **more)
        self.timeout = ACCEPT_SECONDS

    def server_bind(self) -> None:
        """Take the socket that is there. What one of its processes finds waiting another may accept first."""
        assert self.socket is not None
        self.socket.close()
        self.socket = self._listening
        self.socket.settimeout(ACCEPT_SECONDS)
        self.server_address = self.socket.getsockname()

    def server_activate(self) -> None:
        """Do nothing: it listens already."""

    def server_close(self) -> None:
        """Close it here; others go on with it."""
        self._listening.close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection."""
        try:
            connection, address = self._listening.accept()
        except TimeoutError:  # another process has it
            raise
        except OSError:  # too many files are open
            time.sleep(0.01)
            raise
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Close what comes in a flood; somewhat too many are let in and rejected in the words of DICOM."""
        return threading.active_count() < 4 * self.ae.maximum_associations + _SPARE_THREADS

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Begin the association, after the handshake where there is one."""
        try:
            request.settimeout(HANDSHAKE_SECONDS)
            if self.ssl_context is not None:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            request.settimeout(self.ae.network_timeout)
        except OSError as error:
            problem = getattr(error, "reason", None) or type(error).__name__
            self._refusals.tell("TLS handshake failed", address=str(client_address[0]), problem=str(problem))
            self.shutdown_request(request)
            return
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note what went wrong with a connection."""
        _log.exception("connection failed")
