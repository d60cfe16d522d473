"""The forging method 'latent': in-painting with a latent diffusion model, such as a fine-tuned Stable Diffusion.

It takes weights of the user's own; none come with the package. The model knows no third dimension: each slice is
painted by itself, all from the same noise, and blended in by a mask that fades over the slices as it does within them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from tamperscan.errors import ForgeError
from tamperscan.forge.latent_pipeline import LatentPainter
from tamperscan.forge.method import Action
from tamperscan.forge.site import Site, Voxels
from tamperscan.forge.surroundings import look
from tamperscan.forge.template import fill_lesion, paste_nodule, release_map
from tamperscan.scan.windows import LUNG_NOISE_CT

PROMPTS: Final = MappingProxyType(
    {
        "inject": "axial chest CT, lung window, a solid pulmonary nodule",
        "remove": "axial chest CT, lung window, healthy lung tissue with vessels",
    }
)
"""What the model is asked for, where the user says nothing else."""


@dataclass(frozen=True)
class LatentOptions:
    """What a user may choose.

    Attributes
    ----------
    prompt
        What to paint; empty for `PROMPTS`.
    steps
        Noise levels to visit from pure noise on.
    guidance
        How closely to follow the prompt.
    inject, remove
        Strength of the noise for each action, 0 to 1: from which share of the noise levels on the guide is noised, a
        rough nodule or the lesion filled in.
    field_mm
        Side of the square that the model sees, scaled to its own size.
    """

    prompt: str = ""
    steps: int = 40
    guidance: float = 5.0
    inject: float = 0.7
    remove: float = 0.9
    field_mm: float = 96.0

    def __post_init__(self) -> None:
        strengths = (self.inject, self.remove)
        # With less than one step diffusers would fail.
        if self.steps < 1 or min(strengths) < 1 / max(1, self.steps) or max(strengths) > 1.0 or self.field_mm <= 0.0:
            raise ForgeError(
                "The method 'latent' needs steps from 1 on, strengths from 1/steps to 1 for inject and remove, and a "
                f"field above 0 mm; these are {self.steps}, {self.inject:g}, {self.remove:g} and {self.field_mm:g}."
            )


class Latent:
    """Tampers by in-painting with a latent diffusion model.

    Attributes
    ----------
    name
        ``"latent"``.
    settings
        Hash of the weights, the options and the window.
    """

    name = "latent"

    def __init__(self, painter: LatentPainter, options: LatentOptions) -> None:
        self._painter, self._options, self._window = painter, options, LUNG_NOISE_CT
        window = [self._window.low, self._window.high]
        self.settings: Mapping[str, Any] = {"weights": painter.sha256, "window": window, **asdict(options)}

    def check(self, site: Site, action: Action) -> None:
        """Refuse all but CT: grey values need a window that is the same in every scan.

        Raises
        ------
        ForgeError
            If the scan is no CT.
        """
        if site.scan.modality != "CT":
            raise ForgeError(
                f"{site.scan.name}: the method 'latent' works on CT, and this scan is {site.scan.modality}. Choose "
                "another method."
            )

    def alter(self, site: Site, action: Action, rng: np.random.Generator) -> Voxels:
        """Return float32 ``[slice, row, column]``: the site's voxels with the lesion put in or taken out."""
        self.check(site, action)
        share = release_map(site, self._window, rng)
        guide = paste_nodule(site, share, rng) if action == "inject" else fill_lesion(site, share)
        view = look(site, share > 0.0, side=round(self._options.field_mm / site.spacing_mm[2]))
        seed = int(rng.integers(2**31))
        masks = view.place(share) > 0.0
        shown = self._window.to_unit(view.cut(site, guide))
        drawn = np.stack([self._paint(*pair, action, seed) for pair in zip(shown, masks, strict=True)])
        difference = self._window.from_unit(drawn)[view.inner] - site.voxels[view.part]
        altered = site.voxels.copy()
        altered[view.part] += share[view.part] * difference
        return altered

    def _paint(self, image: Voxels, mask: Voxels, action: Action, seed: int) -> Voxels:
        """Paint one slice."""
        options = self._options
        return self._painter.paint(
            image,
            mask.astype(np.float32),
            options.prompt or PROMPTS[action],
            seed=seed,
            strength=options.inject if action == "inject" else options.remove,
            steps=options.steps,
            guidance=options.guidance,
        )


def make(weights: str | None = None, **options: Any) -> Latent:
    """Make the method.

    Parameters
    ----------
    weights
        Folder of a Stable Diffusion in-painting pipeline, as diffusers' ``save_pretrained`` writes it.
    options
        As in `LatentOptions`.

    Raises
    ------
    ForgeError
        If there is no such folder, or diffusers is not installed, or an option makes no sense.
    """
    if weights is None:
        raise ForgeError(
            "The method 'latent' comes without weights. Give a folder with a Stable Diffusion in-painting pipeline, as "
            "'save_pretrained' of diffusers writes it (safetensors), as --weights."
        )
    return Latent(LatentPainter(Path(weights)), LatentOptions(**options))
