"""The noise predictor at run time: an ONNX network, arrays in, arrays out."""

from __future__ import annotations

import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tamperscan.diffusion.runtime import onnxruntime
from tamperscan.diffusion.weights import Weights
from tamperscan.errors import WeightsError


class Predictor(Protocol):
    """Something that predicts the noise of one image at several levels."""

    stride: int

    def predict(self, image: NDArray[np.float32], levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 ``[level, row, column]`` for an image ``[row, column]`` of any size, in model units."""
        ...


class NoisePredictor:
    """Predicts the noise in images at given levels.

    Parameters
    ----------
    weights
        A checked folder of weights.
    threads
        CPU threads; None for one each core that this process may use.

    Raises
    ------
    WeightsError
        If the runtime can't load the network.
    """

    def __init__(self, weights: Weights, *, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0)) if _LINUX else threads or 0
        options.log_severity_level = 3
        # An arena keeps every buffer of the largest slice for good; without it memory stays low on long series.
        options.enable_cpu_mem_arena = False
        self.stride = weights.card.stride
        try:
            self._session = onnxruntime.InferenceSession(
                weights.network_path, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises classes of its own that it does not export
            raise WeightsError(f"{weights.network_path}: can't be run ({error}). Make the weights anew.") from error

    def predict(self, image: NDArray[np.float32], levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict the noise of one image at several levels.

        Parameters
        ----------
        image
            float32 ``[row, column]`` in model units.
        levels
            float32 ``[level]``: sigma in model units for a low-noise network, the step t for a published one.

        Returns
        -------
        float32 ``[level, row, column]``: the standardised noise.
        """
        return np.concatenate([self.predict_batch(image[None], np.array([level])) for level in levels])

    def predict_batch(self, images: NDArray[np.float32], levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict the noise of images, each at its own level.

        Parameters
        ----------
        images
            float32 ``[n, row, column]`` in model units.
        levels
            float32 ``[n]``.

        Returns
        -------
        float32 ``[n, row, column]``.
        """
        rows, columns = images.shape[1:]
        padding = ((0, 0), (0, -rows % self.stride), (0, -columns % self.stride))
        padded = np.pad(images, padding, mode="edge")[:, None].astype(np.float32, copy=False)
        noise: NDArray[np.float32] = self._session.run(
            None, {"image": padded, "level": levels.astype(np.float32, copy=False)}
        )[0]
        return noise[:, 0, :rows, :columns]


_LINUX = hasattr(os, "sched_getaffinity")
