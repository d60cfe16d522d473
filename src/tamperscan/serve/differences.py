"""How an instance differs from one that came before under the same UID, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tamperscan.serve.audit import CONFLICT, OTHER_HEADER, OTHER_SERIES
from tamperscan.serve.digester import Digester

SAME: Final = ""
ONLY_HEADER: Final = "other header"
OTHER_VALUES: Final = "other values"
"""The same pixel data under another rescale or photometric interpretation: other intensities."""

OTHER_PIXELS: Final = "other pixels"


def difference(one: Mapping[str, Any], other: Mapping[str, Any], spool: Path, digester: Digester) -> str:
    """Tell how two instances of one UID differ in what makes their image.

    Parameters
    ----------
    one, other
        Rows of the ledger; the first has its file.
    spool, digester
        Where the files are, and what takes digests of their decoded pixels.
    """
    same_syntax = one["transfer_syntax"] == other["transfer_syntax"]
    if one["sha256"] == other["sha256"] and same_syntax:
        return SAME
    if not one["pixel_digest"] and not other["pixel_digest"]:
        return ONLY_HEADER
    if one["pixel_digest"] == other["pixel_digest"]:
        meanings = one["pixel_meaning"], other["pixel_meaning"]
        return SAME if meanings[0] == meanings[1] or not all(meanings) else OTHER_VALUES
    if same_syntax or not one["pixel_digest"] or not other["pixel_digest"]:
        return OTHER_PIXELS
    before = other.get("decoded_digest")
    if not before and other["kept"]:
        before = digester.decoded(spool / other["file"]).digest
    same = before is not None and before == digester.decoded(spool / one["file"]).digest
    return SAME if same else OTHER_PIXELS


def event_of(differences: Sequence[str]) -> str:
    """Name what the audit trail is told of an instance that came again and is no duplicate.

    Parameters
    ----------
    differences
        From the instances of its UID in its series or, where there are none, in others.
    """
    if SAME in differences:
        return OTHER_SERIES
    return OTHER_HEADER if set(differences) == {ONLY_HEADER} else CONFLICT
