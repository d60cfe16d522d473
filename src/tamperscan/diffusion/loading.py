"""Draw what the next training steps need while this one is computed: in processes of their own, into pinned memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tamperscan.diffusion.runtime import usable_cores

Draw = Callable[[np.random.Generator], tuple[Any, ...]]
"""Draws what one step needs: a tuple of arrays."""

# Steps that each process draws ahead.
_AHEAD = 4
_MOST_LOADERS = 16


class _Steps(Dataset[tuple[Any, ...]]):
    """What each step needs, by its number."""

    def __init__(self, draw: Draw, seed: Sequence[int]) -> None:
        self._draw, self._seed = draw, tuple(seed)

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        return self._draw(np.random.default_rng((*self._seed, step)))


def loaders_for(device: str, processes: int = 1) -> int:
    """Return how many processes to draw with: none beside a CPU, which they would only share."""
    return min(_MOST_LOADERS, max(1, usable_cores() // processes - 1)) if device == "cuda" else 0


def steps_ahead(
    draw: Draw, seed: Sequence[int], first: int, last: int, *, loaders: int, pinned: bool = False
) -> Iterator[tuple[Tensor, ...]]:
    """Yield what each step needs, in their order.

    A step draws from a generator seeded by (seed, step), so that it makes no difference how many processes draw, nor
    where a run was stopped.

    Parameters
    ----------
    draw
        Draws a step. With loaders it is pickled: what it holds must be small, such as paths of mapped files.
    seed
        Seed of the run, and what tells its processes apart.
    first, last
        First step, and the one after the last.
    loaders
        Processes that draw ahead; 0 draws in this one when asked.
    pinned
        Whether to lay the arrays into page-locked memory, from which they reach a GPU while it computes.
    """
    return iter(
        DataLoader(
            _Steps(draw, seed),
            batch_size=None,
            sampler=range(first, last),
            num_workers=loaders,
            prefetch_factor=_AHEAD if loaders else None,
            # A forked copy of a process with threads (of a network, of CUDA) may hang.
            multiprocessing_context="spawn" if loaders else None,
            pin_memory=pinned,
        )
    )
