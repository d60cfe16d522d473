"""Training within a budget of CPU seconds, and going on after a kill; the same for all contenders with networks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tamperscan.bench.contenders.contender import Authentic, Budget, Report
from tamperscan.bench.contenders.machine import clock, device
from tamperscan.bench.contenders.network_state import arrays_of, fill, fill_optimiser
from tamperscan.bench.contenders.storage import (
    LEARNED_FILE,
    STATE_FILE,
    learned_facts,
    read_arrays,
    require_same,
    write_arrays,
)
from tamperscan.diffusion.ema import Ema
from tamperscan.errors import BenchError

# What a kill may cost: so many seconds, or this part of the budget if that is less.
_SECONDS_BETWEEN_SAVES = 20.0
_SHARE_BETWEEN_SAVES = 0.05
_BAD_STEPS_ALLOWED = 20


class Course(ABC):
    """What is trained: networks, their optimisers, and how a step is made.

    Attributes
    ----------
    crops_a_step
        Authentic crops that a step takes.
    networks, optimisers
        By name; all of their state is kept, so that an interrupted run goes on.
    averages
        By the name of their network; moving averages, updated in every step.
    learned
        Names of the networks that are needed afterwards; of one that has an average, the average is.
    """

    crops_a_step: int
    networks: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Adam]
    averages: dict[str, Ema]
    learned: tuple[str, ...]

    @abstractmethod
    def step(self, rng: np.random.Generator, share: float) -> float:
        """Make a training step.

        Parameters
        ----------
        rng
            All that is drawn in this step is drawn from it.
        share
            How much of the budget is spent, 0 to 1.

        Returns
        -------
        float
            The loss; not finite where the step was left out because of it.
        """

    def modules(self) -> dict[str, nn.Module]:
        """Return all that has to be kept for going on, by name."""
        return self.networks | {f"{name} average": average.model for name, average in self.averages.items()}

    def outcome(self) -> dict[str, nn.Module]:
        """Return what is needed afterwards, by name."""
        return {
            name: self.averages[name].model if name in self.averages else self.networks[name] for name in self.learned
        }


class NetworkContender(ABC):
    """What contenders with networks share: `learn` and `load` of the `Contender` interface.

    Attributes
    ----------
    networks
        By name, once something was learned or loaded.
    """

    name: str
    settings: Mapping[str, Any]
    source: str
    networks: Mapping[str, nn.Module]

    @abstractmethod
    def course(self, authentic: Authentic) -> Course:
        """Make what is to be trained, with fresh weights from torch's generator."""

    @abstractmethod
    def fresh(self) -> dict[str, nn.Module]:
        """Make what `Course.outcome` gives, to load weights into."""

    def learn(self, authentic: Authentic, budget: Budget, folder: Path, report: Report) -> Mapping[str, Any]:
        """Train until the budget is spent; see `Contender.learn`."""
        facts = train(lambda: self.course(authentic), self._told(budget), budget, folder, report)
        self.load(folder)
        return facts

    def load(self, folder: Path) -> None:
        """Take up what was learned."""
        arrays, _ = read_arrays(folder / LEARNED_FILE)
        networks = self.fresh()
        for name, network in networks.items():
            fill(network, f"{name}.", arrays)
            network.requires_grad_(False).eval().to(device())
        self.networks = networks

    def _told(self, budget: Budget) -> dict[str, Any]:
        return {"name": self.name, **self.settings, "budget": budget.seconds, "seed": budget.seed}


def train(
    make: Callable[[], Course], told: Mapping[str, Any], budget: Budget, folder: Path, report: Report
) -> dict[str, Any]:
    """Train a course until the budget is spent, or go on from what the folder holds.

    Every step draws from a generator seeded by (seed, step), so a run that was killed sees the data that an unbroken
    one would have seen.

    Parameters
    ----------
    make
        Makes the `Course` with fresh weights.
    told
        Settings, budget and seed; a folder of others is refused.
    budget, folder, report
        As for `Contender.learn`.

    Returns
    -------
    dict
        ``steps``, ``crops``, ``loss`` (smoothed), ``seconds`` and ``parameters``.

    Raises
    ------
    BenchError
        If the folder is of other settings, or the loss stays not finite.
    """
    finished = learned_facts(folder, told)
    if finished is not None:
        return finished
    begun = clock()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(budget.seed)
        return _Run(make(), told, budget, folder).run(report, begun)


class _Run:
    """The state of a training run."""

    def __init__(self, course: Course, told: Mapping[str, Any], budget: Budget, folder: Path) -> None:
        self.course, self.told, self.budget, self.folder = course, dict(told), budget, folder
        self.steps, self.bad_steps, self.loss, self.spent = 0, 0, math.nan, 0.0

    def run(self, report: Report, begun: float) -> dict[str, Any]:
        """Train; ``begun`` is what the clock said before anything was made."""
        self._resume()
        begun -= self.spent
        saved = self.spent
        between = min(_SECONDS_BETWEEN_SAVES, _SHARE_BETWEEN_SAVES * self.budget.seconds)
        while self._fits():
            self._step()
            self.spent = clock() - begun
            report(min(self.spent, self.budget.seconds), self.budget.seconds)
            if self.spent - saved > between:
                self._save()
                saved = self.spent
        return self._finish()

    def _fits(self) -> bool:
        """Whether at least half of another step is within the budget; one is made in any case."""
        return self.steps == 0 or self.spent + 0.5 * self.spent / self.steps < self.budget.seconds

    def _step(self) -> None:
        rng = np.random.default_rng((self.budget.seed, self.steps))
        loss = self.course.step(rng, min(1.0, self.spent / self.budget.seconds))
        self.steps += 1
        if math.isfinite(loss):
            for name, average in self.course.averages.items():
                average.update(self.course.networks[name])
            self.loss = loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * loss
            self.bad_steps = 0
            return
        self.bad_steps += 1
        if self.bad_steps > _BAD_STEPS_ALLOWED:
            raise BenchError(
                f"{self.told['name']}: the loss was not finite for {self.bad_steps} steps running. Look for authentic"
                " scans with impossible values."
            )

    def _facts(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "crops": self.steps * self.course.crops_a_step,
            "loss": self.loss if math.isfinite(self.loss) else None,
            "seconds": round(self.spent, 2),
            "parameters": sum(
                parameter.numel() for network in self.course.outcome().values() for parameter in network.parameters()
            ),
        }

    def _save(self) -> None:
        calls = {name: average.calls for name, average in self.course.averages.items()}
        facts = {"settings": self.told, "steps": self.steps, "loss": self.loss, "spent": self.spent, "averaged": calls}
        write_arrays(self.folder / STATE_FILE, arrays_of(self.course.modules(), self.course.optimisers), facts)

    def _resume(self) -> None:
        path = self.folder / STATE_FILE
        if not path.exists():
            return
        arrays, facts = read_arrays(path)
        require_same(path, facts["settings"], self.told)
        self.steps, self.loss, self.spent = int(facts["steps"]), float(facts["loss"]), float(facts["spent"])
        for name, average in self.course.averages.items():
            average.calls = int(facts["averaged"][name])
        for name, network in self.course.modules().items():
            fill(network, f"{name}.", arrays)
        for name, optimiser in self.course.optimisers.items():
            fill_optimiser(optimiser, f"adam.{name}.", arrays)

    def _finish(self) -> dict[str, Any]:
        facts = self._facts()
        write_arrays(self.folder / LEARNED_FILE, arrays_of(self.course.outcome(), {}), {"settings": self.told, **facts})
        (self.folder / STATE_FILE).unlink(missing_ok=True)
        return facts
