"""``tamperscan archive``: screen whole archives, on this machine or on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tamperscan.cli.console import UNREADABLE, new_app, tell_note
from tamperscan.cli.dicomweb_options import CaFileOption, CredentialsOption, TimeoutOption, access_to

if TYPE_CHECKING:
    from tamperscan.archive.sources import ArchiveSources
    from tamperscan.serve.dicomweb.access import Access

LEAST_ADDRESS_SPACE = 3 * 2**29
"""Bytes. With 1.45e9 Ray did not start; a small archive has been screened with 2.2e9."""

app = new_app()


@app.command(epilog="Example: tamperscan archive /archive/2025 /archive/2026 --out screened --workers 8")
def archive(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE", help="Folders, prefixes such as s3://bucket/ct, or a DICOMweb service (with --query)."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", file_okay=False, help="Folder of the results; a run goes on where it was.")
    ] = Path("tamperscan-archive"),
    query: Annotated[
        list[str] | None,
        typer.Option(
            "--query", metavar="KEYWORD=VALUE", help="With a DICOMweb service: which series, by DICOM keyword."
        ),
    ] = None,
    ray_address: Annotated[
        str, typer.Option("--ray-address", metavar="HOST:PORT", help="A Ray cluster; this machine if not given.")
    ] = "",
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="Processes that screen; 0 for one a core, or one a GPU.")
    ] = 0,
    device: Annotated[
        str, typer.Option("--device", help="Where networks run: auto (GPUs where there are any), cpu or cuda.")
    ] = "auto",
    memory_gib: Annotated[
        float,
        typer.Option("--memory-gib", min=0.1, help="Memory that decoded series may take while they wait, in all."),
    ] = 4.0,
    detector: Annotated[
        str, typer.Option("--detector", help='"auto" (by the modality), "ct", "mr", or a folder that holds one.')
    ] = "auto",
    head: Annotated[
        str | None,
        typer.Option("--head", help="How it judges: typicality, self-forged or combined; its strongest if not given."),
    ] = None,
    alarm_rate: Annotated[
        float,
        typer.Option("--alarm-rate", min=0.0, max=1.0, help="Share of authentic scans that may be called suspicious."),
    ] = 0.05,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what could not be screened before.")
    ] = False,
    summary: Annotated[
        bool, typer.Option("--summary", help="Screen nothing; sum up the results that are in --out.")
    ] = False,
    credentials: CredentialsOption = None,
    ca_file: CaFileOption = None,
    timeout: TimeoutOption = 60.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end, and nothing else.")
    ] = False,
) -> None:
    """Screen every CT and MR series of an archive, and keep one row of results for each.

    Results are Parquet files in the folder of --out. A run that was stopped or killed is taken up by running it again:
    series that have a row are not screened again.

    Ends with 0 when done, 2 for wrong usage, 3 if the run can't go on or anything could not be screened.
    """
    if bool(sources) == summary:
        raise typer.BadParameter("needs a SOURCE to screen, or --summary", param_hint="SOURCE")
    done: dict[str, Any] = {}
    if sources:
        _check_memory()
        from tamperscan.archive.cluster import Engine, load_ray
        from tamperscan.archive.detectors import describe_detectors, load_detectors
        from tamperscan.archive.manifest import Settings, check, make_manifest
        from tamperscan.archive.shards import load_arrow
        from tamperscan.archive.sources import parse_sources
        from tamperscan.archive.supervisor import Run, supervise
        from tamperscan.cli.archive_progress import ArchiveProgress
        from tamperscan.files import make_folder

        found = parse_sources(sources, query or ())  # before Ray is loaded, which takes seconds
        load_ray()
        load_arrow()
        engine = Engine(ray_address, workers, device, int(memory_gib * 2**30))
        access = _access(found, credentials, ca_file, timeout)
        make_folder(out)
        settings = Settings(detector, head, alarm_rate)
        check(
            out, make_manifest(settings, describe_detectors(load_detectors(settings, "cpu", 1)))
        )  # before hours of work
        run = Run(found, out, settings, engine, access, retry_failed)
        with ArchiveProgress() as progress:
            done = supervise(run, progress.listen)
    _sum_up(out, done, as_json=as_json)


def _check_memory() -> None:
    """Say at once that a limit on the process is too low: an OpenBLAS that gets no memory asks for it for ever."""
    try:
        import resource
    except ImportError:  # not on this system
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if 0 <= limit < LEAST_ADDRESS_SPACE:
        from tamperscan.errors import ArchiveError

        raise ArchiveError(
            f"This process may have {limit / 2**30:.1f} GiB of address space, and Ray does not start with less than"
            f" {LEAST_ADDRESS_SPACE / 2**30:g}. Raise the limit (ulimit -v)."
        )


def _access(sources: ArchiveSources, credentials: Path | None, ca_file: Path | None, timeout: float) -> Access | None:
    """Credentials are read, and checked, only where a service is asked."""
    return access_to(sources.services[0], credentials, ca_file, timeout) if sources.services else None


def _sum_up(out: Path, done: dict[str, Any], *, as_json: bool) -> None:
    """Write the summary, tell it, and end with 3 if anything could not be screened."""
    from tamperscan.archive.summary import summarise
    from tamperscan.archive.summary_page import summary_lines, write_summary

    result = summarise(out)
    page = write_summary(result, out)
    if as_json:
        import json

        run = {name: done[name] for name in ("series", "slices", "seconds", "verdicts") if name in done}
        print(json.dumps({"run": run, **result.as_dict()}))
    else:
        print("\n".join(summary_lines(result)))
        print(f"Results are in {out}; {page} sums them up.")
    failed = result.verdicts.get("failed", 0)
    if failed or result.unreadable:
        if failed and not as_json:
            tell_note(f"{failed} series could not be screened: --retry-failed tries them again.")
        raise typer.Exit(UNREADABLE)
