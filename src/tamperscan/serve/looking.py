"""What the services want to know of files that strangers sent, found out in a reader's process.

The functions without ``_here`` ask; those with it answer there, in values that fit into JSON.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, Final

from tamperscan.errors import ScanError
from tamperscan.scan import isolated
from tamperscan.scan.limits import Limits
from tamperscan.scan.places import Place, Report

LIMITS: Final = Limits(memory=6 * 2**30, inflated=2**30)
"""What one file of a study may take: far less than a whole volume. A gigabyte is the largest image there is."""

_HERE: Final = __name__


@dataclass(frozen=True)
class CopyFacts:
    """What tells whether a copy of an instance is what arrived.

    Attributes
    ----------
    study, series, instance, modality
        As its header says.
    stored_sha256
        Digest of its pixel data as stored; None where it has none.
    syntax
        Name of its transfer syntax.
    lossy
        What its header says of lossy compression; empty where nothing.
    """

    study: str
    series: str
    instance: str
    modality: str
    stored_sha256: str | None
    syntax: str
    lossy: str


@dataclass(frozen=True)
class Received:
    """What the header of a received instance says, as texts of any content, and digests of its pixels.

    Attributes
    ----------
    study, series, instance
        UIDs, or what stands in their place.
    modality, body_part, description, manufacturer, patient_name, patient_id
        As the header says.
    thickness
        SliceThickness in mm; None if unknown.
    stored_sha256, meaning
        `tamperscan.serve.pixel_digest.stored_digest`, empty where there are no pixels, and ``meaning_digest``.
    forged, signed
        Whether it says that tamperscan forged it, and whether it has digital signatures.
    """

    study: str
    series: str
    instance: str
    modality: str
    body_part: str
    description: str
    manufacturer: str
    patient_name: str
    patient_id: str
    thickness: float | None
    stored_sha256: str
    meaning: str
    forged: bool
    signed: bool


def received(path: Path) -> Received:
    """Look into a received file; raises ScanError."""
    return Received(**_ask("received_here", Place(str(path))))


def received_here(place: list[str]) -> dict[str, Any]:
    """Answer `received`."""
    from tamperscan.plain_text import in_words
    from tamperscan.scan.attributes import Attributes
    from tamperscan.scan.forged import is_forged
    from tamperscan.serve.pixel_digest import meaning_digest, stored_digest

    with _dataset(place) as dataset:
        facts = Attributes(dataset)
        return asdict(
            Received(
                study=facts.text("StudyInstanceUID"),
                series=facts.text("SeriesInstanceUID"),
                instance=facts.text("SOPInstanceUID"),
                modality=facts.text("Modality"),
                body_part=facts.text("BodyPartExamined"),
                description=facts.text("SeriesDescription"),
                manufacturer=facts.text("Manufacturer"),
                patient_name=in_words(str(facts.value("PatientName") or "")),
                patient_id=facts.text("PatientID"),
                thickness=facts.number("SliceThickness"),
                stored_sha256=stored_digest(dataset) or "",
                meaning=meaning_digest(dataset),
                forged=is_forged(dataset),
                signed="DigitalSignaturesSequence" in dataset,
            )
        )


def files_under(path: Path, report: Report) -> list[Place]:
    """List the files that may be DICOM under a path: a file, a folder, a zip or a DICOMDIR; raises ScanError."""
    places, errors = isolated.call(_HERE, "files_under_here", str(path), label=str(path))
    for error in errors:
        report(ScanError(*error))
    return [Place(*place) for place in places]


def files_under_here(path: str) -> tuple[list[tuple[str, ...]], list[tuple[str, str, str]]]:
    """Answer `files_under`."""
    from tamperscan.scan.collect import collect
    from tamperscan.scan.places import place_of

    errors: list[ScanError] = []
    with ExitStack() as opened:
        places = [astuple(place_of(source)) for source in collect(Path(path), opened, errors.append)]
    return places, [(error.path, error.problem, error.advice) for error in errors]


def copy_facts(place: Place) -> CopyFacts:
    """Look at a copy of an instance; raises ScanError."""
    return CopyFacts(**_ask("copy_facts_here", place))


def copy_facts_here(place: list[str]) -> dict[str, Any]:
    """Answer `copy_facts`."""
    from pydicom.uid import UID

    from tamperscan.scan.attributes import Attributes
    from tamperscan.scan.stored import complete_file_meta, file_notes
    from tamperscan.scan.volume import LOSSY
    from tamperscan.serve.pixel_digest import stored_digest

    with _dataset(place) as dataset:
        facts = Attributes(dataset)
        study, series, instance = (facts.text(f"{level}InstanceUID") for level in ("Study", "Series", "SOP"))
        digest = stored_digest(dataset)
        complete_file_meta(dataset)
        lossy = next((note for note in file_notes(dataset) if note.startswith(LOSSY)), "")
        syntax = UID(dataset.file_meta.TransferSyntaxUID).name[:80]
        return asdict(CopyFacts(study, series, instance, facts.text("Modality"), digest, syntax, lossy))


def uids_of(path: Path) -> dict[str, str]:
    """Read the study, series and SOP instance UID of a file, by keyword; raises ScanError."""
    found: dict[str, str] = _ask("uids_of_here", Place(str(path)))
    return found


def uids_of_here(place: list[str]) -> dict[str, str]:
    """Answer `uids_of`."""
    import pydicom

    wanted = [f"{level}InstanceUID" for level in ("Study", "Series", "SOP")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = pydicom.dcmread(place[0], stop_before_pixels=True, specific_tags=list(wanted))
        return {keyword: str(header.get(keyword, "")) for keyword in wanted}


def copy_digest(place: Place) -> str | None:
    """Take the digest of the decoded pixels of a copy; raises ScanError."""
    found: str | None = _ask("copy_digest_here", place)
    return found


def copy_digest_here(place: list[str]) -> str | None:
    """Answer `copy_digest`."""
    from tamperscan.serve.pixel_digest import decoded_digest

    with _dataset(place) as dataset:
        return decoded_digest(dataset)


def signatures_in(place: Place) -> list[Any]:
    """Verify the signatures in a file, as `tamperscan.serve.signatures.verify_signatures` does; raises ScanError."""
    from tamperscan.serve.signatures import signature_from

    return [signature_from(one) for one in _ask("signatures_in_here", place)]


def signatures_in_here(place: list[str]) -> list[dict[str, Any]]:
    """Answer `signatures_in`."""
    from tamperscan.serve.signatures import verify_signatures

    with ExitStack() as opened:
        return [asdict(one) for one in verify_signatures(Place(*place).source(opened))]


def _ask(function: str, place: Place) -> Any:
    return isolated.call(_HERE, function, astuple(place), label=place.label, limits=LIMITS)


@contextmanager
def _dataset(place: list[str]) -> Iterator[Any]:
    """Read one file, in a reader's process; its zip is open while the data set is looked at."""
    from tamperscan.scan.dicom import read_dataset

    with ExitStack() as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield read_dataset(Place(*place).source(opened), pixels=True)
