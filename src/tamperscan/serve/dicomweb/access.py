"""How to reach an archive's DICOMweb service: credentials, certificates, timeouts and retries."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tamperscan.errors import ServeError

TOKEN_VARIABLE: Final = "TAMPERSCAN_DICOMWEB_TOKEN"
USER_VARIABLE: Final = "TAMPERSCAN_DICOMWEB_USER"
PASSWORD_VARIABLE: Final = "TAMPERSCAN_DICOMWEB_PASSWORD"

_LARGEST_FILE: Final = 2**16


@dataclass(frozen=True)
class Access:
    """Credentials and limits of one DICOMweb service.

    Attributes
    ----------
    token
        Bearer token; sent with every request where it is not empty. Never shown.
    user, password
        For basic authentication, where there is no token.
    ca_file
        Certificates (PEM) to trust instead of the usual ones.
    timeout_s
        Seconds without an answer before an attempt counts as failed.
    attempts
        How often a request is tried where the archive can't be reached or is overloaded.
    """

    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    timeout_s: float = 60.0
    attempts: int = 4

    @property
    def has_credentials(self) -> bool:
        """Whether anything secret is sent."""
        return bool(self.token or self.user)


def load_access(
    credentials: Path | None = None, *, ca_file: Path | None = None, timeout_s: float = 60.0, attempts: int = 4
) -> Access:
    """Take credentials from a file, or else from the environment; never from the command line, which others can see.

    Parameters
    ----------
    credentials
        JSON, ``{"token": "..."}`` or ``{"user": "...", "password": "..."}``, that only its owner may read. None for
        the environment: ``TAMPERSCAN_DICOMWEB_TOKEN``, or ``TAMPERSCAN_DICOMWEB_USER`` and ``..._PASSWORD``.
    ca_file, timeout_s, attempts
        As in `Access`.

    Raises
    ------
    ServeError
        If the file can't be read, others may read it, or it holds no credentials.
    """
    variables = {"token": TOKEN_VARIABLE, "user": USER_VARIABLE, "password": PASSWORD_VARIABLE}
    if credentials is None:
        found = {name: os.environ.get(variable, "") for name, variable in variables.items()}
    else:
        found = _read(credentials)
    where = "The environment" if credentials is None else str(credentials)
    if any(not text.isprintable() for text in found.values()):
        raise ServeError(f"{where}: the credentials hold control characters. Check for line ends at their ends.")
    if bool(found.get("user")) != bool(found.get("password")):
        raise ServeError(f"{where}: a user needs a password, and a password a user. Give both, or a token.")
    return Access(**found, ca_file=ca_file, timeout_s=timeout_s, attempts=attempts)


def _read(path: Path) -> dict[str, str]:
    advice = 'Give JSON: {"token": "..."} or {"user": "...", "password": "..."}'
    try:
        if path.stat().st_mode & 0o077:
            raise ServeError(f"{path}: others may read these credentials. Forbid it: chmod 600 {path.name}")
        found = json.loads(path.read_bytes()[:_LARGEST_FILE])
    except OSError as error:
        raise ServeError(
            f"{path}: the credentials can't be read ({error.strerror or error}). Check the path."
        ) from error
    except ValueError as error:
        raise ServeError(f"{path}: is not JSON. {advice}.") from error
    good = isinstance(found, dict) and found.keys() <= {"token", "user", "password"}
    if not good or not found or not all(isinstance(text, str) for text in found.values()):
        raise ServeError(f"{path}: holds no credentials, or others than these. {advice}.")
    return {str(name): str(text) for name, text in found.items()}


def check_url(url: str) -> str:
    """Give the root of a DICOMweb service without a slash at its end.

    Raises
    ------
    ServeError
        If it is no http or https address, or holds a password.
    """
    try:
        parts = urlsplit(url)
        hostname, _ = parts.hostname, parts.port
    except ValueError:
        hostname, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not hostname or not url.isprintable() or parts.query or parts.fragment:
        raise ServeError(f"{url!r} is no DICOMweb address. Give one such as https://pacs.example/dicom-web.")
    if parts.username is not None or parts.password is not None:
        raise ServeError(
            f"The address of {hostname} holds a user or a password, which others can see. Put it into the environment "
            f"({USER_VARIABLE}, {PASSWORD_VARIABLE}) or into a file of credentials."
        )
    return url.rstrip("/")


def in_clear(url: str, access: Access) -> bool:
    """Whether credentials would go over a network unencrypted."""
    parts = urlsplit(url)
    near = parts.hostname in ("localhost", "127.0.0.1", "::1")
    return access.has_credentials and parts.scheme == "http" and not near
