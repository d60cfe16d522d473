"""The noise predictor at run time: an ONNX network, arrays in, arrays out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tamperscan.diffusion.networks import Device, Precision, open_network
from tamperscan.diffusion.runtime import pad_to_stride
from tamperscan.diffusion.weights import Weights


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
    calls, device, precision
        As for `tamperscan.diffusion.networks.open_network`. Only low-noise networks are run in less than float32: what
        the published ones take away is a hundredth of what they are shown.

    Attributes
    ----------
    network
        The network itself.

    Raises
    ------
    WeightsError
        If the runtime can't load the network.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        threads: int | None = None,
        calls: int = 1,
        device: Device = "auto",
        precision: Precision = "auto",
    ) -> None:
        self.stride = weights.card.stride
        self.network = open_network(
            weights.network_path,
            threads=threads,
            calls=calls,
            device=device,
            precision=precision if weights.card.kind == "low-noise" else "float32",
            advice="Make the weights anew.",
        )

    @property
    def runtime(self) -> str:
        """What runs the network, for people."""
        return self.network.runtime

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
        if self.network.wants_batches:
            return self.predict_batch(np.repeat(image[None], len(levels), axis=0), levels)
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
        padded = pad_to_stride(images, self.stride)[:, None].astype(np.float32, copy=False)
        noise = self.network.run({"image": padded, "level": levels.astype(np.float32, copy=False)})
        return noise[:, 0, :rows, :columns]
