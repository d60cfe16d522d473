"""Open a network with the quickest runtime that is installed.

``onnxruntime`` in float32 comes with every install. ``openvino`` (an extra) runs the same file in bfloat16 where the
processor multiplies that faster, which takes a fraction of the time. On a GPU it is torch (the extra ``gpu``) in
bfloat16, or else onnxruntime's build for CUDA, where they are installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from tamperscan.diffusion.gpu import torch_has_gpu, torch_may_have_gpu
from tamperscan.diffusion.openvino_runtime import OpenVinoNetwork, openvino_is_fast
from tamperscan.diffusion.runtime import OnnxNetwork, cuda_is_there
from tamperscan.errors import WeightsError

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32"]
DEVICES: Final[tuple[Device, ...]] = get_args(Device)


class Network(Protocol):
    """A network that is ready to run."""

    runtime: str
    """What runs it, for people: runtime, version, number format, device."""

    wants_batches: bool
    """Whether several images in one call take less than one after the other; on a CPU they take more memory only."""

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the network's one output; may be called from several threads at a time."""
        ...


def open_network(
    path: Path,
    *,
    advice: str,
    threads: int | None = None,
    calls: int = 1,
    device: Device = "auto",
    precision: Precision = "auto",
) -> Network:
    """Load a network.

    Parameters
    ----------
    path
        ONNX file.
    advice
        What to do where it can't be run, a sentence.
    threads
        CPU threads; None for one each core that this process may use.
    calls
        How many calls there will be at a time: they share the threads.
    device
        ``"cuda"`` for an NVIDIA GPU, ``"cpu"``, or ``"auto"`` for the GPU where there is one.
    precision
        ``"float32"``, or ``"auto"`` for bfloat16 where that is quicker.

    Raises
    ------
    WeightsError
        If no runtime can load the network, or the device is not there.
    """
    if device not in DEVICES:
        raise WeightsError(f"there is no device '{device}'. Choose {', '.join(DEVICES)}.")
    if device != "cpu" and (network := _on_gpu(path, threads, calls, advice, device, precision)) is not None:
        return network
    if precision == "auto" and openvino_is_fast():
        return OpenVinoNetwork(path, threads=threads, calls=calls, advice=advice)
    return OnnxNetwork(path, threads=threads, calls=calls, advice=advice)


def _on_gpu(
    path: Path, threads: int | None, calls: int, advice: str, device: Device, precision: Precision
) -> Network | None:
    """Load a network for a GPU; None where there is none, or nothing that runs it there, and it was not asked for."""
    told: WeightsError | None = None
    if (device == "cuda" or torch_may_have_gpu()) and torch_has_gpu():
        from tamperscan.diffusion.torch_runtime import TorchNetwork

        try:
            return TorchNetwork(path, precision=precision, advice=advice)
        except WeightsError as error:
            # onnxruntime knows operators that ours does not, and tells of a damaged file as well.
            told = error
    if cuda_is_there():
        return OnnxNetwork(path, threads=threads, calls=calls, advice=advice, cuda=True)
    if device == "cuda":
        raise told or WeightsError(
            "no CUDA device can be used: there is no GPU, or nothing is installed that runs networks on it. Install"
            " torch with CUDA (pip install 'tamperscan[gpu]') or onnxruntime-gpu in the place of onnxruntime, or"
            " choose the device cpu."
        )
    return None
