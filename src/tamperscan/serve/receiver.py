"""The process that receives: pynetdicom's service on a socket that the node opened.

``python -m tamperscan.serve.receiver --home DIR --socket N --parent PID`` with the settings as JSON on stdin. Several
may share one socket. It does nothing but take instances to the disk; everything else happens later and elsewhere.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Final

from pynetdicom import AE, _config, build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tamperscan.serve.admission import Room, kept_bytes
from tamperscan.serve.commitment import Commitments
from tamperscan.serve.database import Database
from tamperscan.serve.handlers import Handlers
from tamperscan.serve.home import Home
from tamperscan.serve.logs import log_to_stderr
from tamperscan.serve.memory import limit_memory
from tamperscan.serve.parent import end_with
from tamperscan.serve.refusals import Refusals
from tamperscan.serve.server import HANDSHAKE_SECONDS, SharedServer
from tamperscan.serve.settings import NodeSettings, Tls
from tamperscan.serve.spool import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION, Ledger
from tamperscan.serve.store import Store

MAX_PDU: Final = 2**17
"""Longest P-DATA-TF that we ask for, in bytes: as long as DCMTK's senders make them."""

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
        database = Database(home)
        refusals = Refusals(home)
        self._ledger = Ledger(home, durable=settings.durable)
        room = Room(home, settings, lambda: kept_bytes(database))
        store = Store(home, settings, self._ledger, room)
        handlers = Handlers(settings, store, Commitments(database, settings), refusals)
        threading.excepthook = handlers.on_failure
        self._server = _entity(settings).make_server(
            listening.getsockname(),
            contexts=[build_context(Verification)],
            ssl_context=None if settings.tls is None else _tls_context(settings.tls),
            evt_handlers=handlers.bindings(),
            server_class=SharedServer,
            listening=listening,
            refusals=refusals,
        )
        self._ending = threading.Event()

    def run(self) -> None:
        """Accept until `end`; then give what is under way some time, and end."""
        while not self._ending.is_set():
            self._server.handle_request()
            self._server.service_actions()
        self._server.server_close()
        until = time.monotonic() + DRAIN_SECONDS
        while self._associations() and time.monotonic() < until:
            time.sleep(0.05)
        for association in self._associations():
            association.abort()
        self._ledger.close()

    def end(self) -> None:
        """Accept nothing more."""
        self._ending.set()

    def _associations(self) -> list[Association]:
        return [one for one in self._server.active_associations if one.is_established]


def _entity(settings: NodeSettings) -> AE:
    entity = AE(ae_title=settings.ae_title)
    entity.maximum_associations = settings.associations
    entity.maximum_pdu_size = MAX_PDU
    entity.acse_timeout = HANDSHAKE_SECONDS  # also the ARTIM timer (PS3.8 section 9.1.5)
    entity.network_timeout = settings.network_timeout
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION
    return entity


def _set_up_pynetdicom() -> None:
    """Keep pynetdicom quiet, and let it hand on UIDs as they are: what is none is refused with a status of its own."""
    _config.LOG_HANDLER_LEVEL = "none"
    _config.VALIDATORS["UI"] = lambda _: (True, "")
    warnings.simplefilter("ignore")  # they print the values that they warn of


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
    end_with(chosen.parent)
    limit_memory(settings.memory_gib)
    _set_up_pynetdicom()
    receiver = Receiver(home, settings, socket.socket(fileno=chosen.socket))
    signal.signal(signal.SIGTERM, lambda *_: receiver.end())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # what is there stays; pynetdicom collects garbage often
    receiver.run()
    os._exit(0)  # threads of connections that never became associations may still wait for their peers


if __name__ == "__main__":
    main()
