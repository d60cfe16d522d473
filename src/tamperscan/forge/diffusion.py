"""The forging method 'diffusion': in-painting with a diffusion model of authentic CT, trained by this package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.errors import ForgeError
from tamperscan.forge.diffusion_network import TripleUNet, TripleUNetSettings, cut_triples
from tamperscan.forge.diffusion_sampling import Predict, inpaint
from tamperscan.forge.diffusion_training import KIND
from tamperscan.forge.method import Action
from tamperscan.forge.site import Site, Spacing, Voxels
from tamperscan.forge.surroundings import look
from tamperscan.forge.template import fill_lesion, paste_nodule, release_map
from tamperscan.forge.weights import ForgeWeights, packaged_folder, read_weights
from tamperscan.scan.windows import IntensityWindow

# What the model sees of the untouched scan before and after the altered slices.
_CONTEXT_SLICES: Final = 2
# Slices in one pass of the network; more need more memory and gain nothing.
_BATCH: Final = 16


@dataclass(frozen=True)
class DiffusionOptions:
    """What a user may choose.

    Attributes
    ----------
    steps
        Noise levels to visit, from 2 on.
    jump, rounds
        Resampling: every stretch of ``jump`` levels is gone down ``rounds`` times.
    inject, remove
        Strength of the noise for each action, 0 to 1: from which share of the noise levels on the guide is noised, a
        rough nodule or the lesion filled in. More leaves the model more freedom; at 1 nothing is left of the guide.
    """

    steps: int = 60
    jump: int = 6
    rounds: int = 2
    inject: float = 0.4
    remove: float = 0.8

    def __post_init__(self) -> None:
        if self.steps < 2 or min(self.jump, self.rounds) < 1:
            raise ForgeError(
                "The method 'diffusion' needs steps from 2 on, jump and rounds from 1 on; these are "
                f"{self.steps}, {self.jump} and {self.rounds}."
            )
        if not (0.0 < self.inject <= 1.0 and 0.0 < self.remove <= 1.0):
            raise ForgeError(
                "The method 'diffusion' needs strengths above 0 and at most 1 for inject and remove; these are "
                f"{self.inject:g} and {self.remove:g}."
            )


class Diffusion:
    """Tampers by in-painting with a diffusion model.

    Attributes
    ----------
    name
        ``"diffusion"``.
    settings
        Hash of the weights, and the options.
    """

    name = "diffusion"

    def __init__(self, weights: ForgeWeights, network: TripleUNet, options: DiffusionOptions) -> None:
        self.settings: Mapping[str, Any] = {"weights": weights.sha256, **asdict(options)}
        self._options = options
        self._modality = str(weights.card["modality"])
        self._window = IntensityWindow(*weights.card["window"])
        self._schedule = noise_schedule(weights.card["schedule"], weights.card["timesteps"])
        self._crop_px = int(weights.card["crop_px"])
        self._network = network

    def check(self, site: Site, action: Action) -> None:
        """Refuse a scan of another modality than the weights were trained on.

        Raises
        ------
        ForgeError
            If the modality is another.
        """
        if site.scan.modality != self._modality:
            raise ForgeError(
                f"{site.scan.name}: the method 'diffusion' has weights for {self._modality}, and this scan is "
                f"{site.scan.modality}. Choose another method, or give weights that were trained on such scans."
            )

    def alter(self, site: Site, action: Action, rng: np.random.Generator) -> Voxels:
        """Return float32 ``[slice, row, column]``: the site's voxels with the lesion put in or taken out."""
        self.check(site, action)
        release = release_map(site, self._window, rng)
        if action == "inject":
            guide, strength = paste_nodule(site, release, rng), self._options.inject
        else:
            guide, strength = fill_lesion(site, release), self._options.remove
        release *= np.float32(strength)
        view = look(site, release > 0.0, side=self._crop_px, stride=self._network.stride, slices=_CONTEXT_SLICES)
        stack = self._window.to_model(view.cut(site, guide))
        drawn = inpaint(
            self._predictor(site.spacing_mm),
            stack,
            view.place(release),
            self._schedule,
            rng,
            steps=self._options.steps,
            jump=self._options.jump,
            rounds=self._options.rounds,
        )
        altered = site.voxels.copy()
        drawn_hu = self._window.from_model(drawn[view.inner])
        altered[view.part] = np.where(release[view.part] > 0.0, drawn_hu, site.voxels[view.part])
        return altered

    def regenerate(self, voxels: Voxels, release: Voxels, spacing_mm: Spacing, rng: np.random.Generator) -> Voxels:
        """Noise voxels to a low level and draw them anew from there, which keeps their content and not their texture.

        Parameters
        ----------
        voxels
            float32 ``[slice, row, column]`` in HU.
        release
            float32, same shape: from which share of the noise levels on a voxel is free; 0 for never. What lies beyond
            the model's window stays as it is.
        spacing_mm
            Distance of voxels along (slice, row, column).
        rng
            Decides all noise.

        Returns
        -------
        float32, same shape, in HU.
        """
        free = np.where((voxels > self._window.low) & (voxels < self._window.high), release, np.float32(0.0))
        sides = [(0, 0), *((0, -side % self._network.stride) for side in voxels.shape[1:])]
        drawn = inpaint(
            self._predictor(spacing_mm),
            np.pad(self._window.to_model(voxels), sides, mode="edge"),
            np.pad(free, sides),
            self._schedule,
            rng,
            steps=self._options.steps,
            jump=self._options.jump,
            rounds=self._options.rounds,
        )[:, : voxels.shape[1], : voxels.shape[2]]
        regenerated: Voxels = np.where(free > 0.0, self._window.from_model(drawn), voxels)
        return regenerated

    def _predictor(self, spacing_mm: Spacing) -> Predict:
        """Bind the network to the scan's distances."""
        distances = torch.tensor([[spacing_mm[0], spacing_mm[2]]])

        def predict(stack: Voxels, sigma: float) -> Voxels:
            triples = cut_triples(torch.from_numpy(stack)).contiguous(memory_format=torch.channels_last)
            with torch.inference_mode():
                parts = [
                    self._network(some, torch.full((len(some),), sigma), distances.expand(len(some), 2))
                    for some in torch.split(triples, _BATCH)
                ]
            velocity: Voxels = torch.cat(parts).numpy()
            return velocity

        return predict


def make(weights: str | None = None, **options: Any) -> Diffusion:
    """Make the method.

    Parameters
    ----------
    weights
        Folder made by `tamperscan.forge.diffusion_training.train_diffusion`; None for the packaged weights.
    options
        As in `DiffusionOptions`.

    Raises
    ------
    ForgeError
        If there are no such weights, or an option makes no sense.
    """
    chosen = DiffusionOptions(**options)
    folder = packaged_folder("diffusion") if weights is None else Path(weights)
    opened = read_weights(folder, KIND)
    return Diffusion(opened, _build(opened, folder), chosen)


def _build(weights: ForgeWeights, folder: Path) -> TripleUNet:
    settings = weights.card["network"]
    network = TripleUNet(TripleUNetSettings(tuple(settings["widths"]), settings["blocks"]))
    try:
        network.load_state_dict(weights.state)
    except RuntimeError as error:
        raise ForgeError(
            f"{folder}: the tensors are not of the network that their card describes. Train anew."
        ) from error
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
