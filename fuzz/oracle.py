"""What may be told of a bad file, and what is a defect."""

from __future__ import annotations

from tamperscan.errors import TamperscanError
from tamperscan.scan.volume import Scan

LONGEST_LINE = 2000
"""An error is one line that a person can take in."""


class Defect(Exception):  # noqa: N818 (what went wrong is not here)
    """Something that should not have come out of any input."""


def check_error(error: TamperscanError) -> None:
    """Refuse a message of several lines, with control characters, without an end, or about the unforeseen."""
    check_line(str(error))
    if "not foreseen" in str(error):
        raise Defect(f"unforeseen: {error}") from error.__cause__ or error


def check_line(text: str) -> None:
    """Refuse what could forge a second line or drive a terminal."""
    if not text.isprintable():
        raise Defect(f"not printable: {text[:300]!r}")
    if len(text) > LONGEST_LINE:
        raise Defect(f"{len(text)} characters in one message: {text[:200]!r}")


def check_scan(scan: Scan) -> None:
    """Refuse a scan that tells what it should not, or whose voxels don't fit it."""
    for text in (*scan.warnings, scan.name):
        check_line(text)
    if scan.voxels.ndim != 3 or not scan.voxels.size or scan.voxels.dtype != "float32":
        raise Defect(f"voxels of shape {scan.voxels.shape}, {scan.voxels.dtype}")
