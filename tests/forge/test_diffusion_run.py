import numpy as np
import pytest
import torch

from tamperscan.errors import TrainingError
from tamperscan.forge import diffusion_run
from tamperscan.forge.diffusion_crops import Triples
from tamperscan.forge.diffusion_network import TripleUNetSettings
from tamperscan.forge.diffusion_run import LOSS_FILE, STATE_FILE, DiffusionRun, DiffusionSettings

SMALL = DiffusionSettings(network=TripleUNetSettings(widths=(8, 16), blocks=1), crop_px=16, batch=4)


class Ramps:
    """Crops that are easy to learn."""

    def draw(self, rng, count):
        slopes = rng.uniform(-1, 1, (count, 1, 1, 1)).astype(np.float32)
        crops = slopes * np.linspace(-1, 1, 16, dtype=np.float32) * np.ones((1, 3, 16, 1), np.float32)
        which = np.tile([0, 1, 2], (count, 1))
        return Triples(crops, which, np.full((count, 2), 1.0, np.float32))


class Broken(Ramps):
    def draw(self, rng, count):
        drawn = super().draw(rng, count)
        drawn.slices[:] = np.nan
        return drawn


def run(folder, steps=4, crops=None, seed=0, report=lambda step, steps: None):
    made = DiffusionRun(SMALL, crops or Ramps(), folder, seed=seed, steps=steps)
    made.go(report)
    return made


@pytest.fixture
def saving_always(monkeypatch):
    monkeypatch.setattr(diffusion_run, "_SECONDS_BETWEEN_SAVES", 0.0)


def test_the_loss_falls(tmp_path, saving_always):
    run(tmp_path, steps=40)
    losses = [float(line.split(",")[1]) for line in (tmp_path / LOSS_FILE).read_text().splitlines()]
    assert losses[-1] < 0.96 * losses[0]


def test_a_run_that_was_broken_off_ends_as_an_unbroken_one(tmp_path, saving_always):
    def break_off(step, steps):
        if step == 3:
            raise KeyboardInterrupt

    unbroken = run(tmp_path / "one")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "two", report=break_off)
    told = []
    resumed = run(tmp_path / "two", report=lambda *step: told.append(step))
    assert told == [(3, 4), (4, 4)]
    pairs = zip(unbroken.ema.model.parameters(), resumed.ema.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_each_save_adds_a_line_to_the_curve(tmp_path, saving_always):
    run(tmp_path)
    assert [line.split(",")[0] for line in (tmp_path / LOSS_FILE).read_text().splitlines()] == ["1", "2", "3", "4"]


def test_a_state_of_another_run_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(TrainingError, match="of a run with other settings"):
        run(tmp_path, seed=1)


def test_a_damaged_state_is_refused(tmp_path):
    run(tmp_path)
    (tmp_path / STATE_FILE).write_bytes(b"damaged")
    with pytest.raises(TrainingError, match="Move it away to start anew"):
        run(tmp_path)


def test_a_loss_that_stays_no_number_ends_the_run(tmp_path):
    with pytest.raises(TrainingError, match="the loss was not finite for 21 steps running"):
        run(tmp_path, steps=30, crops=Broken())
