"""The bytes that a DICOM digital signature is made over (PS3.3 C.12.1.1.3.1).

Signed elements are written one after the other in the order of their tags: tag, VR, length, value, as in explicit VR.
Sequences and compressed pixels are written without lengths and without item delimiters. The values are taken as the
file holds them: a value that was read and written again might differ in a blank.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from tamperscan.scan.codecs import stored_values

PIXEL_DATA: Final = Tag(0x7FE0, 0x0010)
_DIGITAL_SIGNATURES_GROUP: Final = 0xFFFA
_NEVER_SIGNED: Final = frozenset({Tag(0x0008, 0x0001), Tag(0x4FFE, 0x0001), Tag(0xFFFC, 0xFFFC)})
_NOT_IN_SIGNATURE: Final = frozenset(Tag(0x0400, element) for element in (0x0115, 0x0120, 0x0305, 0x0310))
"""CertificateOfSigner, Signature, CertifiedTimestampType and CertifiedTimestamp (PS3.3 C.12.1.1.3.1.2)."""

_CHARACTER_SET: Final = Tag(0x0008, 0x0005)
_PIXEL_REPRESENTATION: Final = Tag(0x0028, 0x0103)

_ITEM: Final = struct.pack("<HH", 0xFFFE, 0xE000)
_SEQUENCE_END: Final = struct.pack("<HH", 0xFFFE, 0xE0DD)


class NotReproducibleError(Exception):
    """The bytes that were signed can't be had from this file; says why."""


class MissingError(Exception):
    """A signed element is no longer there; says which."""


def signed_bytes(
    level: Dataset, tags: Iterable[BaseTag], signature: Dataset, syntax: UID, *, offsets: bool = True
) -> Iterator[bytes]:
    """Give the bytes of signed elements and of the signature's own.

    Parameters
    ----------
    level
        The data set, or the item of a sequence, that was signed; as read, no value looked at yet.
    tags
        Its signed elements (DataElementsSigned).
    signature
        The item of the DigitalSignaturesSequence.
    syntax
        Transfer syntax that the signer wrote the elements in (MACCalculationTransferSyntaxUID).
    offsets
        Whether to take the basic offset table of compressed pixels as it is, or as empty: whoever writes a file again
        may make it anew.

    Raises
    ------
    MissingError
        If a signed element is not there.
    NotReproducibleError
        If the file holds an element in a form that the signed bytes can't be made from.
    """
    if syntax in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian) or syntax.is_implicit_VR:
        raise NotReproducibleError(f"it was made over bytes in {syntax.name}")
    for tag in tags:
        if tag not in level:
            raise MissingError(f"the signed element {tag} is missing")
        if tag == PIXEL_DATA:
            yield from _pixels(level, syntax, offsets)
        else:
            yield from _element(level, tag)
    for tag in sorted(signature.keys()):
        if _may_be_signed(tag) and tag not in _NOT_IN_SIGNATURE:
            yield from _element(signature, tag)


def copied(level: Dataset) -> Dataset:
    """Copy a data set to look at its values: pydicom replaces the bytes of what is looked at by its value."""
    copy = Dataset()
    for tag in level.keys():  # noqa: SIM118 (iterating a data set converts every value)
        element = level.get_item(tag)
        if element is not None:
            copy[tag] = element
    if hasattr(level, "file_meta"):
        copy.file_meta = level.file_meta
    return copy


def _may_be_signed(tag: BaseTag) -> bool:
    numbered = tag.element != 0 and tag.group >= 0x0008 and tag.group != _DIGITAL_SIGNATURES_GROUP
    return numbered and tag not in _NEVER_SIGNED


def _element(level: Dataset, tag: BaseTag) -> Iterator[bytes]:
    vr = value_representation(level, tag)
    if vr == "UN":
        raise NotReproducibleError(f"the element {tag} is stored without its value representation")
    if vr == "SQ":
        yield struct.pack("<HH2sH", tag.group, tag.element, b"SQ", 0)
        for item in copied(level)[tag].value:
            yield _ITEM
            yield from _item(item)
        yield _SEQUENCE_END
    else:
        yield _plain(tag, vr, _raw(level.get_item(tag)))


def _item(item: Dataset) -> Iterator[bytes]:
    for tag in sorted(item.keys()):
        if _may_be_signed(tag) and not _holds_unknown(item, tag):
            yield from _element(item, tag)


def _holds_unknown(item: Dataset, tag: BaseTag) -> bool:
    """Whether an element is of VR UN, or a sequence with one; such are left out of what is signed."""
    vr = value_representation(item, tag)
    if vr != "SQ":
        return vr == "UN"
    inner: Sequence = copied(item)[tag].value
    return any(_holds_unknown(one, own) for one in inner for own in one.keys())  # noqa: SIM118


def _plain(tag: BaseTag, vr: str, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB") else b" "
    if vr in EXPLICIT_VR_LENGTH_32:
        return struct.pack("<HH2sHL", tag.group, tag.element, vr.encode(), 0, len(value)) + value
    return struct.pack("<HH2sH", tag.group, tag.element, vr.encode(), len(value)) + value


def _raw(element: DataElement | RawDataElement | None) -> bytes:
    """Give a value's own bytes, which only an element that was not looked at still has."""
    if not isinstance(element, RawDataElement):
        return _as_read_by_pydicom(element)
    if not element.is_little_endian:
        raise NotReproducibleError("the file is in big-endian order")
    return element.value or b""


def _as_read_by_pydicom(element: DataElement | None) -> bytes:
    """Make the bytes again of SpecificCharacterSet and PixelRepresentation, which pydicom looks at while it reads."""
    if element is not None and element.tag == _PIXEL_REPRESENTATION:
        return struct.pack("<H", int(element.value))
    if element is not None and element.tag == _CHARACTER_SET:
        return "\\".join([element.value] if isinstance(element.value, str) else element.value or []).encode()
    raise NotReproducibleError("an element's own bytes are no longer at hand")


def value_representation(level: Dataset, tag: BaseTag) -> str:
    """Tell an element's VR, by the dictionary where the file states none; ``"UN"`` where that does not know it."""
    element = level.get_item(tag)
    stated = getattr(element, "VR", None)  # None in a file of implicit VR
    if stated is not None:
        return str(stated)
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "UN"
    if "US or SS" in vr:  # the dictionary leaves it to PixelRepresentation (PS3.5 section 6.2)
        return "SS" if copied(level).get("PixelRepresentation") == 1 else "US"
    return "OW" if " or " in vr else vr


def _pixels(level: Dataset, syntax: UID, offsets: bool) -> Iterator[bytes]:
    """Write the pixels as the signer did: compressed as they are, or decoded where he had them so."""
    stored = UID(level.file_meta.TransferSyntaxUID) if hasattr(level, "file_meta") else syntax
    looked_at = copied(level)
    if syntax.is_encapsulated:
        if stored != syntax:
            raise NotReproducibleError(f"it was made over pixels in {syntax.name}, which are now in {stored.name}")
        yield from _fragments(looked_at, offsets)
    elif stored.is_encapsulated:
        native = b"".join(_decoded(looked_at))
        yield _plain(PIXEL_DATA, "OW" if looked_at.BitsAllocated > 8 else "OB", native)
    else:
        yield from _element(level, PIXEL_DATA)


def _fragments(level: Dataset, offsets: bool) -> Iterator[bytes]:
    yield struct.pack("<HH2sH", PIXEL_DATA.group, PIXEL_DATA.element, b"OB", 0)
    value: bytes = level.PixelData
    for number, found in enumerate(generate_fragments(value)):
        fragment = found if number or offsets else b""  # the offset table comes first
        yield _ITEM
        yield fragment
    yield _SEQUENCE_END


def _decoded(level: Dataset) -> Iterator[bytes]:
    if int(level.get("SamplesPerPixel", 1)) != 1:
        raise NotReproducibleError("it was made over uncompressed pixels in colour, which are now compressed")
    try:
        planes: Iterator[Any] = stored_values(level, range(int(level.get("NumberOfFrames") or 1)))
        for plane in planes:
            yield np.ascontiguousarray(plane, plane.dtype.newbyteorder("<")).tobytes()
    except Exception as error:  # the decoders raise whatever damaged data provokes
        raise NotReproducibleError("its pixels can't be decoded") from error
