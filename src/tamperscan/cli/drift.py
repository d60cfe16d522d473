"""``tamperscan drift``: see whether results go over time as the calibration says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tamperscan.cli.console import SUSPICIOUS, UNREADABLE, new_app, notices, tell_error

if TYPE_CHECKING:
    from tamperscan.report.past_results import PastResult

app = new_app()
Name = TypeVar("Name", bound=str)


@app.command(epilog="Example: tamperscan drift results/ --by scanner --out drift.png")
def drift(
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULTS...", help="Folders of screenings, or screening.json files.")
    ],
    by: Annotated[
        str, typer.Option("--by", help="Also look at each scanner or kernel: none, scanner, kernel.")
    ] = "none",
    date: Annotated[str, typer.Option("--date", help="Date to go by: study, or when it was screened.")] = "study",
    every: Annotated[str, typer.Option("--every", help="Length of a period: week, month, quarter, year.")] = "month",
    alarm_rate: Annotated[
        float | None, typer.Option("--alarm-rate", help="Count p-values at or under this; as screened by default.")
    ] = None,
    false_alarms: Annotated[
        float, typer.Option("--false-alarms", help="How often steady results may be called anything else.")
    ] = 0.01,
    detector: Annotated[str, typer.Option("--detector", help="Of several detectors, the results of this one.")] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", dir_okay=False, help="Picture to write (PNG).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 1 where results have drifted.")] = False,
) -> None:
    """See whether results go over time as the calibration says.

    Counts alarms and scans that were not judged by date, compares them with what the calibration allows, and looks for
    a date from which on they are others. Steady results are called so but in 1 of 100 cases.
    """
    import json

    from tamperscan.detect.drift import find_drift
    from tamperscan.detect.periods import SPANS
    from tamperscan.errors import ScanError
    from tamperscan.files import write_file
    from tamperscan.report.drift import drift_figure, drift_in_words
    from tamperscan.report.past_results import DATES, GROUPS, read_past_results

    grouped = _one_of("--by", by, GROUPS)
    dated = _one_of("--date", date, DATES)
    span = _one_of("--every", every, SPANS)
    if alarm_rate is not None and not 0 < alarm_rate < 1:
        raise typer.BadParameter("is a share between 0 and 1, such as 0.05", param_hint="--alarm-rate")
    if not 0 < false_alarms < 1:
        raise typer.BadParameter("is a share between 0 and 1, such as 0.01", param_hint="--false-alarms")
    errors: list[ScanError] = []
    read = list(read_past_results(results, errors.append))
    for error in errors:
        tell_error(error)
    chosen = _of_one_detector(read, detector)
    if not chosen:
        raise ScanError(results[0], "holds no results of screenings", "Give a folder that 'tamperscan screen' wrote")
    dates = [each.dated(dated) for each in chosen]
    if dated == "study" and not any(dates):
        raise ScanError(results[0], "tells no study's date", "Go by the date of the screening with --date screened")
    patients = [each.patients for each in chosen if each.patients is not None]
    found = find_drift(
        dates,
        [each.p_value for each in chosen],
        groups=None if grouped == "none" else [each.group(grouped) for each in chosen],
        alarm_rate=alarm_rate or chosen[-1].alarm_rate,
        patients=min(patients) if patients else None,
        span=span,
        false_alarms=false_alarms,
    )
    if out is not None:
        write_file(out, drift_figure(found))
        notices().print(f"The picture is in {out}.", soft_wrap=True)
    print(json.dumps(found.as_dict()) if as_json else drift_in_words(found))
    if errors:
        raise typer.Exit(UNREADABLE)
    if exit_code and found.verdict not in ("steady", "too few"):
        raise typer.Exit(SUSPICIOUS)


def _one_of(option: str, given: str, names: tuple[Name, ...]) -> Name:
    for name in names:
        if name == given:
            return name
    raise typer.BadParameter(f"is one of {', '.join(names)}", param_hint=option)


def _of_one_detector(results: list[PastResult], wanted: str) -> list[PastResult]:
    """Keep the results of one detector: p-values of two calibrations are not to be mixed."""
    names = sorted({each.detector for each in results if each.detector.startswith(wanted)})
    if len(names) > 1:
        raise typer.BadParameter(f"choose one of {', '.join(names)}", param_hint="--detector")
    return [each for each in results if each.detector in names]
