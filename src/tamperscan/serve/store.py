"""One instance on its way in: refused for a reason, or kept."""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
import time
from typing import Final

from tamperscan.serve import dimse
from tamperscan.serve.first_elements import first_uids
from tamperscan.serve.services import Services
from tamperscan.serve.spool import Incoming, Receipt
from tamperscan.serve.upper_layer import Context, Request

_UID: Final = re.compile(r"[0-9.]{1,64}")

_log = logging.getLogger("tamperscan.serve.store")


class Store:
    """One C-STORE: what arrives of it goes to the disk at once; what is refused is read to its end and dropped.

    Parameters
    ----------
    asked
        The command.
    context, request, address
        Of the association.
    services
        What it needs.

    Attributes
    ----------
    sop_class, uid
        What the command says that it is.
    """

    def __init__(
        self, asked: dict[int, str | int], context: Context, request: Request, address: str, services: Services
    ) -> None:
        self._context, self._request, self._address, self._services = context, request, address, services
        self.sop_class = str(asked.get(dimse.AFFECTED_CLASS, ""))
        self.uid = str(asked.get(dimse.AFFECTED_INSTANCE, ""))
        self._refusal: tuple[int, str] | None = None
        self._incoming: Incoming | None = None
        if self.sop_class != context.abstract_syntax:
            self._refuse(dimse.SOP_CLASS_NOT_SUPPORTED, "SOP class not supported")
        elif not _UID.fullmatch(self.uid):
            self._refuse(dimse.INVALID_INSTANCE, "SOP instance UID is no UID")
        elif full := services.room.why_full():
            self._refuse(dimse.OUT_OF_RESOURCES, full)
        else:
            try:
                self._incoming = Incoming(services.home, self.sop_class, self.uid, context.transfer_syntax)
            except OSError as error:
                self._refuse(dimse.OUT_OF_RESOURCES, error.strerror or "the disk fails")

    def write(self, part: memoryview) -> None:
        """Take a part of the data set."""
        if self._incoming is not None and self._incoming.size > self._services.settings.largest_gib * 2**30:
            self._refuse(dimse.OUT_OF_RESOURCES, "larger than is taken")
        if self._incoming is not None:
            try:
                self._incoming.write(part)
            except OSError as error:
                self._refuse(dimse.OUT_OF_RESOURCES, error.strerror or "the disk fails")

    def finish(self) -> tuple[int, str]:
        """Keep the instance, if nothing speaks against it. Gives the DIMSE status and a comment."""
        incoming = self._incoming
        if incoming is not None:
            problem = self._why_other(incoming.head)
            full = self._services.room.why_full(incoming.size)
            if problem:
                self._refuse(dimse.DOES_NOT_MATCH, problem)
            elif full:
                self._refuse(dimse.OUT_OF_RESOURCES, full)
            else:
                self._keep(incoming)
        if self._refusal is not None:
            status, reason = self._refusal
            facts = {"sender": self._request.calling, "address": self._address, "instance": self.uid}
            self._services.refusals.tell(reason, **facts, sop_class=self.sop_class, status=f"{status:04X}")
            return status, reason
        return dimse.SUCCESS, ""

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self._incoming is not None:
            self._incoming.abandon()
            self._incoming = None

    def _keep(self, incoming: Incoming) -> None:
        services, self._incoming = self._services, None
        try:
            name, digest, size = incoming.name()
        except OSError as error:
            self._refusal = dimse.OUT_OF_RESOURCES, error.strerror or "the disk fails"
            return
        receipt = Receipt(
            file=name,
            sha256=digest,
            size=size,
            sop_class=self.sop_class,
            sop_uid=self.uid,
            transfer_syntax=self._context.transfer_syntax,
            sender=self._request.calling,
            called=self._request.called,
            address=self._address,
            arrived=time.time(),
        )
        entered = services.ledger.enter(receipt)
        try:
            try:
                incoming.close(durable=services.settings.durable)
            finally:
                entered.result()
        except Exception as error:  # whatever it was: what is not on the disk and in the ledger is not acknowledged
            _log.exception("not kept")
            self._refusal = dimse.OUT_OF_RESOURCES, type(error).__name__
            (services.home.spool / name).unlink(missing_ok=True)
            with contextlib.suppress(sqlite3.Error):  # on a full disk; a row without a file counts for nothing
                services.ledger.withdraw(receipt)
            return
        services.room.add(size)

    def _why_other(self, head: bytes) -> str:
        """Tell whether the data set says that it is another object than the command did."""
        sop_class, uid = first_uids(head, self._context.transfer_syntax)
        if sop_class is not None and sop_class != self.sop_class:
            return "data set is of another SOP class"
        if uid is not None and uid != self.uid:
            return "data set has another SOP instance UID"
        return ""

    def _refuse(self, status: int, reason: str) -> None:
        self._refusal = status, reason
        self.abandon()
