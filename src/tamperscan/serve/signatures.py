"""Verifies the digital signatures that DICOM files carry (PS3.15 section 7 and annex C, PS3.3 C.12.1.1.3).

A valid signature says that the signed elements are those that the owner of the key signed. Who that is stands in the
certificate, which is told as it is: nobody has checked here who issued it.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from tamperscan.errors import ScanError, ServeError, TamperscanError
from tamperscan.scan.attributes import Attributes
from tamperscan.scan.dicom import read_dataset
from tamperscan.scan.places import Place
from tamperscan.scan.sources import FileSource, Source
from tamperscan.scan.stored import complete_file_meta
from tamperscan.serve.audit import SIGNATURE, Fact
from tamperscan.serve.certificates import (
    DIGEST_INFO,
    WEAK,
    Signer,
    UnsupportedKeyError,
    fits,
    is_consistent,
    read_certificate,
    signer_of,
)
from tamperscan.serve.signed_bytes import (
    PIXEL_DATA,
    MissingError,
    NotReproducibleError,
    copied,
    signed_bytes,
    value_representation,
)

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_SIGNATURES_GROUP: Final = 0xFFFA

DEEPEST: Final = 16
"""Sequences within sequences are searched so deep."""


class State(StrEnum):
    """What came of verifying a signature."""

    VALID = "valid"
    ALTERED = "altered"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Signature:
    """One digital signature and what came of verifying it.

    Attributes
    ----------
    place
        Where in the file: empty for the data set itself, else the sequences and items that lead there.
    uid, signed_at, algorithm
        DigitalSignatureUID, DigitalSignatureDateTime and MACAlgorithm, as the file states them.
    state
        ``valid``, ``altered`` (the signed elements are not those that were signed) or ``unsupported`` (can't be told).
    reason
        Why it is not valid, in one line; of a valid one what limits it, if anything.
    elements
        How many elements it covers.
    covers_pixels
        Whether the pixels are among them.
    signer
        The certificate's facts; None where it can't be read.
    """

    place: str
    uid: str
    signed_at: str
    algorithm: str
    state: State
    reason: str
    elements: int
    covers_pixels: bool
    signer: Signer | None


def verify_signatures(file: str | Path | Source) -> list[Signature]:
    """Verify every digital signature in a DICOM file.

    Parameters
    ----------
    file
        The file, or where its bytes are.

    Returns
    -------
    list of Signature
        In the order in which they stand; empty where there is none.

    Raises
    ------
    ScanError
        If the file can't be read.
    ServeError
        If it has signatures, and the package to verify them with is not installed.
    """
    source = FileSource(Path(file)) if isinstance(file, str | Path) else file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = read_dataset(source, pixels=True)
        if "SOPInstanceUID" not in dataset:
            raise ScanError(source.label, "is not a DICOM file", "Give DICOM files, or a folder or zip of them")
        complete_file_meta(dataset)
        try:
            return [_verify(level, item, place) for level, item, place in _signatures(dataset, "", 0)]
        except (ScanError, ServeError):
            raise
        except Exception as error:  # pydicom raises whatever a malformed value provokes
            problem = f"has a signature that can't be understood ({type(error).__name__})"
            raise ScanError(source.label, problem, "Copy or export the file again") from error


def signature_from(facts: Mapping[str, Any]) -> Signature:
    """Put a signature together again whose fields came as values of JSON."""
    signer = None if facts["signer"] is None else Signer(**facts["signer"])
    return Signature(**{**facts, "state": State(facts["state"]), "signer": signer})


def signature_lines(path: Path, names: Mapping[str, Fact]) -> list[tuple[str, dict[str, Fact]]]:
    """Verify the signatures in a received file, and give what the audit log keeps of each.

    Parameters
    ----------
    path
        The file.
    names
        Facts of which study, series, instance and receipt are taken over.

    Returns
    -------
    list of (str, dict)
        Event and facts, for `tamperscan.serve.audit.AuditLog.append_all`.
    """
    known = {name: names.get(name) for name in ("study", "series", "instance", "receipt")}
    from tamperscan.serve.looking import signatures_in  # which needs this module

    try:
        found = signatures_in(Place(str(path)))
    except TamperscanError as error:
        reason = error.problem if isinstance(error, ScanError) else str(error)
        return [(SIGNATURE, known | {"state": State.UNSUPPORTED.value, "reason": reason})]
    return [(SIGNATURE, known | _facts(one)) for one in found]


def _facts(one: Signature) -> dict[str, Fact]:
    return {
        "state": one.state.value,
        "reason": one.reason or None,
        "algorithm": one.algorithm,
        "covers_pixels": one.covers_pixels,
        "certificate_sha256": None if one.signer is None else one.signer.sha256,
    }


def _signatures(level: Dataset, place: str, depth: int) -> Iterator[tuple[Dataset, Dataset, str]]:
    """Find signature items, each with the data set or item that it signs, in a data set and in its sequences."""
    if depth > DEEPEST:
        return
    looked_at = copied(level)
    for item in looked_at.get("DigitalSignaturesSequence") or ():
        yield level, item, place
    for tag in sorted(level.keys()):
        if tag.group < _SIGNATURES_GROUP and value_representation(level, tag) == "SQ":
            for number, item in enumerate(looked_at[tag].value or (), start=1):
                yield from _signatures(item, f"{place}{keyword_for_tag(tag) or tag}[{number}].", depth + 1)


def _verify(level: Dataset, item: Dataset, place: str) -> Signature:
    # Values are read from copies: looking at one would lose the bytes that were signed.
    facts = Attributes(copied(item))
    parameters = _parameters(level, facts)
    algorithm = parameters.text("MACAlgorithm").upper()
    tags = _tags(parameters.value("DataElementsSigned"))
    certificate = read_certificate(facts.value("CertificateOfSigner"))
    state, reason = _judge(level, item, parameters, tags, certificate)
    return Signature(
        place=place.rstrip("."),
        uid=facts.text("DigitalSignatureUID"),
        signed_at=facts.text("DigitalSignatureDateTime"),
        algorithm=algorithm,
        state=state,
        reason=reason,
        elements=len(tags),
        covers_pixels=PIXEL_DATA in tags,
        signer=None if certificate is None else signer_of(certificate),
    )


def _parameters(level: Dataset, facts: Attributes) -> Attributes:
    """Find the MAC parameters that a signature names."""
    wanted = facts.number("MACIDNumber")
    found = (Attributes(one) for one in copied(level).get("MACParametersSequence") or ())
    return next((one for one in found if one.number("MACIDNumber") == wanted), Attributes(Dataset()))


def _tags(value: Any) -> list[BaseTag]:
    if value is None:
        return []
    return [Tag(one) for one in (value if isinstance(value, Iterable) else [value])]


def _judge(
    level: Dataset, item: Dataset, parameters: Attributes, tags: list[BaseTag], certificate: Certificate | None
) -> tuple[State, str]:
    algorithm = parameters.text("MACAlgorithm").upper()
    if algorithm not in DIGEST_INFO:
        return State.UNSUPPORTED, f"its MAC algorithm is {algorithm or 'not stated'}"
    if certificate is None:
        return State.UNSUPPORTED, "its certificate can't be read"
    if not is_consistent(certificate):
        return State.UNSUPPORTED, "its certificate says that it signed itself, and its own signature does not fit"
    if not tags:
        return State.UNSUPPORTED, "it does not state which elements it covers"
    signature = bytes(Attributes(copied(item)).value("Signature") or b"")
    syntax = UID(parameters.text("MACCalculationTransferSyntaxUID"))
    try:
        for offsets in (True, False)[: 1 + (PIXEL_DATA in tags and syntax.is_encapsulated)]:
            digest = hashlib.new(DIGEST_INFO[algorithm][0], usedforsecurity=False)
            for part in signed_bytes(level, tags, item, syntax, offsets=offsets):
                digest.update(part)
            if fits(certificate, signature, algorithm, digest.digest()):
                return State.VALID, f"{algorithm} is too weak today to prove much" if algorithm in WEAK else ""
    except MissingError as error:
        return State.ALTERED, str(error)
    except (NotReproducibleError, UnsupportedKeyError) as error:
        return State.UNSUPPORTED, str(error)
    except ValueError:
        return State.UNSUPPORTED, f"its transfer syntax is not known, or this machine's OpenSSL offers no {algorithm}"
    return State.ALTERED, "what was signed is not what the file holds now"
