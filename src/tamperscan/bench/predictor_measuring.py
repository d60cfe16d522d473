"""How well predictors tell noise: crops of patients they never saw, with known noise added."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tamperscan.bench.metrics import Estimate, mean_estimate
from tamperscan.bench.subjects import CT_FOLDER
from tamperscan.detect.crops import cut_square
from tamperscan.detect.regions import lung_mask
from tamperscan.detect.training import find_patients
from tamperscan.diffusion.presets import LOW_NOISE_CT
from tamperscan.diffusion.unet import LocalUNet
from tamperscan.errors import BenchError, ScanError
from tamperscan.files import make_folder, new_file
from tamperscan.scan.volume import Scan
from tamperscan.scan.windows import IntensityWindow

HELD_OUT_PARTS = ("calibrate", "test")
LEVELS_HU = (10.0, 15.0, 26.0)
CROPS_A_PATIENT = 12
_CROP_PX = 96
# The middle is judged: at a crop's border a network sees less than in a slice.
_BORDER_PX = 24
_LEAST_LUNG_PX = 4000
_TIMED_PX = 256
_BATCH = 16


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Crops of the lungs of patients that no variant was trained on.

    Attributes
    ----------
    crops
        int16 HU ``[crop, 3, row, column]``: the slice between its neighbours; where it has none it stands three times.
    patients
        ``[crop]``.
    in_series
        bool ``[crop]``: whether the neighbours are there.
    """

    crops: NDArray[np.int16]
    patients: tuple[str, ...]
    in_series: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Errors:
    """Mean squared error of the predicted noise; of a predictor that says nothing it is 1.

    Attributes
    ----------
    by_level
        float64 ``[crop, level]``; NaN where the predictor needs neighbours that are not there.
    """

    by_level: NDArray[np.float64]

    def at(self, level: int, patients: Sequence[str], where: NDArray[np.bool_]) -> Estimate:
        """Return the mean at a level over some of the crops, patients counting alike."""
        return mean_estimate(self.by_level[where, level], _chosen(patients, where), alike=True)

    def ratio_to(self, base: Errors, patients: Sequence[str], where: NDArray[np.bool_]) -> Estimate:
        """Return the ratio to another predictor's error on the same crops: the geometric mean over levels and crops."""
        logs = np.log(self.by_level[where] / base.by_level[where]).mean(axis=1)
        measured = mean_estimate(logs, _chosen(patients, where), alike=True)
        return Estimate(math.exp(measured.value), math.exp(measured.low), math.exp(measured.high))


def held_out_crops(
    data: Path, split: Path, file: Path, on_error: Callable[[ScanError], None] = lambda error: None
) -> HeldOut:
    """Cut the crops to measure on, or read them where they were cut before.

    Parameters
    ----------
    data
        Folder with ``ct/`` in it.
    split
        JSON file of part to globs below ``ct/``; a glob is a patient.
    file
        Keeps the crops (.npz).
    on_error
        Called with what can't be read.

    Raises
    ------
    BenchError
        If no held-out slice holds lung.
    """
    if not file.exists():
        parts = list(HELD_OUT_PARTS)
        cut = cut_held_out(find_patients(data / CT_FOLDER, "CT", split=split, parts=parts, on_error=on_error))
        make_folder(file.parent)
        with new_file(file) as stream:
            np.savez(stream, crops=cut.crops, patients=np.array(cut.patients), in_series=cut.in_series)
    with np.load(file) as stored:
        return HeldOut(stored["crops"], tuple(stored["patients"].tolist()), stored["in_series"])


def cut_held_out(scans: Iterable[tuple[str, Scan]]) -> HeldOut:
    """Cut twelve crops a patient, around places in the lung drawn with a fixed seed.

    Raises
    ------
    BenchError
        If no slice holds lung.
    """
    found: dict[str, list[tuple[NDArray[np.int16], bool]]] = {}
    for patient, scan in scans:
        found.setdefault(patient, []).extend(_crops_of(scan))
    rng = np.random.default_rng(0)
    chosen = [
        (patient, *crops[index])
        for patient, crops in found.items()
        if crops
        for index in rng.permutation(len(crops))[:CROPS_A_PATIENT]
    ]
    if not chosen:
        raise BenchError("No slice of the held-out patients holds lung. Check --data and --split.")
    patients, crops, in_series = zip(*chosen, strict=True)
    return HeldOut(np.stack(crops), patients, np.array(in_series))


def _crops_of(scan: Scan) -> list[tuple[NDArray[np.int16], bool]]:
    """Cut crops of a scan; of a series only from slices that have both neighbours."""
    rng = np.random.default_rng(0)
    in_series = scan.shape[0] >= 3
    inner = range(1, scan.shape[0] - 1) if in_series else range(1)
    slices = rng.permutation(np.array(inner))[:CROPS_A_PATIENT] if in_series else np.zeros(1, dtype=int)
    crops = []
    for z in slices:
        lung = np.argwhere(lung_mask(scan.voxels[z], scan.spacing_mm[1:]))
        if len(lung) < _LEAST_LUNG_PX:
            continue
        shown = scan.voxels[z - 1 : z + 2] if in_series else np.repeat(scan.voxels, 3, axis=0)
        for row, column in lung[rng.integers(len(lung), size=1 if in_series else CROPS_A_PATIENT)]:
            cut = np.stack([cut_square(image, int(row), int(column), _CROP_PX) for image in shown])
            crops.append((np.rint(cut).clip(-32768, 32767).astype(np.int16), in_series))
    return crops


def measure_errors(network: nn.Module, neighbours: int, held_out: HeldOut) -> Errors:
    """Measure a predictor with noise that is the same for all.

    Parameters
    ----------
    network
        Takes an image with 1 + 2 x ``neighbours`` channels, and the level.
    neighbours
        0 or 1.
    held_out
        Crops to measure on.
    """
    assert LOW_NOISE_CT.window is not None  # a CT preset has one
    start = IntensityWindow(*LOW_NOISE_CT.window).to_model(held_out.crops)
    noise = np.random.default_rng(1).standard_normal(start.shape, dtype=np.float32)
    channels = slice(1 - neighbours, 2 + neighbours)
    errors = np.full((len(start), len(LEVELS_HU)), np.nan)
    usable = np.flatnonzero(held_out.in_series | (neighbours == 0))
    for level, sigma_hu in enumerate(LEVELS_HU):
        sigma = sigma_hu / LOW_NOISE_CT.half_width
        for first in range(0, len(usable), _BATCH):
            these = usable[first : first + _BATCH]
            shown = start[these, channels] + np.float32(sigma) * noise[these, channels]
            errors[these, level] = _squared_error(network, shown, sigma, noise[these, 1])
    return Errors(errors)


def _squared_error(
    network: nn.Module, shown: NDArray[np.float32], sigma: float, noise: NDArray[np.float32]
) -> NDArray[np.float64]:
    with torch.inference_mode():
        predicted = network(torch.from_numpy(shown), torch.full((len(shown),), sigma)).numpy()[:, 0]
    inner = slice(_BORDER_PX, -_BORDER_PX)
    error: NDArray[np.float64] = np.square(predicted - noise)[:, inner, inner].mean(axis=(1, 2), dtype=np.float64)
    return error


def seconds_a_pass(networks: Mapping[str, LocalUNet], repeats: int = 5) -> dict[str, float]:
    """Return the least processor seconds of one pass over the same image, the networks by turns."""
    least = dict.fromkeys(networks, math.inf)
    for _ in range(repeats):
        for name, network in networks.items():
            image = torch.zeros(1, network.settings.channels, _TIMED_PX, _TIMED_PX)
            begun = time.process_time()
            with torch.inference_mode():
                network(image, torch.full((1,), 0.02))
            least[name] = min(least[name], time.process_time() - begun)
    return least


def parameters_of(network: nn.Module) -> int:
    """Count a network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def _chosen(patients: Sequence[str], where: NDArray[np.bool_]) -> list[str]:
    return [patient for patient, chosen in zip(patients, where, strict=True) if chosen]
