"""What a comparison is to measure, and on what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tamperscan.bench.contenders.contender import Budget
from tamperscan.errors import BenchError

FORGED_FOLDER: Final = "forged"
OURS: Final = "tamperscan"

Step = Callable[[str], Callable[[int, int], None]]


@dataclass(frozen=True)
class Preset:
    """How much is measured.

    Attributes
    ----------
    name
        As on the command line.
    modalities
        What is measured; None for whatever there are scans of.
    methods
        Forging methods; None for all that there are.
    contenders
        None for all that there are.
    budget_seconds
        What each contender may spend on learning.
    places
        Places on each volume, for each method and action.
    volumes, singles
        Authentic test scans that are forged: volumes, and single slices; None for all.
    ctgan_scans
        Scans (or single slices) of the CT-GAN release, so many of each task; None for all.
    slices
        Untampered slices of a scan, at most; None for 20.
    authentic
        Authentic scans of each part of the split, at most; None for all.
    """

    name: str
    modalities: tuple[str, ...] | None
    methods: tuple[str, ...] | None
    contenders: tuple[str, ...] | None
    budget_seconds: float
    places: int
    volumes: int | None
    singles: int | None
    ctgan_scans: int | None
    slices: int | None
    authentic: int | None


PRESETS: Final = MappingProxyType(
    {
        "small": Preset(
            name="small",
            modalities=("CT",),
            methods=("copymove", "smooth", "nodule"),
            contenders=("tamperscan", "btd-small", "cae", "srm-gmm", "noise-level", "high-pass"),
            budget_seconds=20.0,
            places=1,
            volumes=1,
            singles=3,
            ctgan_scans=6,
            slices=5,
            authentic=None,
        ),
        "medium": Preset(
            name="medium",
            modalities=("CT",),
            methods=None,
            contenders=None,
            budget_seconds=120.0,
            places=1,
            volumes=None,
            singles=8,
            ctgan_scans=None,
            slices=6,
            authentic=None,
        ),
        "full": Preset(
            name="full",
            modalities=None,
            methods=None,
            contenders=None,
            budget_seconds=900.0,
            places=3,
            volumes=None,
            singles=None,
            ctgan_scans=None,
            slices=None,
            authentic=None,
        ),
    }
)


@dataclass(frozen=True)
class Plan:
    """A comparison.

    Attributes
    ----------
    out
        Folder of everything that is made; a run that was ended goes on from there.
    data
        Folder with ``ct/``, ``ctgan/`` and ``mr/`` in it, as far as they are there.
    splits
        For each modality the JSON file of part to globs below ``ct/`` or ``mr/``.
    preset
        How much is measured.
    seed
        Of weights, crops and forgeries.
    workers, threads
        Contenders at a time, and CPU threads of each.
    official, backbone
        Weights that some contenders need.
    forged
        Further folders that ``tamperscan forge`` made.
    ctgan, btd, m3dsynth
        Folders of published test sets; CT-GAN's is ``ctgan/`` below the data if None.
    """

    out: Path
    data: Path
    splits: Mapping[str, Path]
    preset: Preset
    seed: int = 0
    workers: int = 1
    threads: int = 1
    official: Path | None = None
    backbone: Path | None = None
    forged: tuple[Path, ...] = ()
    ctgan: Path | None = None
    btd: tuple[Path, ...] = ()
    m3dsynth: tuple[Path, ...] = ()

    @property
    def budget(self) -> Budget:
        """What each contender may spend."""
        return Budget(self.preset.budget_seconds, self.seed)

    def scans(self, modality: str) -> Path:
        """Return the folder of authentic scans of a modality."""
        return self.data / modality.lower()


def preset_named(name: str) -> Preset:
    """Return a preset.

    Raises
    ------
    BenchError
        If there is none of this name.
    """
    if name not in PRESETS:
        raise BenchError(f"There is no preset '{name}'. Choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
