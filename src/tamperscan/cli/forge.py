"""``tamperscan forge``: make tampered scans with known truth."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tamperscan.cli.console import (
    DONE,
    UNREADABLE,
    Bar,
    debugging,
    in_one_line,
    new_app,
    notices,
    tell_error,
)
from tamperscan.cli.default_group import default_group
from tamperscan.cli.forge_train import ActionOption
from tamperscan.cli.forge_train import app as train_app
from tamperscan.errors import TamperscanError

if TYPE_CHECKING:
    from tamperscan.forge.method import Action, Method
    from tamperscan.forge.site import Index
    from tamperscan.scan import Scan


def _known_method(name: str) -> str:
    from tamperscan.forge.method import METHODS

    if name not in METHODS:
        raise typer.BadParameter(f"there is no method '{name}'; choose one of {', '.join(METHODS)}.")
    return name


def _is_index(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*){2}", text, re.ASCII):
        raise typer.BadParameter("give three whole numbers with commas between them: SLICE,ROW,COLUMN, from 0.")
    return text


def _index(place: str | None) -> Index | None:
    if place is None:
        return None
    index, row, column = (int(part) for part in place.split(","))
    return index, row, column


app = new_app(cls=default_group("scan"), no_args_is_help=True)
app.add_typer(train_app, name="train")


@app.callback(epilog="Example: tamperscan forge study/ --action remove --method gan --out forgeries")
def forge() -> None:
    """Make tampered scans with known truth, to measure detectors with.

    Each forgery is a folder: the scan in its own format, marked as forged; a mask of the altered voxels; a record.
    Never send one to a PACS, and never pass one on as authentic.
    """


@app.command(
    "scan", hidden=True, epilog="Example: tamperscan forge study/ --action remove --method gan --out forgeries"
)
def forge_scans(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="DICOM, NIfTI or NumPy file, folder or zip: authentic.")],
    action: ActionOption,
    method: Annotated[
        str,
        typer.Option("--method", callback=_known_method, help="gan, diffusion, latent, copymove, smooth or nodule."),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", file_okay=False, help="Folder for the forgeries, one folder in it each.")
    ],
    place: Annotated[
        str | None,
        typer.Option(
            "--place", metavar="SLICE,ROW,COLUMN", callback=_is_index, help="Centre, from 0; else one is chosen."
        ),
    ] = None,
    diameter: Annotated[
        float | None, typer.Option("--diameter", metavar="MM", min=0.1, help="Size of the lesion; else one is chosen.")
    ] = None,
    region: Annotated[
        float, typer.Option("--region", metavar="MM", min=1.0, help="Side of the cube that may be altered.")
    ] = 32.0,
    count: Annotated[
        int, typer.Option("--count", min=1, help="Forgeries of each scan, with the seeds that follow.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the place and of what is drawn there.")] = 0,
    weights: Annotated[
        Path | None, typer.Option("--weights", file_okay=False, help="Weights of the method; else the packaged ones.")
    ] = None,
    donor: Annotated[
        Path | None, typer.Option("--donor", metavar="PATH", help="Another scan to copy from (copymove).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one record a forgery, one a line.")] = False,
) -> None:
    """Forge every scan under PATH.

    A scan that can't be forged is told and left out, and the others go on. Ends with 0 when done, 2 for wrong usage,
    3 if anything could not be read, forged or written.
    """
    if donor is not None and method != "copymove":
        raise typer.BadParameter("only the method 'copymove' copies from another scan.", param_hint="--donor")
    order = _Order(action.value, _index(place), diameter, region, range(seed, seed + count))
    run = _Run(path, _load(method, weights, donor), order, out, as_json=as_json)
    run.forge_all()
    raise typer.Exit(UNREADABLE if run.failures else DONE)


@dataclass(frozen=True)
class _Order:
    """What to do to each scan; where no place is given one is chosen by each seed."""

    action: Action
    index: Index | None
    diameter_mm: float | None
    region_mm: float
    seeds: range


class _Run:
    """Forges scans one after the other, and remembers what failed."""

    def __init__(self, path: Path, method: Method, order: _Order, out: Path, *, as_json: bool) -> None:
        from tamperscan.files import make_folder

        make_folder(out)  # before the work, not after
        self.failures: list[str] = []
        self._path, self._method, self._order, self._out = path, method, order, out
        self._as_json = as_json

    def forge_all(self) -> None:
        """Forge every scan under the path, holding one of them in memory at a time."""
        from tamperscan.scan import iter_scans

        try:
            for scan in iter_scans(self._path, on_error=self._fail):
                self._forge_scan(scan)
                del scan  # or it would stay in memory until the next one is read
        except TamperscanError as error:
            if not self.failures:  # else it sums up what was told already
                self._fail(error)

    def _forge_scan(self, scan: Scan) -> None:
        from tamperscan.forge.write import is_forged_scan

        if is_forged_scan(scan):
            self._fail(f"{scan.name}: is a forgery already, and its record would be wrong. Give authentic scans.")
            return
        if scan.shape[0] == 1:
            notices().print(f"{scan.name}: a single slice; it is forged in two dimensions.", soft_wrap=True)
        with Bar(f"Forging {scan.name}") as bar:
            for done, seed in enumerate(self._order.seeds):
                bar.update(done, len(self._order.seeds))
                self._try(scan, seed)

    def _try(self, scan: Scan, seed: int) -> None:
        """Make one forgery; a failure is remembered, not raised."""
        try:
            self._tell(self._forge(scan, seed))
        except TamperscanError as error:
            self._fail(error)
        except Exception as error:
            if debugging():
                raise
            self._fail(f"{scan.name}: {in_one_line(error)}")

    def _forge(self, scan: Scan, seed: int) -> Path:
        from tamperscan.forge.forgery import forge as forge_in_memory
        from tamperscan.forge.places import find_place
        from tamperscan.forge.write import write_forgery

        order, region_mm = self._order, self._order.region_mm
        place = find_place(scan, order.action, seed, order.index, diameter_mm=order.diameter_mm, region_mm=region_mm)
        made = forge_in_memory(scan, self._method, order.action, place, seed=seed, region_mm=region_mm)
        return write_forgery(made, self._path, self._out)

    def _tell(self, folder: Path) -> None:
        import json

        from tamperscan.forge.write import RECORD

        record = json.loads((folder / RECORD).read_bytes())
        if self._as_json:
            print(json.dumps({"folder": str(folder), **record}))
            return
        place, (first, last) = record["place"], record["slice_range"]
        where = f"slice {place['slice']}, row {place['row']}, column {place['column']}"
        what = f"{record['action']} by {record['method']}, {place['diameter_mm']:g} mm at {where}"
        print(f"{folder}: {what}; {record['voxels_changed']} voxels differ, in slices {first} to {last}.")

    def _fail(self, problem: TamperscanError | str) -> None:
        self.failures.append(str(problem))
        tell_error(problem)


def _load(name: str, weights: Path | None, donor: Path | None) -> Method:
    """Make the method, with the scan to copy from if there is one."""
    from tamperscan.forge.method import load_method
    from tamperscan.scan import read_scan

    options = {} if donor is None else {"donor": read_scan(donor)}
    return load_method(name, None if weights is None else str(weights), **options)
