"""Text from files on its way to a terminal, a log or a report: one line, and nothing in it that drives a terminal."""

from __future__ import annotations


def printable(text: str, longest: int | None = None) -> str:
    r"""Give a text with what can't be printed written out (``\n``, ``\x1b``), cut where it is too long.

    Parameters
    ----------
    text
        Of any origin. A bad byte of a file's name is a lone surrogate in it, and written out as well.
    longest
        Most characters; None for all.
    """
    if not text.isprintable():
        text = "".join(
            letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
        )
    if longest is not None and len(text) > longest:
        text = f"{text[: longest - 3]}..."
    return text


def in_words(text: str) -> str:
    """Give a text of a header with blanks in place of what can't be printed."""
    if text.isprintable():
        return text
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
