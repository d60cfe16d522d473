"""``tamperscan push``: store DICOM files in an archive by DICOMweb."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tamperscan.cli.console import UNREADABLE, Bar, new_app, tell_error
from tamperscan.cli.dicomweb_options import CaFileOption, CredentialsOption, TimeoutOption, access_to

if TYPE_CHECKING:
    from tamperscan.serve.dicomweb.push import Stored

app = new_app()


@app.command(epilog="Example: tamperscan push results/chest/dicom --to https://pacs.example/dicom-web")
def push(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", exists=True, help="DICOM files, or folders whose .dcm files are meant."),
    ],
    url: Annotated[str, typer.Option("--to", metavar="URL", help="Root of the archive's DICOMweb service.")],
    credentials: CredentialsOption = None,
    ca_file: CaFileOption = None,
    timeout: TimeoutOption = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a file, and nothing else.")] = False,
) -> None:
    """Store DICOM files in an archive by STOW-RS.

    Storing again what the archive has changes nothing, so a run that broke off can be run again. Images that
    tamperscan forged are refused, and nothing is sent then.

    Ends with 0 when the archive has every file, 2 for wrong usage, 3 otherwise.
    """
    from tamperscan.serve.dicomweb.push import stow

    files = [file for path in paths for file in (sorted(path.rglob("*.dcm")) if path.is_dir() else [path])]
    if not files:
        raise typer.BadParameter("holds no .dcm file", param_hint="PATH")
    with Bar("Storing") as bar:
        answered = stow(url, files, access=access_to(url, credentials, ca_file, timeout), progress=bar.update)
    failed = [one for one in answered if one.problem]
    if as_json:
        _print_json(answered)
    else:
        print(f"{len(answered) - len(failed)} of {len(answered)} stored in {url}")
    for one in failed:
        tell_error(f"{one.path}: not stored: {one.problem}.")
    raise typer.Exit(UNREADABLE if failed else 0)


def _print_json(answered: list[Stored]) -> None:
    import json

    for one in answered:
        print(json.dumps({"path": str(one.path), "instance": one.instance, "problem": one.problem}))
