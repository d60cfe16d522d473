"""What the published libraries compute, kept as data, and how it was made.

tests/data holds, for each layout of the network, the names and shapes of its parameters for dim 32
(``unet_*_shapes.json``) and what the library's own network and reverse step give for seeded weights and
images (``unet_*_fixture.npz``). Both were written by this file, run once with each library on the path:

    python tests/diffusion/unet_reference.py 1.8.3                  # denoising_diffusion_pytorch 1.8.3
    python tests/diffusion/unet_reference.py weight-standardised    # denoising_diffusion_pytorch 1.5.4

Version 1.5.4 has, line for line, the network that the official training scripts carry. Packages that only
training needs (torchvision, ema_pytorch, pytorch_fid, accelerate) may be missing: empty modules stand in.
"""

import importlib
import json
import sys
import warnings
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np

DATA = Path(__file__).parents[1] / "data"
STEM = {"1.8.3": "unet_1.8.3", "weight-standardised": "unet_weight_standardised"}
SMALL_DIM = 8
FULL_DIM = 32
DIM_MULTS = (1, 2, 4, 8)


def published_shapes(variant):
    """Names and shapes of the parameters for dim 32."""
    shapes = json.loads((DATA / f"{STEM[variant]}_shapes.json").read_text())
    return {name: tuple(shape) for name, shape in shapes.items()}


def published_numbers(variant):
    """Images and what the library made of them: a dict of arrays, see ``compute``."""
    with np.load(DATA / f"{STEM[variant]}_fixture.npz") as arrays:
        return dict(arrays)


def seeded_weights(shapes, seed=0):
    """Weights that anyone can make again: NumPy keeps the stream of RandomState as it is for good."""
    stream = np.random.RandomState(seed)
    weights = {}
    for name in sorted(shapes):
        drawn = stream.standard_normal(shapes[name])
        if name.endswith((".g", "norm.weight")):
            weights[name] = 1 + 0.1 * drawn
        elif len(shapes[name]) > 1:
            weights[name] = drawn / np.sqrt(np.prod(shapes[name][1:]))
        else:
            weights[name] = 0.1 * drawn
    return {name: weight.astype(np.float32) for name, weight in weights.items()}


def images(shape, seed=1):
    """Images in model units that reach both ends, so that clamping shows."""
    drawn = np.random.RandomState(seed).uniform(-1.2, 1.2, shape)
    return np.clip(drawn, -1, 1).astype(np.float32)


def shapes_of(network):
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def with_seeded_weights(network):
    import torch

    weights = seeded_weights(shapes_of(network))
    network.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    return network.eval()


def library():
    """Import denoising_diffusion_pytorch, whatever it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("denoising_diffusion_pytorch.denoising_diffusion_pytorch")


def compute(source):
    """What the library gives: noise of two networks, one reverse step, and its schedules."""
    import torch

    small = with_seeded_weights(source.Unet(SMALL_DIM, dim_mults=DIM_MULTS, channels=1))
    full = with_seeded_weights(source.Unet(FULL_DIM, dim_mults=DIM_MULTS, channels=1))
    diffusion = source.GaussianDiffusion(small, image_size=32, objective="pred_noise", timesteps=1000)
    image, t = torch.from_numpy(images((3, 1, 32, 32))), torch.tensor([0, 1, 700])
    full_image, full_t = torch.from_numpy(images((1, 1, 24, 16))), torch.tensor([3])
    late = torch.full((3,), 500)
    with torch.no_grad():
        arrays = {
            "image": image,
            "t": t,
            "noise": small(image, t),
            "noise_0": small(image, torch.zeros_like(t)),
            "step_0": diffusion.p_sample(image, 0)[0],
            "noise_500": small(image, late),
            "mean_500": diffusion.p_mean_variance(image, late)[0],
            "full_image": full_image,
            "full_t": full_t,
            "full_noise": full(full_image, full_t),
        }
    for name in ("sigmoid", "linear", "cosine"):
        arrays[f"betas_{name}"] = getattr(source, f"{name}_beta_schedule")(1000).float()
    return {name: array.numpy() for name, array in arrays.items()}, shapes_of(full)


def main(variant):
    for missing in (
        "torchvision",
        "ema_pytorch",
        "pytorch_fid",
        "pytorch_fid.inception",
        "pytorch_fid.fid_score",
        "accelerate",
    ):
        sys.modules[missing] = MagicMock()
    arrays, shapes = compute(library())
    np.savez_compressed(DATA / f"{STEM[variant]}_fixture.npz", **arrays)
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(shapes[name])}" for name in sorted(shapes))
    (DATA / f"{STEM[variant]}_shapes.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main(sys.argv[1])
