"""``tamperscan pull``: fetch series from an archive by DICOMweb, into a folder or a node's queue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tamperscan.cli.console import UNREADABLE, Bar, new_app, tell_error
from tamperscan.cli.dicomweb_options import CaFileOption, CredentialsOption, TimeoutOption, connected

if TYPE_CHECKING:
    from tamperscan.serve.dicomweb.client import Client
    from tamperscan.serve.dicomweb.find import FoundSeries
    from tamperscan.serve.dicomweb.pull import PulledSeries
    from tamperscan.serve.dicomweb.queueing import HomeIntake

app = new_app()


@app.command(
    epilog="Example: tamperscan pull --from https://pacs.example/dicom-web --query StudyDate=20260101 --out pulled"
)
def pull(
    url: Annotated[str, typer.Option("--from", metavar="URL", help="Root of the archive's DICOMweb service.")],
    query: Annotated[
        list[str],
        typer.Option("--query", metavar="KEYWORD=VALUE", help="Condition by DICOM keyword; all that are given hold."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", file_okay=False, help="Folder for the series, one folder in it each.")
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option("--home", file_okay=False, help="Home of a node or page, in whose queue the series are put."),
    ] = None,
    rule: Annotated[
        str, typer.Option("--rule", help="With --home: name of the node's rule that says where results go.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most series that are fetched.")] = 1000,
    credentials: CredentialsOption = None,
    ca_file: CaFileOption = None,
    timeout: TimeoutOption = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a series, and nothing else.")] = False,
) -> None:
    """Fetch the CT and MR series that match, and keep them in a folder or queue them for screening.

    What was fetched before is not fetched again, so a run that broke off is taken up by running it again. Without
    Modality in the query, CT and MR series are fetched.

    Ends with 0 when done, 2 for wrong usage, 3 if the archive can't be reached or anything could not be fetched.
    """
    if (out is None) == (home is None):
        raise typer.BadParameter("needs --out or --home, one of them", param_hint="--out")
    if rule and home is None:
        raise typer.BadParameter("goes with --home", param_hint="--rule")
    from tamperscan.serve.dicomweb.find import find_series, read_query

    problems: list[str] = []
    conditions = read_query(query)
    with connected(url, credentials, ca_file, timeout) as client:
        intake = _intake(home, client.host, rule)
        count = 0
        for found in find_series(client, conditions, problems.append):
            if count == limit:
                problems.append(f"More than {limit} series match; the rest was left. Raise --limit, or ask for less.")
                break
            count += 1
            pulled = _pull(client, found, out, intake)
            problems += pulled.problems
            _print(pulled, None if intake is None else intake.queue(pulled), as_json=as_json)
    for problem in problems:
        tell_error(problem)
    if not count and not as_json:
        print("Nothing matches.")
    raise typer.Exit(UNREADABLE if problems else 0)


def _intake(home: Path | None, host: str, rule: str) -> HomeIntake | None:
    if home is None:
        return None
    from tamperscan.serve.dicomweb.queueing import HomeIntake
    from tamperscan.serve.home import Home

    return HomeIntake(Home(home), host, rule)


def _pull(client: Client, found: FoundSeries, out: Path | None, intake: HomeIntake | None) -> PulledSeries:
    from tamperscan.serve.dicomweb.pull import pull_series

    with Bar("Fetching") as bar:
        if intake is not None:
            return pull_series(client, found, intake.folder, arrived=intake.arrived, progress=bar.update)
        return pull_series(client, found, out or Path(), progress=bar.update)


def _print(pulled: PulledSeries, job: str | None, *, as_json: bool) -> None:
    if as_json:
        import json

        facts = {"study": pulled.study, "series": pulled.series, "modality": pulled.modality, "job": job}
        counts = {"instances": pulled.instances, "fetched": pulled.fetched, "problems": list(pulled.problems)}
        print(json.dumps({**facts, "folder": str(pulled.folder), **counts}), flush=True)
        return
    there = pulled.instances - pulled.fetched - len(pulled.problems)
    state = f"queued as job {job}" if job else f"in {pulled.folder}"
    if not pulled.whole:
        state = f"not whole, {len(pulled.problems)} failed; run it again"
    print(f"{pulled.modality} series {pulled.series}: {pulled.fetched} fetched, {max(0, there)} there before; {state}")
