"""``tamperscan demo``: screen the packaged sample."""

from __future__ import annotations

from pathlib import Path

import typer

from tamperscan.cli.console import DONE, new_app
from tamperscan.cli.screen import DEFAULT_ALARM_RATE, JsonOption, OutOption, Run

SAMPLE = (
    "The sample is a chest CT slice of a public research data set, altered by the data set's authors with "
    "CT-GAN: "
    '"Deepfakes: Medical Image Tamper Detection", UCI Machine Learning Repository 520, doi 10.24432/C5J318, '
    "licence CC BY 4.0."
)

app = new_app()


@app.command(epilog="Example: tamperscan demo --out demo-report")
def demo(out: OutOption = Path("tamperscan-demo"), as_json: JsonOption = False) -> None:
    """Screen the packaged sample, write its report, and say where it is.

    Needs no network and no scan of your own.
    """
    from tamperscan.data import sample_path

    run = Run(out, "ct", alarm_rate=DEFAULT_ALARM_RATE, as_json=as_json)
    run.screen_path(sample_path())
    run.print_totals()
    if not as_json and run.verdicts:
        _print_what_next(run.pages)
    raise typer.Exit(run.exit_code(suspicious=DONE))


def _print_what_next(pages: list[Path]) -> None:
    print(f"\n{SAMPLE}\n")
    for page in pages:
        print(f"Open the report in a browser: {page.resolve().as_uri()}")
    print("Screen your own scans with: tamperscan screen PATH --out results")
