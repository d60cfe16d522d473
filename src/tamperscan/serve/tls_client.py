"""Encrypted connections to others: whom the node trusts, and how it shows who it is."""

from __future__ import annotations

import ssl
from pathlib import Path


def client_context(trust: Path | None, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Make the settings of a connection by TLS 1.2 or later, whose other side must prove its name.

    Parameters
    ----------
    trust
        PEM file of the authorities that vouch for the other side; the system's where it is None.
    certificate, key
        PEM files of this side, for who asks for them.

    Raises
    ------
    OSError
        If a file can't be read, is not of that kind, or the key is another one's or needs a password.
    """
    context = ssl.create_default_context(cafile=str(trust) if trust else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key, password="")  # an empty password: never ask at the terminal
    return context
