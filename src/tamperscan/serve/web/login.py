"""The cookie that a token is exchanged for, so that a browser need not keep the token itself."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Final

COOKIE: Final = "tamperscan"
LASTS: Final = 12 * 3600
"""Seconds a cookie is valid: a working day. Another token makes it void at once."""


def make_cookie(token: str, *, now: float | None = None) -> str:
    """Make a cookie that is valid for a working day.

    Parameters
    ----------
    token
        The page's token; it can't be had back from the cookie.
    now
        Seconds since 1970; the clock's if not given.
    """
    until = str(int((time.time() if now is None else now) + LASTS))
    return f"{until}.{_seal(until, token)}"


def is_valid(cookie: str, token: str, *, now: float | None = None) -> bool:
    """Whether a cookie was made from this token and is not too old.

    Parameters
    ----------
    cookie, token
        What the browser sent, and the page's token.
    now
        Seconds since 1970; the clock's if not given.
    """
    until, _, seal = cookie.partition(".")
    if not (until.isascii() and until.isdigit() and len(until) < 20):
        return False
    if not hmac.compare_digest(seal.encode(), _seal(until, token).encode()):
        return False
    return int(until) > (time.time() if now is None else now)


def _seal(until: str, token: str) -> str:
    return hmac.new(token.encode(), f"tamperscan page until {until}".encode(), hashlib.sha256).hexdigest()
