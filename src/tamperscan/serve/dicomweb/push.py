"""Stores instances in an archive by STOW-RS (PS3.18 10.5)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pydicom

from tamperscan.errors import OutputError, ScanError, ServeError
from tamperscan.scan.attributes import Attributes
from tamperscan.scan.forged import refuse_forged
from tamperscan.scan.sources import unreadable
from tamperscan.serve.dicomweb.access import Access, load_access
from tamperscan.serve.dicomweb.client import LARGEST_ANSWER, Client

if TYPE_CHECKING:
    import httpx

MOST_IN_REQUEST: Final = 50
"""Instances in one request."""

LARGEST_REQUEST: Final = 2**26
"""Bytes in one request, unless a single instance is larger."""

_CHUNK: Final = 2**18
_REFERENCED: Final = "00081199"
_FAILED: Final = "00081198"
_INSTANCE: Final = "00081155"
_REASON: Final = "00081197"

_REASONS: Final = {
    0x0110: "the archive failed to process it",
    0x0122: "the archive does not take objects of this kind",
    0x0124: "the archive does not allow it",
    0xA700: "the archive has no room",
    0xA770: "its pixels are not as its header says",
    0xA773: "its pixels are not as its header says",
    0xA900: "the archive does not take it under this study or class",
    0xC000: "the archive can't understand it",
    0xC122: "the archive does not take its transfer syntax",
    0xC123: "the archive does not take its patient or study",
}
"""FailureReason in plain words (PS3.18 table I.2-2, PS3.4 table B.2-1)."""

_DUPLICATE: Final = 0x0111
"""The archive has this instance already, which is what was wanted (PS3.7 C.5.7)."""

_GOOD: Final = frozenset({*range(200, 300), 409})
"""Statuses whose body tells what became of each instance; 409 says that all of them failed."""


@dataclass(frozen=True)
class Stored:
    """What an archive said of one instance.

    Attributes
    ----------
    path
        The file.
    instance
        Its SOP instance UID.
    problem
        Why the archive did not take it, in a few words; empty where it has it now.
    """

    path: Path
    instance: str
    problem: str = ""


def stow(
    url: str,
    files: Sequence[str | Path],
    *,
    access: Access | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Stored]:
    """Store instances in an archive; storing one that it has already changes nothing.

    Parameters
    ----------
    url
        Root of the archive's DICOMweb service, such as ``https://pacs.example/dicom-web``.
    files
        DICOM files.
    access
        How to reach it: credentials, certificates, timeouts; by default with what is in the environment.
    progress
        Is told how many files of how many the archive has answered for.

    Returns
    -------
    list of Stored
        One for each file, in order; a failed instance is told in ``problem`` and the others go on.

    Raises
    ------
    OutputError
        If a file is forged (`tamperscan.scan.forged.refuse_forged`): nothing is sent then.
    ScanError
        If a file is no DICOM file: nothing is sent then.
    ServeError
        If the archive can't be reached or refuses a request as a whole, after the retries.
    """
    answered: list[Stored] = []
    for batch in stow_batches(url, files, access=load_access() if access is None else access):
        answered += batch
        if progress is not None:
            progress(len(answered), len(files))
    return answered


def stow_batches(url: str, files: Sequence[str | Path], *, access: Access) -> Iterator[list[Stored]]:
    """Store instances like `stow`, and give what the archive said after each request: an error forgets none of it."""
    waiting = [_checked(Path(file)) for file in files]
    with Client(url, access) as client:
        for batch in _batches(waiting):
            yield _store(client, batch)


def _checked(path: Path) -> Stored:
    """Read a file's header, all of it but the pixels; forged images are refused by their marks in it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(path, stop_before_pixels=True)
            instance = Attributes(header).text("SOPInstanceUID")
            refuse_forged(header)
    except OutputError:
        raise
    except OSError as error:
        raise unreadable(str(path), error) from error
    except Exception as error:  # pydicom raises whatever the bytes provoke
        raise ScanError(path, "is not a DICOM file", "Give DICOM files with their file head (PS3.10)") from error
    if not instance:
        raise ScanError(path, "is no DICOM instance that can be stored", "Give the images or results themselves")
    return Stored(path, instance)


def _batches(waiting: Sequence[Stored]) -> Iterator[list[Stored]]:
    """Put instances together as far as one request may go."""
    batch: list[Stored] = []
    size = 0
    for one in waiting:
        more = one.path.stat().st_size
        if batch and (len(batch) == MOST_IN_REQUEST or size + more > LARGEST_REQUEST):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += more
    if batch:
        yield batch


def _store(client: Client, batch: list[Stored]) -> list[Stored]:
    boundary = uuid4().hex

    def attempt() -> list[Stored]:
        headers = {
            "Accept": "application/dicom+json",
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(sum(len(part) for part in _frame(batch, boundary)) + _size(batch)),
        }
        body = _body(batch, boundary)
        with client.stream("POST", "/studies", headers, good=_GOOD, content=body) as answer:
            return _answered(client, answer, batch)

    return client.try_again(attempt)


def _size(batch: list[Stored]) -> int:
    return sum(one.path.stat().st_size for one in batch)


def _frame(batch: list[Stored], boundary: str) -> list[bytes]:
    """Give what stands before each file, and at the end."""
    head = f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return [head for _ in batch] + [f"\r\n--{boundary}--\r\n".encode()]


def _body(batch: list[Stored], boundary: str) -> Iterator[bytes]:
    *heads, end = _frame(batch, boundary)
    for one, head in zip(batch, heads, strict=True):
        yield head
        try:
            with one.path.open("rb") as stream:
                while piece := stream.read(_CHUNK):
                    yield piece
        except OSError as error:
            raise unreadable(str(one.path), error) from error
    yield end


def _answered(client: Client, answer: httpx.Response, batch: list[Stored]) -> list[Stored]:
    """Match an archive's answer with what was sent."""
    said = _json(answer)
    failed = {_value(one, _INSTANCE): _reason(_value(one, _REASON)) for one in _items(said, _FAILED)}
    stored = {_value(one, _INSTANCE) for one in _items(said, _REFERENCED)}
    everything = answer.status_code == 200 and not failed
    results: list[Stored] = []
    for one in batch:
        if one.instance in failed:
            results.append(replace(one, problem=failed[one.instance]))
        elif one.instance in stored or everything:
            results.append(one)
        else:
            problem = f"{client.host} answered {answer.status_code} and did not say what became of it"
            results.append(replace(one, problem=problem))
    return results


def _json(answer: httpx.Response) -> dict[str, Any]:
    content = bytearray()
    for part in answer.iter_bytes(_CHUNK):
        content += part
        if len(content) > LARGEST_ANSWER:
            raise ServeError(f"{answer.url.host}: its answer is larger than {LARGEST_ANSWER} bytes. Tell who runs it.")
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):  # an archive that answers in XML; its status counts
        return {}
    return said if isinstance(said, dict) else {}


def _items(said: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    sequence = said.get(tag)
    values = sequence.get("Value") if isinstance(sequence, dict) else None
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _value(item: dict[str, Any], tag: str) -> str:
    values = item.get(tag, {}).get("Value") if isinstance(item.get(tag), dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def _reason(stated: str) -> str:
    """Give a FailureReason in words; nothing where it says that the archive has the instance."""
    if not stated.isdigit():
        return "the archive did not say why"
    code = int(stated)
    if code == _DUPLICATE:
        return ""
    return f"{_REASONS.get(code, 'for a reason of its own')} (0x{code:04X})"
