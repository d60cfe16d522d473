"""The 128 bytes before a DICOM file's own first word, where a program may hide.

PS3.10 section 7.1 lets them hold anything, so one file can be a DICOM image to a viewer and a program to an operating
system (CVE-2019-11687). Such a file is read here, but not without a word, and its preamble goes nowhere.
"""

from __future__ import annotations

from typing import Final

_STARTS: Final = (
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a Linux program"),
    (b"\xfe\xed\xfa\xce", "a macOS program"),
    (b"\xfe\xed\xfa\xcf", "a macOS program"),
    (b"\xce\xfa\xed\xfe", "a macOS program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program"),
    (b"\xca\xfe\xba\xbe", "a macOS or Java program"),
    (b"\0asm", "a WebAssembly program"),
    (b"dex\n", "an Android program"),
    (b"#!", "a script"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"{\\rtf", "an Office document"),
    (b"L\0\0\0\x01\x14\x02\0", "a Windows shortcut"),
)
_WITHIN: Final = (
    (b"%pdf-", "a PDF document"),
    (b"<html", "a web page"),
    (b"<script", "a web page"),
    (b"<?php", "a PHP script"),
    (b"<!doctype", "a web page"),
    (b"<svg", "a web page"),
)
"""What counts wherever it stands: readers of these look for their start."""


def other_kind(preamble: bytes) -> str | None:
    """Say what else a DICOM file is, going by its preamble; None where it is nothing else.

    Two TIFF starts (``II*``, ``MM``) are left out: pathology images are both on purpose (PS3.10 section 7.1).
    """
    for start, kind in _STARTS:
        if preamble.startswith(start):
            return kind
    lower = preamble.lower()
    return next((kind for mark, kind in _WITHIN if mark in lower), None)
