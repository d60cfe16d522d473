"""A student and its teacher as a detector calls a predictor, both run by torch; and what each takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from tamperscan.diffusion.student import StudentUNet, teach
from tamperscan.diffusion.unet import LocalUNet

_TIMED_PX = 256

Way = Callable[[torch.Tensor], torch.Tensor]


class StudentPredictor:
    """A student as a detector calls a predictor; it gives its own levels, whatever it is asked."""

    def __init__(self, student: StudentUNet) -> None:
        self._student, self.stride = student.eval(), student.stride

    def predict(self, image: NDArray[np.float32], levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 ``[level, row, column]`` in one pass."""
        if len(levels) != len(self._student.sigmas):
            raise ValueError(f"the student gives {len(self._student.sigmas)} levels, not {len(levels)}")
        return _run(self._student, image, self.stride)


class TeacherPredictor:
    """The teacher in torch, so that both are run by the same program."""

    def __init__(self, teacher: LocalUNet) -> None:
        self._teacher, self.stride = teacher.eval(), teacher.stride

    def predict(self, image: NDArray[np.float32], levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 ``[level, row, column]``, one pass a level."""
        sigmas = tuple(float(level) for level in levels)
        return _run(lambda shown: teach(self._teacher, shown, sigmas), image, self.stride)


def _run(network: Way, image: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    rows, columns = image.shape
    padded = np.pad(image, ((0, -rows % stride), (0, -columns % stride)), mode="edge").astype(np.float32, copy=False)
    with torch.inference_mode():
        noise: NDArray[np.float32] = network(torch.from_numpy(padded)[None, None])[0].numpy()
    return noise[:, :rows, :columns]


def time_ratio(teacher: LocalUNet, student: StudentUNet, repeats: int = 5) -> float:
    """Return the processor time of the teacher's passes over that of the student's one."""
    image = torch.zeros(1, 1, _TIMED_PX, _TIMED_PX)
    ways: tuple[Way, Way] = (lambda shown: teach(teacher, shown, student.sigmas), student)
    least = [math.inf, math.inf]
    for _ in range(repeats):
        for index, network in enumerate(ways):
            begun = time.process_time()
            with torch.inference_mode():
                network(image)
            least[index] = min(least[index], time.process_time() - begun)
    return least[0] / least[1]
