"""What a folder of results says in sum: verdicts, scores by scanner and kernel, the most suspicious, drift."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.archive.manifest import read_manifest
from tamperscan.archive.rows import FAILED
from tamperscan.archive.shards import PARTITIONS, RESULTS, UNREADABLE, load_arrow
from tamperscan.detect.drift import Drift, find_drift
from tamperscan.detect.periods import Span
from tamperscan.errors import ArchiveError

MOST_STUDIES: Final = 25
MOST_GROUPS: Final = 12
MOST_REASONS: Final = 20

MOST_MONTHS: Final = 36
"""Longer times are told by quarter or by year."""

_COLUMNS: Final = (
    *("key", "study_uid", "series_uid", "study_month", "modality", "manufacturer", "model", "kernel", "slices"),
    *("verdict", "score", "p_value", "reasons", "finding_slice", "finding_row", "finding_column", "finding_sign"),
)
_UNKNOWN: Final = "unknown"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Group:
    """The judged series of one scanner or kernel.

    Attributes
    ----------
    name
        Scanner or kernel.
    series, suspicious
        How many there are, and how many of them are suspicious.
    scores
        float32 ``[series]``.
    """

    name: str
    series: int
    suspicious: int
    scores: NDArray[np.float32]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON: the scores' quartiles stand for them."""
        quartiles = [round(float(value), 4) for value in np.percentile(self.scores, (5, 25, 50, 75, 95))]
        names = ("score_p05", "score_p25", "score_median", "score_p75", "score_p95")
        return {"name": self.name, "series": self.series, "suspicious": self.suspicious} | dict(
            zip(names, quartiles, strict=True)
        )


@dataclass(frozen=True)
class ModalitySummary:
    """The series of one modality.

    Attributes
    ----------
    modality
        ``"CT"`` or ``"MR"``.
    verdicts
        How many series have which verdict.
    scores, calibration_scores
        float32 ``[series]``: of the judged series, and of the authentic patients of the calibration.
    scanners, kernels
        The largest groups.
    drift
        How p-values go over the months of study.
    """

    modality: str
    verdicts: dict[str, int]
    scores: NDArray[np.float32]
    calibration_scores: NDArray[np.float32]
    scanners: tuple[Group, ...]
    kernels: tuple[Group, ...]
    drift: Drift


@dataclass(frozen=True)
class ArchiveSummary:
    """What a folder of results says in sum.

    Attributes
    ----------
    manifest
        What the results were made with.
    series, slices
        How many there are.
    verdicts
        How many series have which verdict.
    modalities
        Each for itself, as their scores can't be compared.
    studies
        The most suspicious series of the most suspicious studies, most suspicious first.
    abstained, failures
        Why series were not judged or could not be screened, and how many of each.
    unreadable
        Why files belong to no series, and how many of each.
    """

    manifest: Mapping[str, Any]
    series: int
    slices: int
    verdicts: dict[str, int]
    modalities: tuple[ModalitySummary, ...]
    studies: tuple[dict[str, Any], ...]
    abstained: dict[str, int]
    failures: dict[str, int]
    unreadable: dict[str, int]

    @property
    def alarm_rate(self) -> float:
        """Share of authentic series that may be called suspicious."""
        return float(self.manifest["alarm_rate"])

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        detectors = {
            modality: {name: value for name, value in one.items() if name != "calibration_scores"}
            for modality, one in self.manifest["detectors"].items()
        }
        return {
            "manifest": {**self.manifest, "detectors": detectors},
            "series": self.series,
            "slices": self.slices,
            "verdicts": self.verdicts,
            "modalities": [_modality_dict(one) for one in self.modalities],
            "studies": list(self.studies),
            "abstained": self.abstained,
            "failures": self.failures,
            "unreadable": self.unreadable,
        }


def _modality_dict(one: ModalitySummary) -> dict[str, Any]:
    return {
        "modality": one.modality,
        "verdicts": one.verdicts,
        "scanners": [group.as_dict() for group in one.scanners],
        "kernels": [group.as_dict() for group in one.kernels],
        "drift": one.drift.as_dict(),
    }


def summarise(folder: Path) -> ArchiveSummary:
    """Sum up a folder of results; it is read in pieces.

    Raises
    ------
    ArchiveError
        If there are no results, or they are damaged.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise ArchiveError(f"{folder}: holds no results. Screen an archive with 'tamperscan archive SOURCE --out'.")
    gathered = _Gathered()
    for row in _rows(folder):
        gathered.add(row)
    modalities = tuple(
        own.finish(modality, manifest) for modality, own in sorted(gathered.modalities.items()) if modality
    )
    return ArchiveSummary(
        manifest=manifest,
        series=gathered.verdicts.total(),
        slices=gathered.slices,
        verdicts=dict(sorted(gathered.verdicts.items())),
        modalities=modalities,
        studies=tuple(gathered.worst_studies()),
        abstained=dict(gathered.abstained.most_common(MOST_REASONS)),
        failures=dict(gathered.failures.most_common(MOST_REASONS)),
        unreadable=_unreadable_reasons(folder),
    )


@dataclass
class _OfModality:
    """What is gathered of one modality: six numbers a judged series, and no text of its own."""

    verdicts: Counter[str] = field(default_factory=Counter)
    months: list[int] = field(default_factory=list)
    p_values: list[float] = field(default_factory=list)
    scanner_numbers: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    kernel_numbers: list[int] = field(default_factory=list)
    alarms: list[bool] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        self.verdicts[row["verdict"]] += 1
        if row["verdict"] == FAILED:
            return
        scanner = " ".join(part for part in (row["manufacturer"], row["model"]) if part)
        self.months.append(_month_number(row["study_month"]))
        self.p_values.append(math.nan if row["p_value"] is None else row["p_value"])
        self.scores.append(math.nan if row["p_value"] is None else row["score"])
        self.scanner_numbers.append(self._number(scanner))
        self.kernel_numbers.append(self._number(row["kernel"] or ""))
        self.alarms.append(row["verdict"] == "suspicious")

    def _number(self, name: str) -> int:
        return self.names.setdefault(name or _UNKNOWN, len(self.names))

    def finish(self, modality: str, manifest: Mapping[str, Any]) -> ModalitySummary:
        detectors = manifest["detectors"]
        calibration = detectors.get(modality, next(iter(detectors.values())))["calibration_scores"]
        scores, alarms = np.array(self.scores, np.float32), np.array(self.alarms, bool)
        names = list(self.names)
        months = np.array([_month_date(number) for number in self.months], dtype="datetime64[D]")
        return ModalitySummary(
            modality=modality,
            verdicts=dict(sorted(self.verdicts.items())),
            scores=scores[np.isfinite(scores)],
            calibration_scores=np.array(calibration, np.float32),
            scanners=_groups(names, np.array(self.scanner_numbers, int), scores, alarms),
            kernels=_groups(names, np.array(self.kernel_numbers, int), scores, alarms),
            drift=find_drift(
                months,
                np.array(self.p_values, float),
                groups=[names[number] for number in self.scanner_numbers],
                alarm_rate=manifest["alarm_rate"],
                patients=len(calibration) or None,
                span=_span(self.months),
            ),
        )


@dataclass
class _Gathered:
    """What is gathered of all rows."""

    verdicts: Counter[str] = field(default_factory=Counter)
    slices: int = 0
    modalities: dict[str, _OfModality] = field(default_factory=lambda: defaultdict(_OfModality))
    abstained: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    studies: dict[str, Row] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        self.verdicts[row["verdict"]] += 1
        self.slices += row["slices"] or 0
        self.modalities[row["modality"] or ""].add(row)
        if row["verdict"] in (FAILED, "abstained"):
            reasons = self.failures if row["verdict"] == FAILED else self.abstained
            reasons[(row["reasons"] or [""])[0]] += 1
        if row["verdict"] == "suspicious":
            study = row["study_uid"] or row["key"]
            if study not in self.studies or _rank(row) < _rank(self.studies[study]):
                self.studies[study] = row

    def worst_studies(self) -> Iterator[dict[str, Any]]:
        """Give the most suspicious first."""
        for row in heapq.nsmallest(MOST_STUDIES, self.studies.values(), key=_rank):
            yield {name: value for name, value in row.items() if name != "reasons"}


def _rank(row: Row) -> tuple[float, float, str]:
    p_value = 1.0 if row["p_value"] is None else row["p_value"]
    return p_value, -(row["score"] or 0.0), row["key"]


def _groups(
    names: Sequence[str], numbers: NDArray[Any], scores: NDArray[np.float32], alarms: NDArray[np.bool_]
) -> tuple[Group, ...]:
    """Give the largest groups of judged series."""
    judged = np.isfinite(scores)
    counts = Counter(numbers[judged].tolist())
    return tuple(
        Group(
            names[number], count, int(alarms[judged & (numbers == number)].sum()), scores[judged & (numbers == number)]
        )
        for number, count in counts.most_common(MOST_GROUPS)
    )


def _rows(folder: Path) -> Iterator[Row]:
    arrow, _ = load_arrow()
    from pyarrow import dataset

    schema = arrow.schema([(name, arrow.string()) for name in PARTITIONS])
    try:
        results = dataset.dataset(
            folder / RESULTS, format="parquet", partitioning=dataset.partitioning(schema, flavor="hive")
        )
        for batch in results.to_batches(columns=list(_COLUMNS), batch_size=4096):
            yield from batch.to_pylist()
    except FileNotFoundError:
        return
    except (OSError, arrow.ArrowException) as error:
        raise ArchiveError(f"{folder}: its results can't be read ({error}). Screen the archive again.") from error


def _unreadable_reasons(folder: Path) -> dict[str, int]:
    _, parquet = load_arrow()
    path = folder / UNREADABLE
    if not path.exists():
        return {}
    counted: Counter[str] = Counter()
    for batch in parquet.ParquetFile(path).iter_batches(columns=["problem"]):
        counted.update(batch.column(0).to_pylist())
    return dict(counted.most_common(MOST_REASONS))


def _span(months: Sequence[int]) -> Span:
    """Choose periods of which there are not too many to look at."""
    known = [month for month in months if month]
    covered = max(known) - min(known) if known else 0
    return "month" if covered <= MOST_MONTHS else "quarter" if covered <= 4 * MOST_MONTHS else "year"


def _month_number(month: str | None) -> int:
    return int(month[:4]) * 12 + int(month[5:7]) - 1 if month else 0


def _month_date(number: int) -> date | None:
    return date(number // 12, number % 12 + 1, 1) if number else None
