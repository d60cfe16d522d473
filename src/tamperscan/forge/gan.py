"""The method ``gan``: a conditional 3-D in-painting GAN after CT-GAN.

Y. Mirsky, T. Mahler, I. Shelef, Y. Elovici: CT-GAN: Malicious Tampering of 3D Medical Imagery using Deep Learning.
USENIX Security 2019, arXiv 1901.03597. A cube around the place is resampled to 1 mm and equalised, its core masked out
and completed by a generator, and the change is pasted back and given noise (section 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from tamperscan.detect.regions import lung_mask
from tamperscan.errors import ForgeError
from tamperscan.forge.cube import (
    LARGEST_CORE,
    MARGIN_MM,
    SIDE,
    blend_weight,
    core,
    core_radius,
    cut_cube,
    paste_change,
    resample_cube,
)
from tamperscan.forge.equalise import Equalisation, read_equalisation
from tamperscan.forge.gan_network import GanSettings, Generator, condition_of
from tamperscan.forge.gan_shapes import draw_shape
from tamperscan.forge.method import ACTIONS, Action
from tamperscan.forge.site import Site, Voxels
from tamperscan.forge.touch_up import TOUCH_UPS, TouchUp, touch_up
from tamperscan.forge.weights import packaged_folder, read_weights

NAME: Final = "gan"

_LUNG_WITHIN_MM = 8.0
# Along each axis all phases of a pattern that repeats every four voxels.
_SHIFTS: Final = ((-2, 1, 0), (-1, -2, 1), (0, -1, -2), (1, 0, -1))
_LEAST_WEIGHT = 1e-3


def make(weights: str | None = None, *, touch_up: str = "copied") -> Gan:
    """Make the method.

    Parameters
    ----------
    weights
        Folder of weights, whose card says whether they put nodules in or take them out; None for the packaged ones of
        both.
    touch_up
        Noise for the altered place: ``"copied"`` from elsewhere in the scan, or ``"interpolated"`` Gaussian noise.

    Raises
    ------
    ForgeError
        If there are no such weights, or no such touch-up.
    """
    if touch_up not in TOUCH_UPS:
        raise ForgeError(f"There is no touch-up '{touch_up}'. Choose {' or '.join(TOUCH_UPS)}.")
    folders = [Path(weights)] if weights is not None else _packaged()
    painters = [_Painter.read(folder) for folder in folders]
    return Gan({painter.action: painter for painter in painters}, touch_up)


class Gan:
    """Tampering with a generator; see `tamperscan.forge.method.Method`.

    Parameters
    ----------
    painters
        A generator for each action that there are weights for.
    touch_up
        Kind of noise for the altered place.
    """

    name = NAME

    def __init__(self, painters: Mapping[Action, _Painter], touch_up: TouchUp) -> None:
        self._painters = dict(painters)
        self._touch_up: TouchUp = touch_up
        hashes = {action: painter.sha256 for action, painter in self._painters.items()}
        self.settings: Mapping[str, Any] = {"touch_up": touch_up, "weights": hashes}

    def check(self, site: Site, action: Action) -> None:
        """Refuse other modalities, places without lung, lesions too large for the cube, and missing weights.

        Raises
        ------
        ForgeError
            With what would do.
        """
        name = site.scan.name
        if action not in self._painters:
            known = " and ".join(self._painters)
            raise ForgeError(f"{name}: the weights given are made to {known}, not to {action}. Give another folder.")
        if site.scan.modality != "CT":
            raise ForgeError(f"{name}: the method 'gan' was made for chest CT, and this is {site.scan.modality}.")
        largest = 2.0 * (LARGEST_CORE * site.region_mm / SIDE - MARGIN_MM)
        if site.diameter_mm > largest:
            raise ForgeError(
                f"{name}: a lesion of {site.diameter_mm:g} mm leaves the method 'gan' no room in a region of"
                f" {site.region_mm:g} mm. Choose at most {max(largest, 0.0):g} mm, or a larger region."
            )
        if not _near_lung(site):
            raise ForgeError(
                f"{name}: there is no lung within {_LUNG_WITHIN_MM:g} mm of that place, and the method 'gan' knows"
                " nothing else. Choose a place in the lung."
            )

    def alter(self, site: Site, action: Action, rng: np.random.Generator) -> Voxels:
        """Complete the masked core, paste the change and touch it up."""
        radius, cube = core_radius(site), cut_cube(site)
        change = self._painters[action].paint(cube, radius, site, rng)
        weight = np.clip(resample_cube(site, blend_weight(radius)), 0.0, 1.0)
        weight[weight < _LEAST_WEIGHT] = 0.0
        # What the cube was too coarse to hold, sharp edges above all, would stay as a ghost of what was there.
        ghost = weight * (site.voxels - resample_cube(site, cube))
        touched = touch_up(site, paste_change(site, change) - ghost, weight, self._touch_up, rng)
        altered: Voxels = np.where(weight > 0, touched, site.voxels).astype(np.float32)
        return altered


class _Painter:
    """A generator with what it needs to work on HU."""

    def __init__(self, network: Generator, equalisation: Equalisation, action: Action, sha256: str) -> None:
        self.network, self.equalisation, self.action, self.sha256 = network, equalisation, action, sha256

    @classmethod
    def read(cls, folder: Path) -> _Painter:
        stored = read_weights(folder, kind=NAME)
        try:
            action = stored.card["action"]
            network = Generator(GanSettings.from_card(stored.card["network"]))
            network.load_state_dict(stored.state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ForgeError(f"{folder}: its card does not fit its tensors. Train the weights anew.") from error
        if action not in ACTIONS:
            raise ForgeError(f"{folder}: its card names the action '{action}'. It must be {' or '.join(ACTIONS)}.")
        return cls(network.eval(), read_equalisation(stored.card), action, stored.sha256)

    def paint(self, cube: Voxels, radius: float, site: Site, rng: np.random.Generator) -> Voxels:
        """Return what completing the core changes, float32 ``[32, 32, 32]`` in HU."""
        known = self.equalisation.equalise(cube)
        noise = rng.standard_normal(cube.shape, dtype=np.float32)
        diameter = site.diameter_mm * SIDE / site.region_mm
        shape = draw_shape(diameter, rng) if self.action == "inject" else np.zeros_like(cube)
        told = condition_of(*(torch.from_numpy(part)[None, None] for part in (known, core(radius), noise, shape)))
        made = self._complete(told)
        weight = blend_weight(radius)
        completed = self.equalisation.restore(known + weight * (made - known))
        # Bone and air beyond the equalised range stay what they are outside the core.
        beyond = cube - self.equalisation.restore(known)
        change: Voxels = completed + (1.0 - weight) * beyond - cube
        return change

    def _complete(self, told: torch.Tensor) -> Voxels:
        """Complete a cube as the mean over a few shifts of it.

        The coarse levels of a U-Net leave a pattern of a few voxels' period that stays where it is when the cube is
        shifted ("cycle spinning", Coifman and Donoho 1995, section 3), so that the mean loses it.
        """
        made = np.zeros((SIDE, SIDE, SIDE), dtype=np.float32)
        with torch.inference_mode():
            for shift in _SHIFTS:
                moved = self.network(told.roll(shift, dims=(2, 3, 4)))
                made += moved.roll([-by for by in shift], dims=(2, 3, 4))[0, 0].numpy() / len(_SHIFTS)
        return made


def _packaged() -> list[Path]:
    return [packaged_folder(f"{NAME}-{action}") for action in ACTIONS]


def _near_lung(site: Site) -> bool:
    index = site.start[0] + site.centre[0]
    row, column = (first + middle for first, middle in zip(site.start[1:], site.centre[1:], strict=True))
    lung = lung_mask(site.scan.voxels[index], site.spacing_mm[1:])
    rows, columns = np.ogrid[: lung.shape[0], : lung.shape[1]]
    off = np.hypot((rows - row) * site.spacing_mm[1], (columns - column) * site.spacing_mm[2])
    return bool((lung & (off <= _LUNG_WITHIN_MM)).any())
