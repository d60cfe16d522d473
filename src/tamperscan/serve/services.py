"""What an association needs of the receiver around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tamperscan.serve.admission import Room
from tamperscan.serve.home import Home
from tamperscan.serve.settings import NodeSettings
from tamperscan.serve.spool import Ledger
from tamperscan.serve.upper_layer import Context


class Commitments(Protocol):
    """What takes requests for storage commitment."""

    def take(self, content: bytes, context: Context, sender: str) -> tuple[int, str]:
        """Keep a request; gives the DIMSE status and the transaction's UID."""

    def report_for(self, transaction: str, context: Context, sender: str) -> tuple[int, bytes] | None:
        """Give event type and data set where the report goes over the same association."""

    def reported(self, transaction: str, sender: str) -> None:
        """Note that the peer has the report."""


class Refusals(Protocol):
    """What is told of everything that is turned away."""

    def tell(self, reason: str, **facts: str) -> None:
        """Note a refusal."""


@dataclass(frozen=True)
class Services:
    """What an association needs of the receiver around it."""

    home: Home
    settings: NodeSettings
    supported: dict[str, frozenset[str]]
    ledger: Ledger
    room: Room
    refusals: Refusals
    commitments: Commitments
