"""Limits on a header's values and on its sequences within sequences."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tamperscan.errors import ScanError
from tamperscan.scan.limits import limits

_PIXEL_GROUP: Final = 0x7FE0
_ADVICE: Final = "Check where this file is from"


def check_elements(label: str, dataset: Dataset) -> None:
    """Refuse a data set with a value, other than pixels, or with a nesting over the limits.

    What is not parsed yet (sequences of stated length) is nested no deeper once it is: pydicom takes it apart level
    by level, when it is asked for.

    Raises
    ------
    ScanError
        Naming the element.
    """
    most, level = limits(), [dataset]
    for _ in range(most.sequence_depth + 1):
        below: list[Dataset] = []
        for one in level:
            for element in one.values():
                value = element.value
                if isinstance(value, Sequence):
                    below += value
                elif isinstance(value, bytes) and len(value) > most.element and element.tag.group != _PIXEL_GROUP:
                    problem = f"has a value of {len(value)} bytes in its header {element.tag}, over {most.element}"
                    raise ScanError(label, problem, _ADVICE)
        if not below:
            return
        level = below
    raise too_deep(label)


def too_deep(label: str) -> ScanError:
    """Say that sequences are nested too deep."""
    return ScanError(label, f"has sequences nested deeper than {limits().sequence_depth} levels", _ADVICE)
