"""The in-painting pipeline of diffusers, from a folder on this machine and never from the network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tamperscan.diffusion.weights import file_sha256
from tamperscan.errors import ForgeError

INDEX_FILE: Final = "model_index.json"
_PICKLES: Final = (".bin", ".ckpt", ".pt", ".pth", ".pkl")
_TENSORS: Final = ".safetensors"
# The parts that hold tensors; each has a folder of this name.
_NETWORKS: Final = ("unet", "vae", "text_encoder")

Image = NDArray[np.float32]


class LatentPainter:
    """In-paints single images of grey values with a latent diffusion model.

    Parameters
    ----------
    folder
        A pipeline for `StableDiffusionInpaintPipeline`, as its ``save_pretrained`` writes it, with safetensors.

    Attributes
    ----------
    sha256
        One hash for all files that decide what is painted.

    Raises
    ------
    ForgeError
        If diffusers is not installed, or the folder holds no such pipeline, pickles instead of safetensors, or code.
    """

    def __init__(self, folder: Path) -> None:
        check_folder(folder)
        self.sha256 = _folder_sha256(folder)
        self._pipeline = _open(folder)
        self._side = int(self._pipeline.unet.config.sample_size * self._pipeline.vae_scale_factor)

    def paint(
        self, image: Image, mask: Image, prompt: str, *, seed: int, strength: float, steps: int, guidance: float
    ) -> Image:
        """Paint anew what the mask covers.

        Parameters
        ----------
        image
            float32 ``[row, column]``, 0 to 1.
        mask
            float32, same shape: 1 where to paint, 0 elsewhere.
        prompt
            What to paint.
        seed
            Of the noise: the same for neighbouring slices, so that they get the same content.
        strength
            From which share of the noise levels on; 1 for nothing known.
        steps
            Noise levels to visit, if the strength is 1.
        guidance
            How closely to follow the prompt (classifier-free guidance).

        Returns
        -------
        float32, same shape, 0 to 1. Its untouched part went through the model's encoder, too: paste only the mask.
        """
        painted = self._pipeline(
            prompt=prompt,
            image=_resized(image, self._side, self._side).expand(1, 3, -1, -1),
            mask_image=(_resized(mask, self._side, self._side) > 0.5).float(),
            height=self._side,
            width=self._side,
            strength=strength,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).images[0]
        grey = painted.mean(axis=-1).astype(np.float32)
        back: Image = _resized(grey, *image.shape)[0, 0].numpy()
        return back


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds no pipeline, or one that could run code: pickled weights, or Python files.

    Raises
    ------
    ForgeError
        With what to give instead.
    """
    if not (folder / INDEX_FILE).is_file():
        raise ForgeError(
            f"{folder}: holds no pipeline of diffusers ({INDEX_FILE} is missing). Give the folder that "
            "'save_pretrained' of a Stable Diffusion in-painting pipeline wrote."
        )
    code = next(iter(sorted(folder.rglob("*.py"))), None)
    if code is not None:
        raise ForgeError(f"{code}: weights must hold no program code. Remove it, if the pipeline works without.")
    for name in _NETWORKS:
        files = sorted((folder / name).glob("*"))
        if any(file.suffix == _TENSORS for file in files):
            continue
        if any(file.suffix in _PICKLES for file in files):
            raise ForgeError(
                f"{folder / name}: holds pickled weights, which can run code when they are opened. Save the pipeline "
                "anew with safe_serialization=True, and give that folder."
            )
        raise ForgeError(f"{folder / name}: holds no weights ({_TENSORS}). Give the whole pipeline.")


def _open(folder: Path) -> Any:
    try:
        from diffusers import StableDiffusionInpaintPipeline
    except ImportError as error:
        raise ForgeError(
            f"The method 'latent' needs packages that are not installed ({error.name}). "
            "Run: pip install 'tamperscan[latent]'."
        ) from error
    try:
        pipeline = StableDiffusionInpaintPipeline.from_pretrained(  # type: ignore[no-untyped-call]
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            # It is made for photographs, and would blacken a slice that it takes offence at.
            safety_checker=None,
            requires_safety_checker=False,
        )
    except Exception as error:  # diffusers and its parts raise whatever they like at a damaged folder
        raise ForgeError(f"{folder}: can't be opened as an in-painting pipeline ({error}). Save it anew.") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to("cuda" if torch.cuda.is_available() else "cpu")


def _folder_sha256(folder: Path) -> str:
    """Hash the names and contents of all files that are read."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (_TENSORS, ".json", ".txt"):
            digest.update(f"{path.relative_to(folder).as_posix()} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _resized(image: Image, rows: int, columns: int) -> Tensor:
    """Bring an image to a size: ``[1, 1, row, column]``."""
    tensor = torch.from_numpy(np.ascontiguousarray(image))[None, None]
    resized = functional.interpolate(tensor, (rows, columns), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0.0, 1.0)
