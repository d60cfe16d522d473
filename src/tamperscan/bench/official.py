"""The published network as the official code runs it, to be timed; needs torch.

Its weights are random: the time does not depend on them.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from tamperscan.bench.tiles import TILE_PX, Images, Step
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.published import PublishedUNet
from tamperscan.diffusion.weights import Card

# The official pipeline may take its tiles in the batch that suits the machine best.
BATCHES = (1, 6, 36)


def published_network(threads: int) -> PublishedUNet:
    """Make the published network of 9.2 M parameters, and give torch so many threads."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    return PublishedUNet().eval()


def torch_step(network: PublishedUNet, batch: int) -> Step:
    """Return what predicts the noise of tiles in torch, ``batch`` tiles a call."""

    def step(tiles: Images) -> Images:
        with torch.inference_mode():
            parts = torch.split(torch.from_numpy(tiles)[:, None], batch)
            noise: Images = torch.cat([network(part, torch.zeros(len(part))) for part in parts])[:, 0].numpy()
        return noise

    return step


def quickest_batch(network: PublishedUNet, tiles: Images) -> int:
    """Try which of `BATCHES` suits this machine best."""
    took = {}
    for batch in BATCHES:
        step = torch_step(network, batch)
        step(tiles[:batch])
        begun = time.perf_counter()
        step(tiles)
        took[batch] = time.perf_counter() - begun
    return min(took, key=lambda batch: took[batch])


def exported_step(network: PublishedUNet, batch: int, threads: int) -> Step:
    """Return what predicts the noise of tiles in onnxruntime, ``batch`` tiles a call.

    Raises
    ------
    ImportError
        If what the export needs is not installed.
    WeightsError
        If the exported network does not give what the network gives.
    """
    predictor = _exported(network, threads)

    def step(tiles: Images) -> Images:
        parts = [tiles[start : start + batch] for start in range(0, len(tiles), batch)]
        return np.concatenate([predictor.predict_batch(part, np.zeros(len(part), np.float32)) for part in parts])

    return step


def _exported(network: PublishedUNet, threads: int) -> NoisePredictor:
    from tamperscan.diffusion.export import export_weights

    card = Card(name="published", kind="published", modality="CT", window=None, crop_px=TILE_PX, schedule="sigmoid")
    with tempfile.TemporaryDirectory() as folder:
        return NoisePredictor(export_weights(network, card, Path(folder), safetensors=False), threads=threads)
