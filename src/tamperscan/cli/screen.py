"""``tamperscan screen``: screen scans, one after the other, and write a report on each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from tamperscan.cli.console import (
    DONE,
    SUSPICIOUS,
    UNREADABLE,
    Bar,
    debugging,
    in_one_line,
    new_app,
    results,
    tell_error,
    tell_note,
)
from tamperscan.errors import TamperscanError

if TYPE_CHECKING:
    from tamperscan import BackInTime, Detector
    from tamperscan.diffusion.networks import Device
    from tamperscan.report import ReportFiles
    from tamperscan.scan import Scan

DEFAULT_ALARM_RATE = 0.05

app = new_app()

AUTO = "auto"

OutOption = Annotated[
    Path,
    typer.Option("--out", "-o", file_okay=False, help="Folder for the reports, one folder in it a scan."),
]
DetectorOption = Annotated[
    str,
    typer.Option("--detector", help='"auto" (by the modality), "ct", "mr", "published", or a folder that holds one.'),
]
HeadOption = Annotated[
    str | None,
    typer.Option("--head", help="How it judges: typicality, self-forged or combined; its strongest if not given."),
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="Where networks run: auto (a GPU where there is one), cpu or cuda.")
]
AlarmRateOption = Annotated[
    float,
    typer.Option("--alarm-rate", min=0.0, max=1.0, help="Share of authentic scans that may be called suspicious."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document a scan, one a line, and nothing else.")
]
DicomOption = Annotated[
    bool, typer.Option("--dicom", help="Write DICOM results too: SEG, map, SR, key images, PDF; NIfTI maps of NIfTI.")
]
NoPicturesOption = Annotated[bool, typer.Option("--no-pictures", help="Draw no pictures; quicker and smaller.")]


@app.command(epilog="Example: tamperscan screen study.zip series/ --out results --exit-code")
def screen(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="DICOM files, folders, DICOMDIRs, zip archives or NIfTI files."),
    ],
    out: OutOption = Path("tamperscan-results"),
    detector: DetectorOption = AUTO,
    head: HeadOption = None,
    device: DeviceOption = AUTO,
    alarm_rate: AlarmRateOption = DEFAULT_ALARM_RATE,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 1 if any scan is suspicious.")] = False,
    as_json: JsonOption = False,
    no_pictures: NoPicturesOption = False,
    dicom: DicomOption = False,
) -> None:
    """Screen every scan under every PATH, and write a report on each.

    A scan that can't be read is told and left out, and the others go on. A scan of a kind that the detector
    was not calibrated for is not judged, and its report says why.

    Ends with 0 when done, 1 if a scan is suspicious (with --exit-code), 2 for wrong usage, 3 if anything
    could not be read or written.
    """
    run = Run(
        out,
        detector,
        head=head,
        device=device,
        alarm_rate=alarm_rate,
        pictures=not no_pictures,
        dicom=dicom,
        as_json=as_json,
    )
    for path in paths:
        run.screen_path(path)
    run.print_totals()
    raise typer.Exit(run.exit_code(suspicious=SUSPICIOUS if exit_code else DONE))


class Run:
    """Screens scans, writes their reports, and remembers what failed.

    Parameters
    ----------
    out
        Folder for the reports.
    detector
        Name or folder of the detector; ``"auto"`` for the packaged one of each scan's modality.
    head
        One of its heads; None for its strongest.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    alarm_rate
        Share of authentic scans that may be called suspicious.
    pictures
        Whether to draw pictures.
    dicom
        Whether to write DICOM results; NIfTI maps of what was not read from DICOM.
    as_json
        Whether to print JSON documents rather than summaries.

    Attributes
    ----------
    verdicts
        How many scans got which verdict.
    failures
        What could not be screened, and why.
    pages
        The reports for people.

    Raises
    ------
    WeightsError
        Where there is no such detector.
    OutputError
        Where the folder can't be written.
    """

    def __init__(
        self,
        out: Path,
        detector: str,
        *,
        alarm_rate: float,
        head: str | None = None,
        device: str = AUTO,
        pictures: bool = True,
        dicom: bool = False,
        as_json: bool = False,
    ) -> None:
        from tamperscan.files import make_folder
        from tamperscan.report.folders import ReportFolders
        from tamperscan.scan import isolated

        isolated.prepare()  # it starts while the detector is loaded
        make_folder(out)  # before hours of work, not after
        self.out = out
        self.verdicts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.pages: list[Path] = []
        self._folders = ReportFolders(out)
        self._name, self._head, self._device = detector, head, device
        self._detectors: dict[str, Detector | BackInTime] = {}
        self._detector_for("CT")  # a wrong name or head is told before hours of work, not after
        self._alarm_rate = alarm_rate
        self._pictures, self._dicom = pictures, dicom
        self._as_json = as_json

    def screen_path(self, path: Path) -> None:
        """Screen every scan under a path, holding one of them in memory at a time."""
        from tamperscan.scan import iter_scans

        before = len(self.failures)
        try:
            for scan in iter_scans(path, on_error=self.fail):
                self.screen_scan(scan)
                del scan  # or it would stay in memory until the next one is read
        except TamperscanError as error:
            if len(self.failures) == before:  # else it sums up what was told already
                self.fail(error)

    def screen_scan(self, scan: Scan) -> None:
        """Screen a scan, write its report and print the result; a failure is remembered, not raised."""
        try:
            files = self._report(scan)
        except TamperscanError as error:
            self.fail(error)
        except Exception as error:
            if debugging():
                raise
            self.fail(f"{scan.name}: {in_one_line(error)}")
        else:
            self.verdicts[files.document.verdict] += 1
            self.pages.append(files.page)
            self._print(files)
            for note in files.notes:
                tell_note(f"{scan.name}: {note}")
            if files.problem:
                self.fail(files.problem)

    def fail(self, problem: TamperscanError | str) -> None:
        """Tell a failure, and remember that there was one."""
        self.failures.append(str(problem))
        tell_error(problem)

    def exit_code(self, *, suspicious: int) -> int:
        """Choose the process's exit code: what failed counts more than what was found."""
        if self.failures:
            return UNREADABLE
        return suspicious if self.verdicts["suspicious"] else DONE

    def print_totals(self) -> None:
        """Print how many scans got which verdict, and how many failed, where there was more than one."""
        if self._count() > 1 and not self._as_json:
            self._print_counts()
        if not self._as_json and self.verdicts:
            from tamperscan.report.terminal import print_research_use

            print_research_use(results())

    def _count(self) -> int:
        return self.verdicts.total() + len(self.failures)

    def _report(self, scan: Scan) -> ReportFiles:
        from tamperscan.report import write_report

        detector = self._detector_for(scan.modality)
        with Bar(f"Screening {scan.name}") as bar:
            screening = detector.screen(scan, progress=bar.update, alarm_rate=self._alarm_rate)
        wanted = self._wanted(scan, detector) if self._dicom else {}
        return write_report(screening, self._folders.take(scan), pictures=self._pictures, **wanted)

    def _wanted(self, scan: Scan, detector: Detector | BackInTime) -> dict[str, Any]:
        """Choose DICOM results for what was read from DICOM, and NIfTI maps for anything else."""
        from tamperscan.report.dicom.sources import from_dicom

        if from_dicom(scan):
            return {"dicom": True}
        return {"nifti": True, "like_source": True, "weights": detector.weights}

    def _detector_for(self, modality: str) -> Detector | BackInTime:
        import tamperscan

        name = self._name
        if name == AUTO:
            # What no packaged detector is for is abstained, by any of them.
            name = "mr" if modality == "MR" else "ct"
        if name not in self._detectors:
            # Whether there is such a device is checked where it is asked for.
            self._detectors[name] = tamperscan.load_detector(name, head=self._head, device=cast("Device", self._device))
        return self._detectors[name]

    def _print(self, files: ReportFiles) -> None:
        if self._as_json:
            print(files.document.model_dump_json(), flush=True)
            return
        from tamperscan.report.terminal import print_screening

        print_screening(results(), files.document, files)

    def _print_counts(self) -> None:
        verdicts = self.verdicts
        print(
            f"{verdicts.total()} screened: {verdicts['suspicious']} suspicious, {verdicts['clear']} with "
            f"nothing found, {verdicts['abstained']} not judged. {len(self.failures)} failed. Reports are "
            f"in {self.out}."
        )
