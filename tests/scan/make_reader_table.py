"""Prints what the reader makes of every file of a folder: ``python tests/scan/make_reader_table.py DIR``.

Files are grouped by modality and transfer syntax. The table is in docs/reference/input.md.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter, defaultdict
from pathlib import Path

import pydicom

from tamperscan.errors import ScanError
from tamperscan.scan import read_scans


def kind_of(path):
    """Modality and transfer syntax of one file, as far as they can be told."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = pydicom.dcmread(path, force=True, specific_tags=["Modality"], stop_before_pixels=True)
        syntax = image.file_meta.TransferSyntaxUID
        return image.get("Modality") or "none", f"{syntax.name.split(',')[0]} ({syntax})"
    except Exception:  # damaged files are what the table is about
        return "none", "none"


def outcome_of(path):
    """Number of scans, and the reason if there are none."""
    try:
        return len(read_scans(path)), ""
    except ScanError as error:
        return 0, error.problem.split("; ")[0]


def main(folder):
    groups = defaultdict(list)
    for path in sorted(folder.rglob("*.dcm")):
        groups[kind_of(path)].append(outcome_of(path))
    print("| modality | transfer syntax | files | scans | reasons where there is none |")
    print("| --- | --- | ---: | ---: | --- |")
    for (modality, syntax), outcomes in sorted(groups.items()):
        reasons = Counter(reason for _, reason in outcomes if reason)
        told = "; ".join(f"{count} x {reason}" for reason, count in reasons.items())
        scans = sum(count for count, _ in outcomes)
        print(f"| {modality} | {syntax} | {len(outcomes)} | {scans} | {told} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
