"""The commands that faults are tried on, each with inputs that take seconds."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tamperscan.bench.subjects import CT_FOLDER
from tamperscan.errors import BenchError

SINGLES: Final = "singles/SIIM_TCGA-LUAD_TCGA-17-"
STEPS: Final = "6"
SERIES: Final = 24
_FEW: Final = ("Z011_001", "Z013_050")
_SOME: Final = ("Z011_001", "Z013_050", "Z019_052", "Z039_003", "Z043_014", "Z048_053")


@dataclass(frozen=True)
class Case:
    """A command and what it works on.

    Attributes
    ----------
    name
        As the command is called.
    words
        Makes its command line of the folder of its inputs and the folder of its results.
    prepare
        Writes its inputs; called with the data folder and the folder of the inputs.
    cost
        How many kills of a cheap command one of this costs.
    after
        File of its results with whose writing the work begins that is to be disturbed; empty for all of it.
    loopback
        Whether it can do nothing without the machine's own network, and is not tried without.
    digests
        Digests its results by name; None to digest file by file.
    """

    name: str
    words: Callable[[Path, Path], list[str]]
    prepare: Callable[[Path, Path], None]
    cost: int = 1
    after: str = ""
    loopback: bool = False
    digests: Callable[[Path], dict[str, str]] | None = None


LINES: Final = ("pull", "push")
"""Commands that are tried with an archive at the end of a line; see `tamperscan.bench.faults_lines`."""
PAGE: Final = "serve"
"""The page, which is tried with uploads; see `tamperscan.bench.faults_serve`."""


def cases(names: Sequence[str] | None = None) -> list[Case]:
    """Return the cases, or those of these names.

    Raises
    ------
    BenchError
        If there is no command of a name.
    """
    known = {case.name: case for case in _CASES}
    others = (*known, *LINES, PAGE)
    for name in names or ():
        if name not in others:
            raise BenchError(f"--only {name}: there is no such command. Choose from: {', '.join(others)}.")
    return [case for name, case in known.items() if names is None or name in names]


def _nothing(data: Path, inputs: Path) -> None:
    """Need no input."""


def _singles(names: tuple[str, ...]) -> Callable[[Path, Path], None]:
    def prepare(data: Path, inputs: Path) -> None:
        for name in names:
            source = data / CT_FOLDER / f"{SINGLES}{name}.dcm"
            if not source.is_file():
                raise BenchError(f"{source}: is not there. Give the folder of real scans with --data.")
            shutil.copyfile(source, inputs / source.name)

    return prepare


def _series(data: Path, inputs: Path) -> None:
    """Copy a dozen slices in a row: enough for a cube of 32 mm."""
    found = sorted((data / CT_FOLDER / "series").glob("LIDC-IDRI-0003_*"))
    files = sorted(found[0].glob("*.dcm")) if found else []
    if not files:
        raise BenchError(f"{data}: holds no series LIDC-IDRI-0003. Give the folder of real scans with --data.")
    for source in files[len(files) // 2 - 8 : len(files) // 2 + 8]:
        shutil.copyfile(source, inputs / source.name)


def _archive(data: Path, inputs: Path) -> None:
    """Write an archive of short series, with a text among them."""
    from tamperscan.bench.archive_runs import write_archive
    from tamperscan.scan import read_scan

    _singles(_FEW[:1])(data, inputs)
    (slice_file,) = inputs.glob("*.dcm")
    write_archive(inputs / "archive", read_scan(slice_file), SERIES)
    slice_file.unlink()
    (inputs / "read-me.txt").write_text("no image")


def rows_of(out: Path) -> dict[str, str]:
    """Digest the rows of an archive's table by the series' key; a second row of a series goes by a name of its own."""
    from pyarrow import parquet

    rows: dict[str, str] = {}
    for path in sorted(out.glob("results/*/*/part-*.parquet")):
        for row in parquet.ParquetFile(path).read().to_pylist():
            name = row["key"] if row["key"] not in rows else f"{row['key']}, again in {path.name}"
            rows[name] = hashlib.sha256(repr((path.parents[1].name, sorted(row.items()))).encode()).hexdigest()
    return rows


def _checkpoint(data: Path, inputs: Path) -> None:
    """Write a checkpoint as the official trainer does, with weights of no meaning."""
    import torch

    from tamperscan.diffusion.published import PublishedUNet

    torch.manual_seed(0)
    network = PublishedUNet()
    trained = {f"model.{name}": value for name, value in network.state_dict().items()}
    torch.save({"step": 1, "model": trained}, inputs / "CT_model.pt")


def _trail(data: Path, inputs: Path) -> None:
    from tamperscan.serve.audit import RECEIVED, AuditLog

    facts = [(RECEIVED, {"study": f"1.2.{number}", "instance": f"1.2.{number}.1"}) for number in range(2000)]
    AuditLog(inputs / "audit.jsonl").append_all(facts)


def _packaged_weights() -> str:
    from tamperscan.data import weights_path

    return str(weights_path("ct"))


_CASES: Final = (
    Case("screen", lambda i, o: ["screen", str(i), "--out", str(o), "--dicom"], _singles(_FEW)),
    Case("demo", lambda i, o: ["demo", "--out", str(o)], _nothing),
    Case(
        "train",
        lambda i, o: ["train", str(i), "--out", str(o), "--name", "faults", "--steps", STEPS],
        _singles(_FEW),
        cost=3,
    ),
    Case(
        "train-head",
        lambda i, o: [
            "train-head",
            str(i),
            "--weights",
            _packaged_weights(),
            "--out",
            str(o),
            "--steps",
            "2",
            "--no-canaries",
        ],
        _singles(_FEW),
        cost=3,
    ),
    Case(
        "calibrate",
        lambda i, o: [
            "calibrate",
            str(i),
            "--weights",
            _packaged_weights(),
            "--out",
            str(o / "detector"),
            "--no-canaries",
        ],
        _singles(_SOME),
    ),
    Case(
        "weights import",
        lambda i, o: ["weights", "import", str(i / "CT_model.pt"), "--modality", "ct", "--out", str(o)],
        _checkpoint,
        cost=4,
    ),
    Case(
        "calibrate with canaries",
        lambda i, o: ["calibrate", str(i), "--weights", _packaged_weights(), "--out", str(o / "detector")],
        _singles(_SOME),
        after="detector/calibration.json",
    ),
    Case(
        "archive",
        lambda i, o: ["archive", str(i), "--out", str(o), "--workers", "1", "--memory-gib", "0.5", "--device", "cpu"],
        _archive,
        loopback=True,
        digests=rows_of,
    ),
    Case("weights check", lambda i, o: ["weights", "check", "ct"], _nothing, cost=2),
    Case(
        "forge",
        lambda i, o: ["forge", str(i), "--action", "remove", "--method", "copymove", "--count", "2", "--out", str(o)],
        _series,
    ),
    Case(
        "bench volumes",
        lambda i, o: [
            *("bench", "volumes", "--data", str(i), "--split", str(i / "split.json"), "--blocks", "1"),
            *("--methods", "smooth,copymove", "--out", str(o), "--write", str(o / "page.md")),
        ],
        lambda data, inputs: _bench_data(data, inputs),
        cost=3,
    ),
    Case("audit verify", lambda i, o: ["audit", "verify", str(i / "audit.jsonl")], _trail, cost=2),
)


def _bench_data(data: Path, inputs: Path) -> None:
    folder = inputs / CT_FOLDER / "series" / "LIDC-IDRI-0003_STANDARD"
    folder.mkdir(parents=True)
    found = sorted((data / CT_FOLDER / "series" / folder.name).glob("*.dcm"))
    if not found:
        raise BenchError(f"{data}: holds no series {folder.name}. Give the folder of real scans with --data.")
    for source in found:
        shutil.copyfile(source, folder / source.name)
    (inputs / "split.json").write_text('{"train": [], "calibrate": [], "test": ["series/LIDC-IDRI-0003_*"]}')
