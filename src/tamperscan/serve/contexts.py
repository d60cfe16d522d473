"""What a receiver accepts: every storage SOP class as the sender encodes it, verification, and storage commitment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

_PLAIN: Final = frozenset((ImplicitVRLittleEndian, ExplicitVRLittleEndian))
_EVERY: Final = frozenset(ALL_TRANSFER_SYNTAXES)
_KNOWN: Final[dict[UID | None, frozenset[str]]] = {
    **{context.abstract_syntax: _EVERY for context in AllStoragePresentationContexts},
    Verification: _PLAIN,
    StorageCommitmentPushModel: _PLAIN,
}


def supported_among(proposed: Sequence[PresentationContext]) -> list[PresentationContext]:
    """Choose what is accepted of what a sender proposes.

    pynetdicom takes the first transfer syntax of ours that is proposed too. Ours stand in the sender's order, so that
    it need not recode.

    Parameters
    ----------
    proposed
        The presentation contexts of an A-ASSOCIATE-RQ.

    Returns
    -------
    list of PresentationContext
        One for each known SOP class among them.
    """
    chosen: dict[UID | None, dict[UID, None]] = {}
    for context in proposed:
        known = _KNOWN.get(context.abstract_syntax, frozenset())
        common = [syntax for syntax in context.transfer_syntax if syntax in known]
        if common:
            chosen.setdefault(context.abstract_syntax, {}).update(dict.fromkeys(common))
    return [build_context(str(abstract), list(syntaxes)) for abstract, syntaxes in chosen.items()]
