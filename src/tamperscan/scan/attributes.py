"""Safe look-up of DICOM attributes, in single-frame and multi-frame objects alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from tamperscan.plain_text import in_words

LARGEST: Final = 1e12
"""A number from here on is damage, and counts as absent, as infinity and NaN do."""


class Attributes:
    """The attributes that hold for one frame.

    The frame's own functional groups come first, then the shared ones, then the object itself
    (PS3.3 C.7.6.16). Values that break the standard count as absent.

    Parameters
    ----------
    dataset
        The DICOM object.
    frame
        Index of the frame, from 0.
    """

    def __init__(self, dataset: Dataset, frame: int = 0) -> None:
        own = _groups(dataset, "PerFrameFunctionalGroupsSequence", frame)
        shared = _groups(dataset, "SharedFunctionalGroupsSequence", 0)
        self._levels = (*own, *shared, dataset)
        self.has_own = bool(own)

    def value(self, keyword: str) -> Any:
        """Give the value as pydicom does, or None."""
        for level in self._levels:
            found = _value(level, keyword)
            if found is not None and found != "":
                return found
        return None

    def text(self, keyword: str) -> str:
        """Give the value as text that can be printed; several values are joined by a backslash."""
        found = self.value(keyword)
        if found is None or isinstance(found, Sequence):
            return ""
        parts = found if isinstance(found, list | tuple) or _is_multi(found) else [found]
        return "\\".join(in_words(str(part).replace("\0", "")).strip() for part in parts)

    def number(self, keyword: str) -> float | None:
        """Give the value, or the first of several, as a finite number."""
        found = self.value(keyword)
        values = _floats(found)
        return values[0] if values else None

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Exactly ``count`` finite numbers, or None."""
        values = _floats(self.value(keyword))
        return values if values is not None and len(values) == count else None


def _groups(dataset: Dataset, keyword: str, index: int) -> tuple[Dataset, ...]:
    """Find the functional groups of one item of a sequence."""
    sequence = _value(dataset, keyword)
    if not sequence or index >= len(sequence):
        return ()
    return tuple(_first_items(sequence[index]))


def _first_items(item: Dataset) -> Iterator[Dataset]:
    for tag in item.keys():  # noqa: SIM118 (iterating a data set converts every value)
        sequence = _value(item, tag)
        if isinstance(sequence, Sequence) and sequence:
            yield sequence[0]


def _value(dataset: Dataset, key: str | BaseTag) -> Any:
    try:
        return dataset.get(key) if isinstance(key, str) else dataset[key].value
    except Exception:  # pydicom raises whatever a malformed value provokes
        return None


def _is_multi(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes)


def _floats(value: Any) -> tuple[float, ...] | None:
    try:
        values = tuple(float(part) for part in (value if _is_multi(value) else [value]))
    except (TypeError, ValueError, OverflowError):
        return None
    return values if all(abs(part) < LARGEST for part in values) else None
