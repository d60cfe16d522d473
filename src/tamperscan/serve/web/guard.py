"""Who may come in: every request passes here first, whatever it asks for.

The checks, in this order:

- *Host*: the name in the request is one of the page's own. Without this, a web site could let its own name point to
  127.0.0.1 and read the answers (DNS rebinding). An IP address as a host can't be rebound.
- *Origin*: a request that changes anything comes from the page itself, not from another site's form or script
  (cross-site request forgery). Browsers say where a request comes from in ``Sec-Fetch-Site`` and ``Origin``; programs
  such as curl say nothing, and hold no cookie that could be abused.
- *Who*: with a token, the visitor shows it or the cookie that it was exchanged for; behind a proxy, the proxy's
  header names who it is, and nothing but the proxy is listened to.
- *How much*: what is no upload is small.

Answers carry headers that forbid scripts from elsewhere, framing, sniffing and referrers.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tamperscan.serve.web.login import COOKIE, is_valid
from tamperscan.serve.web.settings import PageSettings, is_loopback

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Content-Security-Policy of every answer that has none of its own."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS: Final = ("/login", "/api/login", "/health", "/favicon.ico")
OPEN_FOLDER: Final = "/static/"
"""What a visitor may have before anything is known of him: the way in, and what anyone has who installs this."""

UPLOADS: Final = "/api/scans"
"""Where a request may be large; what is read there is counted there."""

MOST_BYTES: Final = 2**16
"""Most bytes that any other request may bring."""

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware that lets a request through, or answers it with why not.

    A request that is let through has in ``scope["state"]["reviewer"]`` who the proxy says it is, or an empty text.

    Parameters
    ----------
    app
        What answers the requests that may come in.
    settings
        Who may.
    """

    def __init__(self, app: ASGIApp, settings: PageSettings) -> None:
        self._app = app
        self._settings = settings
        self._hosts = frozenset(host.casefold() for host in (settings.host, *settings.allowed_hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks anything else
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(scope, send, *refusal)
            return
        scope.setdefault("state", {})["reviewer"] = self._reviewer(headers)
        await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """HTTP status and words where the request may not come in."""
        host = headers.get("host", "")
        if not self._is_own(host):
            return 421, (
                "This page is not served under that name. Use its address, or start it with --allow-host NAME."
            )
        if scope["method"] not in SAFE_METHODS and not self._is_same_origin(headers, host):
            return 403, "This request comes from another site. Use the page itself."
        return self._not_known(scope, headers) or _too_much(scope, headers)

    def _is_own(self, host: str) -> bool:
        name = host_name(host)
        if name in self._hosts:
            return True
        if self._settings.local_only:
            return is_loopback(name)
        return _is_address(name) or name == "localhost"

    def _is_same_origin(self, headers: Headers, host: str) -> bool:
        site = headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            return False
        origin = headers.get("origin")
        if origin is None:
            return True  # no browser: those state the origin of everything that is not a plain link or picture
        netloc = urlsplit(origin).netloc.casefold()
        return bool(netloc) and (netloc == host.casefold() or host_name(netloc) in self._settings.allowed_hosts)

    def _not_known(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        settings = self._settings
        if settings.identity_header:
            client = scope.get("client")
            if client is None or not _is_among(client[0], settings.trusted_proxies):
                return 403, "This page is only reached through its sign-in proxy."
            if not self._reviewer(headers):
                return 401, "The sign-in proxy did not say who this is."
            return None
        path = scope["path"]
        if not settings.token or path in OPEN_PATHS or path.startswith(OPEN_FOLDER) or self._shows_token(headers):
            return None
        return 401, "Sign in first: open /login in a browser, or send the token as 'Authorization: Bearer TOKEN'."

    def _shows_token(self, headers: Headers) -> bool:
        kind, _, value = headers.get("authorization", "").partition(" ")
        if kind.casefold() == "bearer":
            return hmac.compare_digest(value.strip().encode(), self._settings.token.encode())
        return is_valid(_cookie(headers), self._settings.token)

    def _reviewer(self, headers: Headers) -> str:
        name = headers.get(self._settings.identity_header, "") if self._settings.identity_header else ""
        return "".join(letter for letter in name if letter.isprintable()).strip()[:200]


def host_name(netloc: str) -> str:
    """Host of a ``Host`` header or an origin, without its port and in small letters."""
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0].casefold()
    return netloc.rpartition(":")[0].casefold() if netloc.count(":") == 1 else netloc.casefold()


def _too_much(scope: Scope, headers: Headers) -> tuple[int, str] | None:
    if scope["path"] == UPLOADS:
        return None
    if "transfer-encoding" in headers:
        return 411, "Say how long the request is, by Content-Length."
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or int(length[:20]) > MOST_BYTES:
        return 413, f"A request may bring {MOST_BYTES} bytes and no more."
    return None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_among(address: str, addresses: Iterable[str]) -> bool:
    try:
        return ip_address(address) in {ip_address(one) for one in addresses}
    except ValueError:
        return False


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Content-Security-Policy", POLICY)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending


async def _answer(scope: Scope, send: Send, status: int, words: str) -> None:
    """Answer with a refusal: to a person with the way to sign in, to a program with JSON."""
    headers = Headers(scope=scope)
    wants_page = status == 401 and scope["method"] == "GET" and "text/html" in headers.get("accept", "")
    body = b"" if wants_page else json.dumps({"detail": words}).encode()
    fields = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if wants_page:
        status = 303
        fields.append((b"location", b"/login"))
    # What was not read of the request's body must not be taken for the next request.
    fields.append((b"connection", b"close"))
    sending = _with_headers(send)
    await sending({"type": "http.response.start", "status": status, "headers": fields})
    await sending({"type": "http.response.body", "body": body})
