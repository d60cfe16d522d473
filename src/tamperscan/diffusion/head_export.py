"""From trained members to a head that runs without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tamperscan.diffusion.export import export_onnx
from tamperscan.diffusion.head import HeadEnsemble
from tamperscan.diffusion.runtime import onnxruntime
from tamperscan.errors import WeightsError

# Float32 sums in another order; a real fault of an export is orders of magnitude larger.
_TOLERANCE = 1e-3
_LARGEST_SIDE_STEPS = 1024


def export_head(ensemble: HeadEnsemble, levels: int, path: Path) -> None:
    """Write the members of a head as one ONNX network.

    Parameters
    ----------
    ensemble
        On the CPU.
    levels
        Number of noise levels that it is shown.
    path
        The file to write.

    Raises
    ------
    WeightsError
        If the exported network does not give what the members give.
    """
    ensemble = ensemble.eval()
    example = _example(levels, 2, 8 * ensemble.stride)
    count = torch.export.Dim("n", min=1, max=4096)
    sides = [torch.export.Dim(name, min=2, max=_LARGEST_SIDE_STEPS) for name in ("rows_by_stride", "columns_by_stride")]
    dims = {0: count, 2: ensemble.stride * sides[0], 3: ensemble.stride * sides[1]}
    export_onnx(ensemble, example, (dims, dims), path, inputs=["image", "noise"], output="log_odds")
    _compare(ensemble, levels, path)


def _example(levels: int, count: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((count, 1, side, side), generator=generator) * 2 - 1
    return image, torch.randn((count, levels, side, side), generator=generator)


def _compare(ensemble: HeadEnsemble, levels: int, path: Path) -> None:
    image, noise = _example(levels, 1, 10 * ensemble.stride)
    with torch.inference_mode():
        wanted = ensemble(image, noise).numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    got = session.run(None, {"image": image.numpy(), "noise": noise.numpy()})[0]
    gap = float(np.abs(got - wanted).max()) / max(1.0, float(np.abs(wanted).max()))
    if not gap < _TOLERANCE:
        raise WeightsError(f"{path}: the exported head differs from the trained one by {gap:.2g} of its range.")
