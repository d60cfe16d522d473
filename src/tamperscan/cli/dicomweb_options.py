"""What the commands that speak DICOMweb have in common: their options, and how they reach an archive."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tamperscan.cli.console import tell_error

if TYPE_CHECKING:
    from tamperscan.serve.dicomweb.access import Access
    from tamperscan.serve.dicomweb.client import Client

CredentialsOption = Annotated[
    Path | None,
    typer.Option(
        "--credentials",
        dir_okay=False,
        help="JSON with a token, or with user and password; taken from TAMPERSCAN_DICOMWEB_TOKEN, or _USER and "
        "_PASSWORD, if not given.",
    ),
]
CaFileOption = Annotated[
    Path | None,
    typer.Option("--ca-file", dir_okay=False, help="Certificates (PEM) to trust instead of the usual ones."),
]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0.1, help="Seconds without an answer before an attempt counts as failed.")
]


def access_to(url: str, credentials: Path | None, ca_file: Path | None, timeout: float) -> Access:
    """Put together how an archive is reached, and warn where credentials would be seen on the way.

    Raises
    ------
    ServeError
        If the address, the credentials or the certificates are unusable.
    """
    from tamperscan.serve.dicomweb.access import check_url, in_clear, load_access

    access = load_access(credentials, ca_file=ca_file, timeout_s=timeout)
    if in_clear(check_url(url), access):
        tell_error("the credentials go over the network unencrypted, since the address begins with http. Use https.")
    return access


@contextmanager
def connected(url: str, credentials: Path | None, ca_file: Path | None, timeout: float) -> Iterator[Client]:
    """Connect to an archive; like `access_to`."""
    from tamperscan.serve.dicomweb.client import Client

    with Client(url, access_to(url, credentials, ca_file, timeout)) as client:
        yield client
