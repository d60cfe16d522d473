"""How the page is served: where it listens, who may come in, and how much they may send."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from tamperscan.errors import ServeError

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8765
DEFAULT_UPLOAD_LIMIT: Final = 2**31
"""Most bytes of one upload (2 GiB): a CT of 2,000 slices, or a study of several series."""

SHORTEST_TOKEN: Final = 16
"""Characters. A shorter one could be guessed over the network."""

MOST_FILES: Final = 20_000
"""Most files of one upload."""

KEPT_FREE: Final = 2**30
"""Bytes that an upload must leave free on the disk (1 GiB), for the queue and the results of what runs."""


@dataclass(frozen=True)
class PageSettings:
    """Where the page listens and who may come in.

    Attributes
    ----------
    host, port
        Address that is listened on; port 0 takes a free one.
    token
        What a visitor must know; empty where none is asked for.
    identity_header
        Header in which a trusted proxy names who is signed in; empty where there is no proxy.
    trusted_proxies
        IP addresses of the proxies whose identity header counts.
    allowed_hosts
        Further names under which the page may be asked for, as a browser sends them (``scan.example.org``).
    upload_limit
        Most bytes of one upload.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    token: str = ""
    identity_header: str = ""
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    upload_limit: int = DEFAULT_UPLOAD_LIMIT

    @property
    def local_only(self) -> bool:
        """Whether only this machine can reach the page."""
        return is_loopback(self.host)

    def check(self) -> None:
        """Refuse settings that would let anyone in.

        Raises
        ------
        ServeError
            If the page can be reached from other machines and asks for nothing, the token is too short, or an
            identity header would be believed from anywhere.
        """
        if self.token and len(self.token) < SHORTEST_TOKEN:
            raise ServeError(f"The token is shorter than {SHORTEST_TOKEN} characters. Take a longer, random one.")
        if self.identity_header and not self.trusted_proxies:
            raise ServeError(
                f"--identity-header {self.identity_header} would be believed from anyone. "
                f"Name the proxy that sets it with --trusted-proxy ADDRESS."
            )
        if self.trusted_proxies and not self.identity_header:
            raise ServeError("--trusted-proxy does nothing by itself. Name the header it sets with --identity-header.")
        for address in self.trusted_proxies:
            _check_address(address)
        if not self.local_only and not self.token and not self.identity_header:
            raise ServeError(
                f"--host {self.host} lets other machines in, and nothing is asked of them. Give a token "
                f"(--token-file or TAMPERSCAN_TOKEN), or --identity-header with --trusted-proxy."
            )


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own, which no other machine can reach."""
    if host.casefold() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_address(address: str) -> None:
    try:
        ip_address(address)
    except ValueError:
        raise ServeError(f"--trusted-proxy {address}: is no IP address. Give it as 10.0.0.5.") from None
