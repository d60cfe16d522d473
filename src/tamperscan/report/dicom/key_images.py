"""Key images as Secondary Capture (PS3.3 A.8.1): pictures of the findings, with what they are not for burnt in."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tamperscan.report.dicom.common import NOT_FOR_DIAGNOSIS, Job, quietly, write
from tamperscan.report.dicom.references import image_reference
from tamperscan.report.dicom.uids import Kind
from tamperscan.report.schema import ScreeningDocument
from tamperscan.report.wording import headline, p_in_words, size_in_words
from tamperscan.report.write import SLICES

MOST: Final = 5
_SAID: Final = f"{NOT_FOR_DIAGNOSIS}. Research software, not a medical device. tamperscan"
_WIDTH: Final = 1500
_BAND: Final = 74
_LINE: Final = 40
_INK: Final = (255, 255, 255)
_PAPER: Final = (0, 0, 0)
_WARNING: Final = (230, 159, 0)
_MARGIN: Final = 18


def write_key_images(job: Job, document: ScreeningDocument, drawn: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write a picture of each of the first findings; of the verdict, where there are none.

    Raises
    ------
    OutputError
        Where a file can't be written.
    """
    paths = []
    for number, (slice_, pixels) in enumerate(_pictures(job, document, drawn), start=1):
        made = _capture(job, pixels, number)
        indices = range(len(job.sources.slices)) if slice_ is None else range(slice_, slice_ + 1)
        made.SourceImageSequence = [image_reference(job, index) for index in _one_an_image(job, indices)]
        paths.append(write(made, job, f"key_image_{number:02}.dcm"))
    return tuple(paths)


def _one_an_image(job: Job, indices: Sequence[int]) -> list[int]:
    """Choose one slice for each image: of a multi-frame image the first."""
    first: dict[str, int] = {}
    for index in indices:
        first.setdefault(str(job.sources.slices[index].header.SOPInstanceUID), index)
    return list(first.values())


def _pictures(
    job: Job, document: ScreeningDocument, drawn: Mapping[str, bytes]
) -> Iterator[tuple[int | None, NDArray[np.uint8]]]:
    words = headline(document)
    for number, finding in enumerate(job.screening.findings[:MOST], start=1):
        slice_, row, column = finding.centre
        said = (
            f"{words.word}. Place {number} of {len(job.screening.findings)}: slice {slice_}, row {row}, "
            f"column {column}; {size_in_words(finding.size_mm)}; {finding.sign}; p {p_in_words(finding.p_value)}"
        )
        yield slice_, _banded(drawn.get(f"finding_{number:02}.png"), said)
    if not job.screening.findings:
        yield None, _banded(drawn.get(SLICES), f"{words.word}. {words.sentence}", document.reasons)


def _banded(png: bytes | None, said: str, reasons: Sequence[str] = ()) -> NDArray[np.uint8]:
    """Put a picture, or reasons where there is none, between what it shows and what it is not for.

    Returns
    -------
    uint8 ``[row, column, colour]``
    """
    picture = Image.open(io.BytesIO(png)).convert("RGB") if png else _page_of(reasons)
    page = Image.new("RGB", (max(_WIDTH, picture.width), picture.height + 2 * _BAND), _PAPER)
    page.paste(picture, ((page.width - picture.width) // 2, _BAND))
    draw = ImageDraw.Draw(page)
    _write(draw, (_MARGIN, _MARGIN), said, 26, _INK, page.width)
    _write(draw, (_MARGIN, _BAND + picture.height + _MARGIN), _SAID, 30, _WARNING, page.width)
    return np.asarray(page)


def _page_of(lines: Sequence[str]) -> Image.Image:
    page = Image.new("RGB", (_WIDTH, _LINE * max(1, len(lines))), _PAPER)
    for number, line in enumerate(lines):
        _write(ImageDraw.Draw(page), (_MARGIN, number * _LINE), line, 22, _INK, _WIDTH)
    return page


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, colour: tuple[int, int, int], width: int
) -> None:
    """Write one line, smaller where it would not fit."""
    font = ImageFont.load_default(size)
    while size > 12 and draw.textlength(text, font) > width - 2 * _MARGIN:
        size -= 1
        font = ImageFont.load_default(size)
    draw.text(place, text, fill=colour, font=font)


def _capture(job: Job, pixels: NDArray[np.uint8], number: int) -> hd.sc.SCImage:
    first = job.sources.first
    with quietly():
        made = hd.sc.SCImage(
            pixel_array=pixels,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            study_instance_uid=first.StudyInstanceUID,
            patient_orientation=("L", "P"),  # highdicom wants one
            **job.instance(Kind.KEY_IMAGES, number),
        )
    made.Modality = "OT"
    made.PatientOrientation = []  # of a page with several pictures there is none
    # The text says nothing of the patient or the date, which is what this attribute asks (PS3.3 C.7.6.1.1.2).
    made.BurnedInAnnotation = "NO"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.ContentQualification = "RESEARCH"
    made.ImageComments = _SAID
    return made
