"""Figures of real nodules that drawn ones follow, measured on marked nodules and shipped with their provenance.

To measure them again, from the folders of the scans that the shipped file names::

    from pathlib import Path
    from tamperscan import read_scan
    from tamperscan.forge.lesions import known_lesions
    from tamperscan.forge.nodule_measure import measure_nodules
    from tamperscan.forge.nodule_statistics import write_statistics

    scans = [read_scan(folder) for folder in ("LIDC-IDRI-0001_STANDARD", "Lung_Dx-A0001_B", "Lung_Dx-A0001_L")]
    figures = measure_nodules([(scan, known_lesions(scan)) for scan in scans])
    write_statistics(figures, Path("nodule-statistics.json"))
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from tamperscan.errors import ForgeError
from tamperscan.files import write_file


@dataclass(frozen=True)
class NoduleFigures:
    """What was measured on one real nodule.

    Attributes
    ----------
    scan, sha256
        The scan, and the hash of its pixels.
    diameter_mm
        As marked.
    density_hu
        Median of its core.
    edge_mm
        Standard deviation of the blur of its edge beyond the blur of the scan itself.
    texture_hu
        Standard deviation within its core beyond the noise.
    correlation_mm
        Distance over which the texture's autocovariance falls to 1/e.
    irregularity
        Standard deviation of its radius in slices, relative to its mean.
    """

    scan: str
    sha256: str
    diameter_mm: float
    density_hu: float
    edge_mm: float
    texture_hu: float
    correlation_mm: float
    irregularity: float


def packaged_statistics() -> list[NoduleFigures]:
    """Read the figures that come with the package.

    Raises
    ------
    ForgeError
        If the file is missing or damaged.
    """
    path = files("tamperscan.data").joinpath("forge/nodule-statistics.json")
    try:
        return [NoduleFigures(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["nodules"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ForgeError(f"{path}: the packaged figures of nodules can't be read. Reinstall the package.") from error


def write_statistics(nodules: list[NoduleFigures], path: Path) -> None:
    """Write figures as JSON, to a few digits: there are no more in them."""
    entries = [
        {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(nodule).items()}
        for nodule in nodules
    ]
    write_file(path, (json.dumps({"nodules": entries}, indent=1) + "\n").encode())


def mixed(nodules: list[NoduleFigures], rng: np.random.Generator) -> dict[str, float]:
    """Draw figures between those of real nodules: a random weighted mean, by name."""
    weights = rng.dirichlet(np.ones(len(nodules)))
    names = ("density_hu", "edge_mm", "texture_hu", "correlation_mm", "irregularity")
    return {name: float(weights @ [getattr(nodule, name) for nodule in nodules]) for name in names}
