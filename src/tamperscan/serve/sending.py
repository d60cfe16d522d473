"""Sending objects to a receiver, by C-STORE or STOW-RS: one attempt, which tells of each object what became of it."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tamperscan.errors import ServeError
from tamperscan.scan.forged import refuse_forged
from tamperscan.serve.settings import DicomDestination, StowDestination

if TYPE_CHECKING:
    from pynetdicom.association import Association

TIMEOUT_SECONDS: Final = 30.0

MOST_CONTEXTS: Final = 128
"""Presentation contexts of one association: their IDs are the odd numbers below 256 (PS3.8 9.3.2.2)."""

_NATIVE: Final = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
_ALREADY_THERE: Final = 0x0111
_OTHER_CLASS: Final = "the receiver takes no objects of this SOP class"
_NO_ANSWER: Final = "the receiver broke off the association instead of an answer"


class UnreachableError(ServeError):
    """A receiver that can't be reached, does not answer, or lets nobody in: nothing can be sent to it now."""


@dataclass(frozen=True)
class Outgoing:
    """An object that is to be sent.

    Attributes
    ----------
    path
        Its file.
    uid
        SOP instance UID.
    context
        SOP class, and the transfer syntaxes that are proposed for it.
    """

    path: Path
    uid: str
    context: tuple[str, tuple[str, ...]]


def read_outgoing(path: Path) -> Outgoing:
    """Read from its header how an object is sent.

    Raises
    ------
    ForgedError
        If it is forged.
    ServeError
        If it can't be read.
    """
    try:
        header = dcmread(path, stop_before_pixels=True)
        syntax = str(header.file_meta.TransferSyntaxUID)
        found = Outgoing(
            path,
            str(header.SOPInstanceUID),
            (str(header.SOPClassUID), _NATIVE if syntax in _NATIVE else (syntax,)),
        )
    except Exception as error:  # pydicom raises whatever the bytes provoke
        reason = getattr(error, "strerror", None) or "it is no whole DICOM object"
        raise ServeError(f"{path}: can't be read ({reason}). Check the disk, or screen its series again.") from error
    refuse_forged(header)
    return found


def send_by_store(
    destination: DicomDestination, objects: Sequence[Outgoing], *, calling: str
) -> Generator[tuple[Outgoing, str]]:
    """Send objects by C-STORE, over as many associations as they need.

    A receiver that breaks off at an object is called again for the others.

    Parameters
    ----------
    destination
        The receiver.
    objects
        What is sent.
    calling
        AE title to call with.

    Yields
    ------
    tuple of Outgoing and str
        Each object, and in a few words why the receiver did not take it; empty where it has it.

    Raises
    ------
    UnreachableError
        If there is no association, or no answer in time.
    """
    waiting = list(objects)
    while waiting:
        contexts = list(dict.fromkeys(one.context for one in waiting))[:MOST_CONTEXTS]
        batch = [one for one in waiting if one.context in contexts]
        later = [one for one in waiting if one.context not in contexts]
        done = 0
        with _associated(destination, contexts, calling) as association:
            for one in batch:
                problem = _store(association, one.path) if association else _OTHER_CLASS
                done += 1
                yield one, problem
                if problem == _NO_ANSWER:
                    break
        waiting = batch[done:] + later


@contextmanager
def _associated(
    destination: DicomDestination, contexts: Sequence[tuple[str, tuple[str, ...]]], calling: str
) -> Iterator[Association | None]:
    """Open an association, and release it; None where the receiver is there and takes none of the contexts."""
    from pynetdicom import AE

    entity = AE(ae_title=calling)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT_SECONDS
    for sop_class, syntaxes in contexts:
        entity.add_requested_context(sop_class, list(syntaxes))
    association = entity.associate(
        destination.host,
        destination.port,
        ae_title=destination.ae_title,
        tls_args=(destination.context(), destination.host) if destination.tls else None,
    )
    if not association.is_established:
        if association.rejected_contexts and not association.accepted_contexts:
            yield None
            return
        reason = "rejects the association" if association.is_rejected else "can't be reached"
        raise UnreachableError(f"{destination.host}:{destination.port} ({destination.ae_title}) {reason}")
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def _store(association: Association, path: Path) -> str:
    """Send one object; gives why the receiver did not take it."""
    began = time.monotonic()
    try:
        answer = association.send_c_store(path)
    except ValueError:
        return _OTHER_CLASS
    except RuntimeError:  # the association is over already
        return _NO_ANSWER
    if "Status" not in answer:
        if time.monotonic() - began >= TIMEOUT_SECONDS:
            raise UnreachableError(f"the receiver did not answer within {TIMEOUT_SECONDS:g} seconds")
        return _NO_ANSWER
    status = int(answer.Status)
    taken = status in (0, _ALREADY_THERE) or status & 0xF000 == 0xB000
    return "" if taken else f"the receiver refuses it with status {status:04X}"


def send_by_stow(destination: StowDestination, objects: Sequence[Outgoing]) -> Generator[tuple[Outgoing, str]]:
    """Send objects by STOW-RS; like `send_by_store`.

    Raises
    ------
    UnreachableError
        If there is no connection or no answer in time, or the receiver is overloaded.
    ServeError
        If the receiver refuses a request as a whole.
    """
    import httpx

    from tamperscan.serve.dicomweb.access import Access
    from tamperscan.serve.dicomweb.client import Unavailable
    from tamperscan.serve.dicomweb.push import stow_batches

    access = Access(
        token=_secret(destination.token_file),
        user=destination.user or "",
        password=_secret(destination.password_file),
        ca_file=destination.trust,
        timeout_s=TIMEOUT_SECONDS,
        attempts=1,
    )
    of_path = {one.path: one for one in objects}
    try:
        for batch in stow_batches(destination.url, list(of_path), access=access):
            for stored in batch:
                yield of_path[stored.path], stored.problem
    except ServeError as error:
        if isinstance(error.__cause__, (Unavailable, httpx.HTTPError)):
            raise UnreachableError(str(error)) from error
        raise


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text().strip()
    except OSError as error:
        raise UnreachableError(f"{path}: can't be read ({error.strerror})") from error
