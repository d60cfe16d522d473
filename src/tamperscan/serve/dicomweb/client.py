"""Requests to a DICOMweb service, tried again where that may help, with errors in plain words."""

from __future__ import annotations

import contextlib
import json
import random
import ssl
import time
from collections.abc import Callable, Container, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from tamperscan.errors import ServeError
from tamperscan.serve.dicomweb.access import Access, check_url

if TYPE_CHECKING:
    import httpx

Result = TypeVar("Result")

LARGEST_ANSWER: Final = 2**26
"""Bytes of the largest JSON answer that is read."""

LONGEST_PAUSE_S: Final = 30.0
"""Longest pause between two attempts, whatever the archive asks for."""

AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be gone at the next attempt."""


class Unavailable(Exception):  # noqa: N818 (it ends an attempt, not the request)
    """An attempt that failed in a way that the next one may not; says why."""

    def __init__(self, reason: str, pause_s: float | None = None) -> None:
        self.pause_s = pause_s
        super().__init__(reason)


class Client(contextlib.AbstractContextManager["Client"]):
    """A connection to one DICOMweb service; threads may share it.

    Parameters
    ----------
    url
        Its root, such as ``https://pacs.example/dicom-web``.
    access
        Credentials and limits.

    Raises
    ------
    ServeError
        If the address is none, its certificates can't be read, or the package for requests is missing.
    """

    def __init__(self, url: str, access: Access) -> None:
        self.url = check_url(url)
        self.host = urlsplit(self.url).netloc
        self._access = access
        try:
            import httpx
        except ImportError as error:
            needed = "DICOMweb needs more packages. Install them: pip install 'tamperscan[serve]'."
            raise ServeError(needed) from error
        self._httpx = httpx
        # Proxies and .netrc of the environment are left out: where data and credentials go is what the user said.
        self._client = httpx.Client(
            verify=_certificates(access),
            timeout=httpx.Timeout(access.timeout_s, connect=min(access.timeout_s, 15.0)),
            headers=_headers(access),
            auth=None if access.token or not access.user else (access.user, access.password),
            trust_env=False,
            follow_redirects=False,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get_json(self, path: str, query: Mapping[str, str | list[str]]) -> Any:
        """Ask for JSON (PS3.18 F.2); None where there is nothing (204).

        Raises
        ------
        ServeError
            If it can't be had.
        """

        def attempt() -> Any:
            with self.stream("GET", path, {"Accept": "application/dicom+json"}, params=query) as answer:
                return None if answer.status_code == 204 else _json(self.host, answer)

        return self.try_again(attempt)

    def try_again(self, attempt: Callable[[], Result]) -> Result:
        """Make attempts until one succeeds, with growing pauses.

        Raises
        ------
        ServeError
            If the last one failed too.
        """
        for number in range(1, self._access.attempts + 1):
            try:
                return attempt()
            except Unavailable as error:
                if number == self._access.attempts:
                    tried = f"tried {number} times" if number > 1 else "tried once"
                    raise ServeError(f"{self.host}: {error} ({tried}). Check the archive, then try again.") from error
                pause = (
                    error.pause_s if error.pause_s is not None else 0.5 * 2 ** (number - 1) * random.uniform(0.8, 1.2)
                )
                time.sleep(min(pause, LONGEST_PAUSE_S))
        raise AssertionError("there is at least one attempt")

    @contextlib.contextmanager
    def stream(
        self, method: str, path: str, headers: Mapping[str, str], *, good: Container[int] = range(200, 300), **more: Any
    ) -> Iterator[httpx.Response]:
        """Make one attempt at a request, and give the answer before its body is read.

        Parameters
        ----------
        method, path, headers, more
            The request; the path is below the root, and made of checked parts.
        good
            Statuses that are given back; others are errors.

        Raises
        ------
        Unavailable
            If another attempt may help.
        ServeError
            If not.
        """
        try:
            with self._client.stream(method, f"{self.url}{path}", headers=dict(headers), **more) as answer:
                if answer.status_code not in good:
                    _refuse(self.host, answer)
                yield answer
        except self._httpx.HTTPError as error:
            raise _unreachable(self.host, error, self._access.timeout_s) from error


def _certificates(access: Access) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if access.ca_file is None else str(access.ca_file))
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or "it holds no certificates"
        raise ServeError(f"{access.ca_file}: certificates can't be read ({reason}). Give a file in PEM.") from error


def _headers(access: Access) -> dict[str, str]:
    headers = {"User-Agent": "tamperscan", "Accept-Encoding": "identity"}
    return headers | ({"Authorization": f"Bearer {access.token}"} if access.token else {})


def _unreachable(host: str, error: httpx.HTTPError, timeout_s: float) -> Unavailable | ServeError:
    import httpx

    words = " ".join(str(error).split())[:200]
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return ServeError(f"{host}: its certificate is not trusted ({words}). Name its authority with --ca-file.")
    if "SSL" in words or "WRONG_VERSION_NUMBER" in words:
        return ServeError(f"{host}: no TLS connection ({words}). Check whether the address is http or https.")
    if isinstance(error, httpx.TimeoutException):
        return Unavailable(f"no answer within {timeout_s:g} seconds")
    return Unavailable(f"the connection failed ({words or type(error).__name__})")


def _refuse(host: str, answer: httpx.Response) -> None:
    status = answer.status_code
    words = f"{status} {answer.reason_phrase}".strip()
    if status in AGAIN:
        raise Unavailable(f"the archive answered {words}", _retry_after(answer))
    if status == 401:
        raise ServeError(f"{host}: wants other credentials (401). Check the token, or the user and password.")
    if status == 403:
        raise ServeError(f"{host}: does not allow this (403). Ask for the right to it.")
    if 300 <= status < 400:
        raise ServeError(f"{host}: sends elsewhere ({words}), which is not followed. Give the final address.")
    if status == 404:
        raise ServeError(f"{host}: knows nothing there (404). Check the address: it ends before /studies.")
    raise ServeError(f"{host}: refused the request ({words}{_first_words(answer)}). Check the query and the address.")


def _first_words(answer: httpx.Response) -> str:
    """Give the beginning of what an archive says about an error, as plain text."""
    try:
        first = next(answer.iter_bytes(300), b"")
    except Exception:  # the status says enough
        return ""
    text = "".join(letter for letter in first.decode(errors="replace") if letter.isprintable()).strip()
    return f": {text}" if text and not text.startswith("<") else ""


def _retry_after(answer: httpx.Response) -> float | None:
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "")))
    except ValueError:
        return None


def _json(host: str, answer: httpx.Response) -> Any:
    content = bytearray()
    for part in answer.iter_bytes(2**16):
        content += part
        if len(content) > LARGEST_ANSWER:
            raise ServeError(f"{host}: its answer is larger than {LARGEST_ANSWER} bytes. Ask for less.")
    try:
        return json.loads(content) if content.strip() else None
    except (ValueError, RecursionError) as error:
        raise ServeError(f"{host}: did not answer in JSON. Check that the address is that of DICOMweb.") from error
