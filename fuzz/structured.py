"""Inputs that are nearly right, made by hypothesis: what bytes at random would hit once in a million years.

Each target is a hypothesis test that atheris drives by `fuzz_one_input`, so that coverage guides it as well.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

NUMBERS = [
    "0",
    "1",
    "-1",
    "16",
    "65535",
    "65536",
    "4294967295",
    "1e308",
    "-1e309",
    "nan",
    "inf",
    "1.5",
    "",
    " ",
    "x",
    "1\\2",
]
"""What a number of a header may say."""

TEXTS = [
    "CT",
    "MR",
    "ISO_IR 192",
    "\\ISO 2022 IR 87",
    "MONOCHROME1",
    "PALETTE COLOR",
    "LOCALIZER",
    "MOSAIC",
    "\x1b[31m",
    "\n",
    "../../x",
]

ELEMENTS = {
    0x00080005: "CS", 0x00080008: "CS", 0x00080016: "UI", 0x00080018: "UI", 0x00080060: "CS", 0x0008103E: "LO",
    0x00180050: "DS", 0x00180088: "DS", 0x00181120: "DS", 0x00189004: "CS", 0x0020000D: "UI", 0x0020000E: "UI",
    0x00200011: "IS", 0x00200013: "IS", 0x00200032: "DS", 0x00200037: "DS", 0x00201041: "DS", 0x00280002: "US",
    0x00280004: "CS", 0x00280008: "IS", 0x00280010: "US", 0x00280011: "US", 0x00280030: "DS", 0x00280100: "US",
    0x00280101: "US", 0x00280102: "US", 0x00280103: "US", 0x00280120: "US", 0x00280121: "US", 0x00281050: "DS",
    0x00281052: "DS", 0x00281053: "DS", 0x00281054: "LO", 0x00283000: "SQ", 0x00283002: "US", 0x00283006: "OW",
    0x52009229: "SQ", 0x52009230: "SQ", 0x00289110: "SQ", 0x00289145: "SQ", 0x00209113: "SQ", 0x00209116: "SQ",
    0x7FE00010: "OW", 0xFFFAFFFA: "SQ", 0x00041220: "SQ", 0x00041500: "CS",
}  # fmt: skip
"""Elements that reading looks at, with their value representations."""

BASE = {
    0x00080016: b"1.2.840.10008.5.1.4.1.1.2", 0x00080018: b"1.2.3.1\0", 0x00080060: b"CT", 0x0020000E: b"1.2\0",
    0x00280002: b"\1\0", 0x00280004: b"MONOCHROME2 ", 0x00280010: b"\x10\0", 0x00280011: b"\x10\0",
    0x00280100: b"\x10\0", 0x00280101: b"\x0c\0", 0x00280102: b"\x0b\0", 0x00280103: b"\0\0", 0x00281052: b"-1024 ",
    0x00281053: b"1 ", 0x7FE00010: bytes(512),
}  # fmt: skip
"""A CT image of 16 x 16 pixels."""

LONG = {"OW", "SQ", "UN", "UT", "OB"}

_values = st.one_of(
    st.sampled_from(NUMBERS).map(str.encode),
    st.sampled_from(TEXTS).map(str.encode),
    st.binary(max_size=32),
    st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=8).map(lambda parts: "\\".join(parts).encode()),
    st.integers(0, 65535).map(lambda number: struct.pack("<H", number)),
)
_elements = st.recursive(
    st.dictionaries(st.sampled_from(sorted(ELEMENTS)), _values, max_size=8),
    lambda inner: st.dictionaries(
        st.sampled_from(sorted(ELEMENTS)), st.one_of(_values, st.lists(inner, max_size=4)), max_size=8
    ),
    max_leaves=12,
)


def encode(elements: dict[int, Any], lie: int) -> bytes:
    """Write elements in Explicit VR Little Endian; ``lie`` is added to every length that is the lie's own number."""
    parts = []
    for number, (tag, value) in enumerate(sorted(elements.items())):
        kind = ELEMENTS[tag]
        if isinstance(value, list):
            kind, content = "SQ", b"".join(_item(inner) for inner in value)
        else:
            content = value + b" " * (len(value) % 2)
        length = max(0, len(content) + (lie if number == abs(lie) % 7 else 0))
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + kind.encode()
        sized = struct.pack("<HI", 0, length) if kind in LONG else struct.pack("<H", length & 0xFFFF)
        parts.append(head + sized + content)
    return b"".join(parts)


def _item(elements: dict[int, Any]) -> bytes:
    content = encode(elements, 0)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def dicom_values(run: Callable[[bytes], None]) -> Callable[[bytes], object]:
    """Make a target of a function that takes a DICOM file: right images with odd values, sequences and lengths."""
    head = bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, 28)
    head += struct.pack("<HH2sH", 2, 0x10, b"UI", 20) + b"1.2.840.10008.1.2.1\0"

    @_quiet
    @given(_elements, st.sampled_from([0, 0, 0, 1, -2, 8, 2**31]), st.sets(st.sampled_from(sorted(BASE)), max_size=2))
    def target(elements: dict[int, Any], lie: int, without: set[int]) -> None:
        base = {tag: value for tag, value in BASE.items() if tag not in without}
        run(head + encode({**base, **elements}, lie))

    return target.hypothesis.fuzz_one_input  # type: ignore[attr-defined, no-any-return]


_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["../x", "\n", 10**400, 1e308]),
)
_json = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def document(whole: Any, run: Callable[[bytes], None]) -> Callable[[bytes], object]:
    """Make a target of a function that takes a JSON document: a whole one with a few of its values replaced."""
    places = list(_places(whole, ()))

    @_quiet
    @given(st.dictionaries(st.sampled_from(places), _json, min_size=1, max_size=3), st.integers(0, 40))
    def target(changes: dict[tuple[Any, ...], Any], nested: int) -> None:
        made = json.loads(json.dumps(whole))
        for place, value in changes.items():
            made = _changed(made, place, value)
        text = json.dumps(made)
        if nested == 40:
            text = text.replace(": ", ": " + "[" * 5000, 1)
        run(text.encode("utf-8", "surrogatepass"))

    return target.hypothesis.fuzz_one_input  # type: ignore[attr-defined, no-any-return]


def _places(value: Any, here: tuple[Any, ...]) -> Any:
    yield here
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        if not isinstance(key, int) or key < 3:
            yield from _places(one, (*here, key))


def _changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    try:
        value[place[0]] = _changed(value[place[0]], place[1:], new)
    except (KeyError, IndexError, TypeError):  # an earlier change took it away
        return value
    return value


def _quiet(test: Any) -> Any:
    return settings(database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))(
        test
    )
