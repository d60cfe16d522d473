"""What is fuzzed: each target is a function of bytes that ends quietly, whatever the bytes are."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from fuzz.documents import (
    anchors,
    audit_log,
    card,
    combination,
    forge_card,
    forgery,
    head_facts,
    marks,
    rules,
    screening,
)
from fuzz.held import PLACE, HeldSource
from fuzz.oracle import Defect, check_error, check_scan

MOST_FRAMES = 64
"""A header may claim more; a target has better things to do than to look at each."""


def dicom(content: bytes) -> None:
    """Read DICOM headers, and pixels that are not compressed."""
    _read_dicom(content, compressed=False)


def frames(content: bytes) -> None:
    """Read DICOM files with compressed pixels, which the decoders' processes take apart."""
    _read_dicom(content, compressed=True)


def _read_dicom(content: bytes, *, compressed: bool) -> None:
    from tamperscan.errors import ScanError
    from tamperscan.scan.assemble import build_scan, frame_digest
    from tamperscan.scan.dicom import read_frames
    from tamperscan.scan.series import plan_volumes

    try:
        found = read_frames(HeldSource(content, "input.dcm"))[:MOST_FRAMES]
        if not compressed and b"1.2.840.10008.1.2.4." in content[:1024]:
            return
        for volume in plan_volumes(found, frame_digest, check_error):
            check_scan(build_scan(volume, "input", check_error))
    except MemoryError:
        return
    except ScanError as error:
        check_error(error)


def nifti(content: bytes) -> None:
    """Read NIfTI-1 and NIfTI-2; half are packed first, or no mutation would get past the checksum."""
    from tamperscan.errors import ScanError
    from tamperscan.scan.nifti import read_nifti

    packed = bool(content) and content[-1] % 2 == 1
    held = HeldSource(gzip.compress(content, 1), "input.nii.gz") if packed else HeldSource(content, "input.nii")
    try:
        check_scan(read_nifti(held, "input"))
    except MemoryError:
        return
    except ScanError as error:
        check_error(error)


def numpy(content: bytes) -> None:
    """Read NumPy files."""
    from tamperscan.errors import ScanError
    from tamperscan.scan.numpy_file import read_numpy

    try:
        check_scan(read_numpy(HeldSource(content, "input.npy"), "input"))
    except MemoryError:
        return
    except ScanError as error:
        check_error(error)


def zip_archive(content: bytes) -> None:
    """Read zip archives and what lies in them."""
    _read_path("input.zip", content)


def zip_names(content: bytes) -> None:
    """Read zip archives that are whole, with members of any name."""
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name in content.decode("utf-8", "replace").split("\n")[:20]:
            archive.writestr(zipfile.ZipInfo(name or "x"), b"no scan")
    _read_path("input.zip", stored.getvalue())


def dicomdir(content: bytes) -> None:
    """Read DICOMDIR files."""
    _read_path("DICOMDIR", content)


def any_file(content: bytes) -> None:
    """Read files of no known ending."""
    _read_path("input", content)


def _read_path(name: str, content: bytes) -> None:
    from tamperscan.errors import ScanError
    from tamperscan.scan.planning import plan_here

    path = PLACE / name
    path.write_bytes(content)
    try:
        with plan_here(path, check_error) as plan:
            for number, _ in enumerate(plan.found):
                scan = plan.build(number, "input")
                if scan is not None:
                    check_scan(scan)
    except ScanError as error:
        check_error(error)


def form(content: bytes) -> None:
    """Take the body of an upload apart."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    from tamperscan.serve.web.form_files import FormFiles, Received, UploadError

    received = Received(Path(tempfile.mkdtemp(dir=PLACE)))
    received.source.mkdir()
    files = FormFiles(received)
    try:
        parser = MultipartParser(b"b", files.callbacks())
        parser.write(content)
        parser.finalize()
    except (UploadError, FormParserError):
        pass
    finally:
        files.close()
        names = [path.name for path in received.source.iterdir()]
        received.discard()
    if any(not name[:6].isdigit() for name in names):
        raise Defect(f"a file is called {names}")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "dicom": dicom,
    "frames": frames,
    "dicomdir": dicomdir,
    "nifti": nifti,
    "numpy": numpy,
    "zip": zip_archive,
    "zip-names": zip_names,
    "any-file": any_file,
    "rules": rules,
    "card": card,
    "forge-card": forge_card,
    "forgery": forgery,
    "marks": marks,
    "anchors": anchors,
    "audit-log": audit_log,
    "screening": screening,
    "form": form,
    "combination": combination,
    "head-facts": head_facts,
}
"""Targets that take bytes as they come."""

_FORGERY = {
    **{
        "forged": True,
        "name": "x",
        "method": "x",
        "action": "inject",
        "seed": 1,
        "slice_range": [0, 3],
        "tamperscan": "1",
    },
    "place": {"slice": 1, "row": 2, "column": 3, "diameter_mm": 4.0},
}
_MARKS = [{"reader": "1", "slices": [1, 2], "y": 1.0, "x": 2.0, "bbox_w": 3.0, "malignancy": 3}]
_AUDIT = {"number": 1, "time": "2025-01-01T00:00:00Z", "event": "received", "previous": "0" * 64, "study": "1.2"}


def structured() -> dict[str, Callable[[bytes], object]]:
    """Make the targets that hypothesis turns bytes into documents and images for."""
    from fuzz.structured import dicom_values, document

    weights = Path("src/tamperscan/data/weights/ct")
    parsed = {
        name: json.loads((weights / name).read_bytes()) for name in ("card.json", "self-forged.json", "combined.json")
    }
    return {
        "dicom-values": dicom_values(dicom),
        "card-values": document(parsed["card.json"], card),
        "forge-card-values": document({"kind": "gan", "files": {"a": "b"}}, forge_card),
        "forgery-values": document(_FORGERY, forgery),
        "marks-values": document(_MARKS, marks),
        "anchors-values": document({"lines": 3, "head": "0" * 64}, anchors),
        "audit-log-values": document(_AUDIT, audit_log),
        "screening-values": document({"scan": {"pixel_sha256": "0"}}, screening),
        "rules-values": document(_RULES, rules),
        "combination-values": document(parsed["combined.json"], combination),
        "head-facts-values": document(parsed["self-forged.json"], head_facts),
    }


_RULES = {
    "node": {"ae_title": "X", "port": 1104, "memory_gib": 2.0},
    "quiet": {"seconds": 3},
    "destinations": {"pacs": {"dicom": {"host": "x", "port": 104, "ae_title": "Y"}}},
    "rules": [{"name": "a", "when": {"modality": "CT", "series_description": "a.*b"}, "send_to": "pacs"}],
}
"""A file of rules; JSON is YAML too."""

NAMES = (*TARGETS, *(f"{name}-values" for name in ("dicom", "card", "forge-card", "forgery", "marks", "anchors")))
NAMES = (*NAMES, *(f"{name}-values" for name in ("audit-log", "screening", "rules", "combination", "head-facts")))
"""Every target."""

SLOW = ("dicom", "dicom-values", "frames", "nifti", "zip", "any-file", "rules", "rules-values")
"""Targets that get three times as long as the others: there is more in them to go wrong."""
