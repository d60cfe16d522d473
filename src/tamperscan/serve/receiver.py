"""The process that receives: it accepts associations on a socket that the node opened, a thread each.

``python -m tamperscan.serve.receiver --home DIR --socket N --parent PID`` with the settings as JSON on stdin. Several
may share one socket. It does nothing but take instances to the disk; everything else happens later and elsewhere.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Final

from tamperscan.serve.admission import Room, kept_bytes
from tamperscan.serve.association import Association
from tamperscan.serve.commitment import Commitments
from tamperscan.serve.database import Database
from tamperscan.serve.home import Home
from tamperscan.serve.logs import log_to_stderr
from tamperscan.serve.parent import end_with
from tamperscan.serve.refusals import Refusals
from tamperscan.serve.services import Services
from tamperscan.serve.settings import NodeSettings, Tls
from tamperscan.serve.spool import Ledger
from tamperscan.serve.upper_layer import TOO_MANY, Rejection

HANDSHAKE_SECONDS: Final = 10.0
DRAIN_SECONDS: Final = 20.0
"""How long associations may go on once the node is told to end."""

_log = logging.getLogger("tamperscan.serve.receiver")


class Receiver:
    """Accepts associations until told to end.

    Parameters
    ----------
    home
        Where instances go.
    settings
        How the node listens.
    listening
        The socket.
    """

    def __init__(self, home: Home, settings: NodeSettings, listening: socket.socket) -> None:
        self._settings, self._listening = settings, listening
        self._database = Database(home)
        self._ledger = Ledger(home, durable=settings.durable)
        self._services = Services(
            home=home,
            settings=settings,
            supported=supported_contexts(),
            ledger=self._ledger,
            room=Room(home, settings, lambda: kept_bytes(self._database)),
            refusals=Refusals(home),
            commitments=Commitments(self._database, settings),
        )
        self._tls = None if settings.tls is None else _tls_context(settings.tls)
        self._ending = threading.Event()
        self._places = threading.BoundedSemaphore(settings.associations)
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Accept until `end`; then give what is under way some time, and end."""
        self._listening.settimeout(0.2)
        while not self._ending.is_set():
            try:
                connection, address = self._listening.accept()
            except TimeoutError:
                continue
            except OSError:  # the peer has gone again, or too many files are open
                time.sleep(0.01)
                continue
            self._begin(connection, str(address[0]))
        self._listening.close()
        self._drain()

    def end(self) -> None:
        """Accept nothing more."""
        self._ending.set()

    def _begin(self, connection: socket.socket, address: str) -> None:
        """Give a connection a thread; one too many is rejected, and of a flood of those the connections are closed."""
        if self._places.acquire(blocking=False):
            rejection = None
        elif len(self._connections) < 2 * self._settings.associations:
            rejection = TOO_MANY
        else:
            connection.close()
            return
        threading.Thread(target=self._serve, args=(connection, address, rejection), daemon=True).start()

    def _serve(self, connection: socket.socket, address: str, rejection: Rejection | None) -> None:
        try:
            connection.settimeout(HANDSHAKE_SECONDS)  # until there is an association (ARTIM timer, PS3.8 9.1.5)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with self._lock:
                self._connections.add(connection)
            Association(connection, address, self._services).serve(rejection)
        except OSError as error:  # of TLS, or of a peer that is gone
            if isinstance(error, ssl.SSLError):
                self._services.refusals.tell("TLS handshake failed", address=address, problem=error.reason or "")
        except Exception:
            _log.exception("association failed")
        finally:
            with contextlib.suppress(OSError):
                connection.close()
            with self._lock:
                self._connections.discard(connection)
            if rejection is None:
                self._places.release()

    def _drain(self) -> None:
        until = time.monotonic() + DRAIN_SECONDS
        while self._connections and time.monotonic() < until:
            time.sleep(0.05)
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self._ledger.close()


def supported_contexts() -> dict[str, frozenset[str]]:
    """Give all that is accepted: transfer syntaxes by abstract syntax.

    Every storage SOP class in every transfer syntax, verification, and storage commitment.
    """
    from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts
    from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

    every = frozenset(str(one) for one in ALL_TRANSFER_SYNTAXES)
    plain = frozenset(("1.2.840.10008.1.2", "1.2.840.10008.1.2.1"))
    storage = {str(context.abstract_syntax): every for context in AllStoragePresentationContexts}
    return {**storage, str(Verification): plain, str(StorageCommitmentPushModel): plain}


def _tls_context(tls: Tls) -> ssl.SSLContext:
    """Make the TLS settings: versions 1.2 and later (PS3.15 B.12), a certificate of the client where asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tls.clients)
    return context


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m tamperscan.serve.receiver", description="Receive instances.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    chosen = parser.parse_args()
    log_to_stderr()
    settings = NodeSettings.model_validate_json(sys.stdin.read())
    home = Home(chosen.home)
    # Held for life: a node that starts after a crash waits for it before it clears up.
    alive = os.open(home.root / "receivers.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(alive, fcntl.LOCK_SH)
    end_with(chosen.parent)
    receiver = Receiver(home, settings, socket.socket(fileno=chosen.socket))
    signal.signal(signal.SIGTERM, lambda *_: receiver.end())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    receiver.run()


if __name__ == "__main__":
    main()
