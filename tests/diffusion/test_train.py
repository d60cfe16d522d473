import csv
import dataclasses
import math
import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from tamperscan.diffusion import state as state_module  # noqa: E402
from tamperscan.diffusion import train as module  # noqa: E402
from tamperscan.diffusion.presets import TrainingPreset  # noqa: E402
from tamperscan.diffusion.published import PublishedUNet  # noqa: E402
from tamperscan.diffusion.schedule import LowNoise  # noqa: E402
from tamperscan.diffusion.state import STATE_FILE  # noqa: E402
from tamperscan.diffusion.train import LOSS_FILE, build_network, train  # noqa: E402
from tamperscan.diffusion.unet import LocalUNet  # noqa: E402
from tamperscan.errors import TrainingError  # noqa: E402

TINY = TrainingPreset(
    name="tiny",
    network="local",
    modality="CT",
    crop_px=16,
    window=(-1050.0, 450.0),
    batch=2,
    learning_rate=1e-3,
    learning_rate_decay="cosine",
    steps=6,
    schedule=None,
    levels=LowNoise(3.0, 120.0),
    ema_decay=0.5,
    ema_every=1,
    ema_power=None,
)


class RandomCrops:
    """Smooth random images; NaN at the given calls."""

    def __init__(self, bad=()):
        self.calls, self.bad = 0, bad

    def draw(self, rng, count):
        crops = rng.uniform(-1, 1, (count, 1, 1, 1)).astype(np.float32) * np.ones((1, 1, 16, 16), np.float32)
        if self.calls in self.bad:
            crops[:] = np.nan
        self.calls += 1
        return crops


def run(folder, preset=TINY, crops=None, **settings):
    return train(preset, crops or RandomCrops(), folder, **{"bf16": False, **settings})


def weights_of(outcome):
    return dict(outcome.network.state_dict())


def assert_same_weights(one, other):
    torch.testing.assert_close(weights_of(one), weights_of(other), atol=0, rtol=0)


def test_three_steps(tmp_path):
    seen = []
    outcome = run(tmp_path, steps=3, report=seen.append)
    assert (outcome.step, [progress.step for progress in seen]) == (3, [1, 2, 3])
    assert math.isfinite(outcome.loss)
    assert seen[-1].seconds_left == 0
    assert all(torch.isfinite(weight).all() for weight in weights_of(outcome).values())
    assert (tmp_path / STATE_FILE).is_file()


def test_loss_curve_has_step_loss_and_seconds(tmp_path):
    outcome = run(tmp_path, steps=2)
    ((step, loss, seconds),) = csv.reader((tmp_path / LOSS_FILE).read_text().splitlines())
    assert (int(step), float(loss)) == (2, pytest.approx(outcome.loss, abs=1e-5))
    assert float(seconds) >= 0


def test_training_learns(tmp_path):
    outcome = run(tmp_path, dataclasses.replace(TINY, batch=8, learning_rate_decay="none"), steps=60)
    assert outcome.loss < 1.0  # of a network that says nothing: 1


def test_seed_decides_everything(tmp_path):
    same = [run(tmp_path / name, steps=2, seed=1) for name in ("a", "b")]
    other = run(tmp_path / "c", steps=2, seed=2)
    assert_same_weights(*same)
    assert same[0].loss != other.loss


class Killed(BaseException):
    """Ends a run as abruptly as a signal."""


def test_resumed_run_equals_an_unbroken_one(tmp_path, monkeypatch):
    unbroken = run(tmp_path / "unbroken")
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_SAVES", -1.0)  # save after every step

    def kill_at_4(progress):
        if progress.step == 4:
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "broken", report=kill_at_4)
    resumed = []
    outcome = run(tmp_path / "broken", report=resumed.append)
    assert [progress.step for progress in resumed] == [4, 5, 6]
    assert outcome.loss == unbroken.loss
    assert_same_weights(outcome, unbroken)


def test_finished_run_is_only_read(tmp_path):
    first = run(tmp_path, steps=2)
    seen = []
    again = run(tmp_path, steps=2, report=seen.append)
    assert not seen
    assert again.loss == first.loss
    assert_same_weights(again, first)


def test_kill_while_saving_leaves_the_old_state(tmp_path, monkeypatch):
    first = run(tmp_path, steps=1)

    def cut_off(file):
        os.truncate(file, 100)
        raise Killed

    monkeypatch.setattr(os, "fsync", cut_off)
    with pytest.raises(Killed):
        run(tmp_path, steps=2)
    monkeypatch.undo()
    assert_same_weights(run(tmp_path, steps=1), first)


@pytest.mark.parametrize(
    "change",
    [
        {"batch": 3},
        {"learning_rate": 1e-4},
        {"levels": LowNoise(3.0, 60.0)},
        {"widths": (8, 16)},
        {"neighbours": 1},
    ],
)
def test_state_of_other_settings(tmp_path, change):
    run(tmp_path, steps=1)
    with pytest.raises(TrainingError, match=r"state\.safetensors: is of another run \(\w+ was .*, not .*\).*--out"):
        run(tmp_path, dataclasses.replace(TINY, **change), steps=2)


@pytest.mark.parametrize("keep", [0, 4, 100])
def test_damaged_state(tmp_path, keep):
    run(tmp_path, steps=1)
    path = tmp_path / STATE_FILE
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TrainingError, match=r"state\.safetensors: can't be read"):
        run(tmp_path, steps=2)


def test_bad_step_changes_nothing(tmp_path):
    good = run(tmp_path / "good", steps=1)
    outcome = run(tmp_path / "bad", steps=2, crops=RandomCrops(bad=[1]))
    assert (outcome.step, outcome.loss) == (2, good.loss)


def test_run_of_bad_steps_ends_the_training(tmp_path):
    with pytest.raises(TrainingError, match="not finite for 21 steps running"):
        run(tmp_path, steps=40, crops=RandomCrops(bad=range(3, 40)))


def test_bad_state_is_never_written(tmp_path):
    run(tmp_path, steps=2, crops=RandomCrops(bad=[0, 1]))
    assert not (tmp_path / STATE_FILE).exists()


def test_published_settings_are_told_the_step(tmp_path):
    published = dataclasses.replace(TINY, levels=None, schedule="sigmoid", accumulate=2)
    assert math.isfinite(run(tmp_path, published, steps=1).loss)


def test_networks_of_the_presets():
    assert isinstance(build_network(TINY), LocalUNet)
    with torch.device("meta"):
        assert isinstance(build_network(dataclasses.replace(TINY, network="published")), PublishedUNet)


class Triples(RandomCrops):
    """The same with both neighbouring slices."""

    def draw(self, rng, count):
        return np.concatenate([super(Triples, self).draw(rng, count) for _ in range(3)], axis=1)


def test_neighbours_are_channels_and_the_middle_one_is_predicted(tmp_path):
    settings = dataclasses.replace(TINY, neighbours=1, widths=(8, 12), batch=8, learning_rate_decay="none")
    outcome = run(tmp_path, settings, crops=Triples(), steps=60)
    assert outcome.network.settings.widths == (8, 12)
    assert outcome.network.settings.channels == 3
    assert outcome.loss < 1.0  # of a network that says nothing: 1
    image, noise = torch.zeros(1, 3, 16, 16), torch.randn((16, 16), generator=torch.Generator().manual_seed(0))
    image[0, 1] = 0.1 * noise
    alone = outcome.network(image, torch.tensor([0.1]))[0, 0]
    image[0, 1], image[0, 0] = 0.0, 0.1 * noise
    beside = outcome.network(image, torch.tensor([0.1]))[0, 0]
    assert (alone * noise).mean() > 4 * (beside * noise).mean().abs()


def test_state_of_a_run_before_there_was_a_choice_of_network(tmp_path):
    assert "widths" not in TINY.as_dict()
    first = run(tmp_path, steps=2)
    stored = state_module.read_state(tmp_path / STATE_FILE)[0]["settings"]
    assert "neighbours" not in stored
    assert_same_weights(run(tmp_path, dataclasses.replace(TINY, widths=(32, 64, 96)), steps=2), first)


def drawn(preset, seed=0, with_noise=True):
    """Crops, noise and levels of one pass."""
    parts = module.StepDraw(preset, RandomCrops(), with_noise)(np.random.default_rng(seed))
    return tuple(torch.from_numpy(part) for part in parts)


def test_noise_has_the_strength_that_is_told():
    start, noise, levels = drawn(dataclasses.replace(TINY, batch=64))
    image, sigma = module._add_noise(TINY, torch.zeros_like(start), noise, levels)
    torch.testing.assert_close(image, sigma[:, None, None, None] * noise)
    assert 3.0 / 750 <= sigma.min() < sigma.max() <= 120.0 / 750


def test_noisy_image_of_a_schedule_keeps_its_variance():
    rng = np.random.default_rng(0)
    preset = dataclasses.replace(TINY, levels=None, schedule="sigmoid", batch=256)
    _, noise, steps = drawn(preset)
    start = torch.from_numpy(rng.standard_normal(noise.shape, dtype=np.float32))
    image, t = module._add_noise(preset, start, noise, steps)
    assert image.var().item() == pytest.approx(1.0, abs=0.02)
    assert 0 <= t.min() < t.max() <= 999


def test_noise_may_be_left_to_the_device():
    start, seed, _ = drawn(TINY, with_noise=False)
    noises = [module._noise_on(torch.device("cpu"), int(each), start) for each in (seed, seed, seed + 1)]
    assert noises[0].shape == start.shape
    assert torch.equal(noises[0], noises[1])
    assert not torch.equal(noises[0], noises[2])


def test_resumed_with_another_seed(tmp_path):
    run(tmp_path, steps=1, seed=3)
    with pytest.raises(TrainingError, match=r"is of another run \(seed was 3, not 4\)"):
        run(tmp_path, steps=2, seed=4)


@pytest.mark.parametrize(("step", "rate"), [(0, 5e-6), (199, 1e-3 * 0.999), (9000, 1e-5)])
def test_learning_rate_rises_and_falls(step, rate):
    assert module._learning_rate(TINY, step, 9000) == pytest.approx(rate, rel=1e-2)


def test_constant_learning_rate():
    assert module._learning_rate(dataclasses.replace(TINY, learning_rate_decay="none"), 5, 10) == 1e-3
