"""Running the page: a socket, a web server on it, and workers where nobody else has started any."""

from __future__ import annotations

import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import uvicorn

from tamperscan.errors import ServeError
from tamperscan.serve.home import Home
from tamperscan.serve.supervisor import Supervisor
from tamperscan.serve.web.app import create_app
from tamperscan.serve.web.settings import PageSettings
from tamperscan.serve.web.uploads import clear_away

MOST_CONNECTIONS: Final = 256
"""Connections at once: a browser opens six, so this is forty pages open."""


def serve(
    home: Home,
    settings: PageSettings,
    *,
    tls: tuple[Path, Path] | None = None,
    workers: bool = True,
    on_start: Callable[[str], None] = print,
) -> None:
    """Serve the page until told to end (Ctrl-C, SIGTERM).

    Parameters
    ----------
    home
        Where jobs and results are.
    settings
        Where to listen, and who may come in.
    tls
        Certificate and key, PEM files; None for plain HTTP.
    workers
        Whether to see to it that jobs are screened: workers are started unless a node or another page has some.
    on_start
        Is called with the page's address once it can be opened.

    Raises
    ------
    ServeError
        If the settings would let anyone in, or the port is taken.
    OutputError
        If the home can't be written to.
    """
    app = create_app(home, settings)
    clear_away(home)
    listening = listen(settings.host, settings.port)
    config = uvicorn.Config(
        app,
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=False,  # whoever sends them could say that it comes from the trusted proxy
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=5,
        ssl_certfile=str(tls[0]) if tls else None,
        ssl_keyfile=str(tls[1]) if tls else None,
    )
    supervisor = Supervisor(home).start() if workers else None
    try:
        on_start(address_of(listening, settings.host, secure=tls is not None))
        _Server(config).run(sockets=[listening])
    finally:
        if supervisor is not None:
            supervisor.stop()
        listening.close()


class _Server(uvicorn.Server):
    """Ends well when told to: uvicorn's own gives the signal on once it has ended, which kills the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """Open the socket to listen on.

    Raises
    ------
    ServeError
        If the port is taken, or the address is none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()  # whoever is told the address at once waits, and is not turned away
    except (OSError, OverflowError) as error:
        raise ServeError(_why_not(host, port, error)) from error
    return listening


def address_of(listening: socket.socket, host: str, *, secure: bool) -> str:
    """Give the address that a browser on this machine can open."""
    port = listening.getsockname()[1]
    try:
        if ip_address(host).is_unspecified:
            host = "127.0.0.1"
    except ValueError:
        pass
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{name}:{port}/"


def _why_not(host: str, port: int, error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return f"Port {port} is taken, perhaps by another page. End that, or choose another with --port."
    if number in (errno.EACCES, errno.EPERM):
        return f"Port {port} may not be opened by this user. Choose one above 1023 with --port."
    return f"{host}:{port} can't be listened on ({error}). Give an address of this machine with --host."
