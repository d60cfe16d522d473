"""Sending results: a thread for each receiver, so that one that is out of reach holds up no other."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tamperscan.errors import OutputError, ScanError, ServeError
from tamperscan.scan.forged import refuse_forged
from tamperscan.serve.audit import SENT, AuditLog
from tamperscan.serve.deliveries import Deliveries, Delivery, result_files
from tamperscan.serve.home import Home
from tamperscan.serve.settings import DicomDestination, StowDestination

POLL_SECONDS: Final = 0.5
TIMEOUT_SECONDS: Final = 30.0
_NATIVE: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_ALREADY_THERE: Final = 0x0111

_log = logging.getLogger("tamperscan.serve.sender")


class UnreachableError(ServeError):
    """A receiver that can't be reached, or lets nobody in."""


class Sender:
    """Delivers what is due to one receiver, again and again until it has it.

    Sending something twice does no harm: the objects of a job have the same UIDs however often they are made or sent.

    Parameters
    ----------
    name, destination
        The receiver.
    calling
        AE title of the node.
    home, deliveries, audit
        Of the node.
    """

    def __init__(
        self,
        name: str,
        destination: DicomDestination | StowDestination,
        *,
        calling: str,
        home: Home,
        deliveries: Deliveries,
        audit: AuditLog,
    ) -> None:
        self.name, self._destination, self._calling = name, destination, calling
        self._home, self._deliveries, self._audit = home, deliveries, audit
        self._not_before = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sender {name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, patience_seconds: float = 40.0) -> None:
        """End after what is under way."""
        self._ending.set()
        self._thread.join(patience_seconds)

    def _run(self) -> None:
        while not self._ending.wait(POLL_SECONDS):
            try:
                self.deliver_due(time.time())
            except Exception:
                _log.exception("sender failed; it goes on", extra={"facts": {"receiver": self.name}})

    def deliver_due(self, now: float) -> int:
        """Deliver what is due; gives how many deliveries the receiver has now.

        Where it can't be reached the others that are due wait too, and are not tried in vain.

        Parameters
        ----------
        now
            Seconds since 1970.
        """
        if now < self._not_before:
            return 0
        count = 0
        for delivery in self._deliveries.due(self.name, now):
            if self._ending.is_set():
                break
            try:
                problems = self._deliver(delivery)
            except UnreachableError as error:
                self._not_before = now + self._deliveries.failed(delivery, str(error), now, unreachable=True)
                break
            except (OutputError, ScanError) as error:
                self._deliveries.refused(delivery, " ".join(str(error).split()))
                continue
            if problems:
                self._deliveries.failed(delivery, problems[0], now, unreachable=False)
            else:
                self._deliveries.delivered(delivery)
                count += 1
        return count

    def _deliver(self, delivery: Delivery) -> list[str]:
        """Send all objects of a delivery; gives what the receiver refused."""
        files = result_files(self._home.result_folder(delivery.job))
        headers = [dcmread(path, stop_before_pixels=True) for path in files]
        for header in headers:
            refuse_forged(header)
        if not files:
            raise OutputError("There are no DICOM results to send; the report of the job says why.")
        if isinstance(self._destination, StowDestination):
            problems = send_by_stow(self._destination, files)
        else:
            calling = self._destination.calling or self._calling
            problems = send_by_store(self._destination, files, headers, calling=calling)
        for header, problem in zip(headers, problems, strict=True):
            if not problem:
                facts = {"job": delivery.job, "study": delivery.study_uid, "instance": str(header.SOPInstanceUID)}
                self._audit.append(SENT, **facts, receiver=self.name)
        return [problem for problem in problems if problem]


def send_by_store(
    destination: DicomDestination, files: Sequence[Path], headers: Sequence[Dataset], *, calling: str
) -> list[str]:
    """Send objects by C-STORE over one association.

    Parameters
    ----------
    destination
        The receiver.
    files, headers
        The objects, and what they say of themselves.
    calling
        AE title to call with.

    Returns
    -------
    list of str
        Of each object why the receiver did not take it, in a few words; empty where it has it.

    Raises
    ------
    UnreachableError
        If there is no association, or it breaks off.
    """
    from pynetdicom import AE

    entity = AE(ae_title=calling)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT_SECONDS
    for header in headers:
        syntax = header.file_meta.TransferSyntaxUID
        entity.add_requested_context(header.SOPClassUID, list(_NATIVE) if syntax in _NATIVE else [syntax])
    tls = (_trusting(destination.trust), destination.host) if destination.tls else None
    association = entity.associate(destination.host, destination.port, ae_title=destination.ae_title, tls_args=tls)
    if not association.is_established:
        reason = "rejects the association" if association.is_rejected else "can't be reached"
        raise UnreachableError(f"{destination.host}:{destination.port} ({destination.ae_title}) {reason}")
    try:
        problems = []
        for path in files:
            problems.append(_store(association, path))
            if not association.is_established:
                raise UnreachableError(f"{destination.host}:{destination.port} broke off the association")
        return problems
    finally:
        if association.is_established:
            association.release()


def send_by_stow(destination: StowDestination, files: Sequence[Path]) -> list[str]:
    """Send objects by STOW-RS; like `send_by_store`."""
    from tamperscan.serve.dicomweb.access import Access
    from tamperscan.serve.dicomweb.push import stow

    access = Access(
        token=_secret(destination.token_file),
        user=destination.user or "",
        password=_secret(destination.password_file),
        ca_file=destination.trust,
        timeout_s=TIMEOUT_SECONDS,
        attempts=1,
    )
    try:
        stored = stow(destination.url, files, access=access)
    except ServeError as error:
        raise UnreachableError(" ".join(str(error).split())) from error
    return [one.problem for one in stored]


def _store(association: object, path: Path) -> str:
    """Send one object; gives why the receiver did not take it."""
    try:
        answer = association.send_c_store(path)  # type: ignore[attr-defined]
    except ValueError:
        return "the receiver takes no objects of this SOP class"
    if "Status" not in answer:
        return "the receiver did not answer"
    status = int(answer.Status)
    taken = status in (0, _ALREADY_THERE) or status & 0xF000 == 0xB000
    return "" if taken else f"the receiver refuses it with status {status:04X}"


def _trusting(authorities: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authorities) if authorities else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text().strip()
    except OSError as error:
        raise UnreachableError(f"{path}: can't be read ({error.strerror})") from error
