"""Reading the folders that `tamperscan forge` writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_type_hints

from tamperscan.errors import ForgeError
from tamperscan.forge.forgery import PREFIX, Record
from tamperscan.forge.method import ACTIONS
from tamperscan.forge.site import Place
from tamperscan.forge.write import MASK, RECORD, SCAN
from tamperscan.safe_json import parse_json

_ADVICE: Final = "Make it again with 'tamperscan forge', or take it away"


@dataclass(frozen=True)
class StoredForgery:
    """A forgery on disk.

    Attributes
    ----------
    name
        Of the forged scan, and of its folder.
    scan
        What `tamperscan.read_scan` reads the forged scan from.
    mask
        The file of its mask, for `tamperscan.forge.grid.read_mask`.
    record
        What was done.
    """

    name: str
    scan: Path
    mask: Path
    record: Record


def read_forgeries(folder: Path, on_error: Callable[[ForgeError], None] = lambda error: None) -> list[StoredForgery]:
    """Find the forgeries in a folder.

    Parameters
    ----------
    folder
        What ``tamperscan forge --out`` wrote to, or one forgery in it.
    on_error
        Is told of each forgery that is damaged or not whole; the others are read all the same.

    Returns
    -------
    list of StoredForgery
        Sorted by name. No scan and no mask is opened.

    Raises
    ------
    ForgeError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise ForgeError(f"{folder}: is no folder. Give the folder that 'tamperscan forge --out' wrote to.")
    if (folder / RECORD).exists():
        held = [folder]
    else:
        held = sorted(one for one in folder.iterdir() if one.name.startswith(PREFIX) and one.is_dir())
    found = []
    for one in held:
        try:
            found.append(_read(one))
        except ForgeError as error:
            on_error(error)
    return found


def _read(folder: Path) -> StoredForgery:
    try:
        document = parse_json((folder / RECORD).read_bytes())
        record = _record(document)
        name, scan, mask = str(document["name"]), folder / SCAN, folder / MASK
    except OSError as error:
        raise ForgeError(f"{folder}: {RECORD} can't be read ({error.strerror}). {_ADVICE}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ForgeError(f"{folder / RECORD}: is no record of a forgery ({problem}). {_ADVICE}.") from error
    if not scan.is_dir() or not any(scan.iterdir()) or not mask.is_file():
        missing = SCAN if mask.is_file() else MASK
        raise ForgeError(f"{folder}: the forgery is not whole, {missing} is missing. {_ADVICE}.")
    return StoredForgery(name, scan, mask, record)


def _record(document: dict[str, Any]) -> Record:
    """Make a record of its JSON; raises KeyError, TypeError or ValueError where it is none."""
    if document["forged"] is not True or document["action"] not in ACTIONS:
        raise ValueError("not a forgery")
    place = document["place"]
    first, last = (int(index) for index in document["slice_range"])
    facts = {name: document[name] for name in get_type_hints(Record)}
    centre = Place(int(place["slice"]), int(place["row"]), int(place["column"]), float(place["diameter_mm"]))
    return Record(**{**facts, "place": centre, "slice_range": (first, last)})
