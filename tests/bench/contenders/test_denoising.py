import numpy as np
import pytest
import torch

from tamperscan.bench.contenders.denoising import (
    DenoisingCourse,
    add_noise,
    backbone,
    backbone_stride,
    denoise,
    noise_loss,
    respaced,
    run_network,
    white_noise,
)
from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.scan.windows import LUNG_NOISE_CT

from .small import WIDTHS, NoiseCrops

SCHEDULE = noise_schedule("linear")
CLEAN = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5


class Knows:
    """Predicts the noise of images whose clean form it knows, and takes down the levels that it is told."""

    def __init__(self, clean):
        self.clean, self.levels = clean, []

    def __call__(self, images, level):
        self.levels.append(level[0].item())
        kept = 1 / (1 + level.square())[:, None, None, None]
        return (images - kept.sqrt() * self.clean) / (1 - kept).sqrt()


def seeded(seed=0):
    return np.random.default_rng(seed)


def test_noise_is_added_by_the_level():
    noise = torch.ones_like(CLEAN)
    t = np.array([0, 999])
    noised = add_noise(CLEAN, noise, SCHEDULE, t)
    kept = SCHEDULE.alphas_cumprod[t]
    expected = np.sqrt(kept)[:, None, None, None] * CLEAN.numpy() + np.sqrt(1 - kept)[:, None, None, None]
    assert np.allclose(noised.numpy(), expected, atol=1e-6)


def test_levels_fall_evenly_to_the_first():
    assert respaced(250, 10) == [249, 224, 199, 174, 149, 124, 99, 74, 49, 24]
    assert respaced(500, 1) == [499]


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_who_knows_the_noise_comes_back_to_the_clean_image(steps):
    levels, rng = respaced(250, steps), seeded()
    noised = add_noise(CLEAN, torch.from_numpy(white_noise(rng, CLEAN.shape)), SCHEDULE, np.array(levels[:1] * 2))
    knows = Knows(CLEAN)
    restored = denoise(knows, noised, SCHEDULE, levels, lambda: torch.from_numpy(white_noise(rng, CLEAN.shape)))
    assert torch.allclose(restored, CLEAN, atol=1e-4)
    assert knows.levels == pytest.approx([SCHEDULE.noise_to_signal(t) for t in levels], rel=1e-5)


def test_images_on_the_way_back_have_the_noise_of_their_level():
    clean, rng = torch.zeros(1, 1, 64, 64), seeded()
    levels, seen = respaced(250, 5), []

    class Watches(Knows):
        def __call__(self, images, level):
            seen.append(images.std().item())
            return super().__call__(images, level)

    noised = add_noise(clean, torch.from_numpy(white_noise(rng, clean.shape)), SCHEDULE, np.array(levels[:1]))
    denoise(Watches(clean), noised, SCHEDULE, levels, lambda: torch.from_numpy(white_noise(rng, clean.shape)))
    assert seen == pytest.approx([SCHEDULE.sigma(t) for t in levels], rel=0.05)


def test_restored_images_stay_in_model_units():
    restored = denoise(lambda images, level: 0 * images - 100, CLEAN, SCHEDULE, [99], lambda: CLEAN)
    assert (restored.min(), restored.max()) == (1, 1)


def test_the_loss_is_that_of_the_noise():
    zero = noise_loss(lambda images, level: 0 * images, torch.zeros(64, 1, 8, 8), SCHEDULE, seeded(), white_noise)
    assert float(zero) == pytest.approx(1.0, abs=0.1)
    exact = noise_loss(Knows(CLEAN), CLEAN, SCHEDULE, seeded(), white_noise)
    assert float(exact) == pytest.approx(0.0, abs=1e-4)


def test_the_network_is_told_the_noise_beside_the_whole_image():
    told = []
    run_network(lambda images, level: told.append(level) or images, CLEAN, SCHEDULE, np.array([0, 249]))
    assert told[0].tolist() == pytest.approx([SCHEDULE.noise_to_signal(0), SCHEDULE.noise_to_signal(249)])


def test_the_stride_is_that_of_the_network():
    assert backbone_stride(WIDTHS) == backbone(WIDTHS).stride


def test_a_course_learns_and_draws_by_the_generator_alone():
    def loss(network, crops, rng):
        return noise_loss(network, crops, SCHEDULE, rng, white_noise)

    courses = []
    for _ in range(2):
        torch.manual_seed(0)
        courses.append(DenoisingCourse(backbone(WIDTHS), NoiseCrops(), LUNG_NOISE_CT, crop_px=16, loss=loss))
    losses = [[course.step(seeded(step), step / 30) for step in range(30)] for course in courses]
    assert losses[0] == losses[1]
    assert np.mean(losses[0][-5:]) < np.mean(losses[0][:5])
