from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tamperscan.detect.back_in_time import BackInTime
from tamperscan.detect.regions import lung_mask
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.reverse_step import removed
from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.diffusion.weights import Card
from tamperscan.scan.windows import PUBLISHED_CT, IntensityWindow

from .conftest import PLACE
from .phantom import scan_of

SCHEDULE = noise_schedule("sigmoid")


@pytest.fixture(scope="module")
def high_pass(tmp_path_factory):
    """Make weights of a published kind whose predicted noise is known: ten times the pixel less its 3x3 mean."""
    torch = pytest.importorskip("torch")
    from tamperscan.diffusion.export import export_weights

    class HighPass(torch.nn.Module):
        def forward(self, image, t):
            padded = torch.nn.functional.pad(image, (1, 1, 1, 1), mode="replicate")
            return 10 * (image - torch.nn.functional.avg_pool2d(padded, 3, stride=1)) + 0 * t[:, None, None, None]

    def make(modality):
        side = {"CT": 96, "MR": 128}[modality]
        window = PUBLISHED_CT if modality == "CT" else None
        ends = (window.low, window.high) if window else None
        card = Card(name="high pass", kind="published", modality=modality, window=ends, crop_px=side)
        return export_weights(HighPass(), card, tmp_path_factory.mktemp(modality), safetensors=False)

    return make


@pytest.fixture(scope="module")
def published(high_pass):
    return BackInTime(high_pass("CT"), threads=1)


@pytest.fixture(scope="module")
def published_mr(high_pass):
    return BackInTime(high_pass("MR"), threads=1)


def soft_tissue(*shape, seed=0, noise_hu=20):
    return np.random.default_rng(seed).normal(40, noise_hu, shape).astype(np.float32)


def by_hand(patch):
    x0 = PUBLISHED_CT.to_model(patch)
    eps = 10 * (x0 - ndimage.uniform_filter(x0, 3, mode="nearest"))
    return removed(x0, eps, SCHEDULE)


def test_removed_is_the_published_step(published):
    patches = soft_tissue(3, 96, 96)
    expected = np.stack([by_hand(patch) for patch in patches])
    assert np.allclose(published.removed(patches), expected, atol=1e-6)
    assert np.std(expected) > 1e-3


def test_removed_is_the_published_step_also_with_low_noise_weights(untrained):
    patches = soft_tissue(2, 96, 96)
    window = IntensityWindow(*untrained.card.window)
    sigma = SCHEDULE.sigma_in_units(0, PUBLISHED_CT.units_per_model_unit) / window.units_per_model_unit
    level = np.full(2, sigma, np.float32)
    eps = NoisePredictor(untrained, threads=1, precision="float32").predict_batch(window.to_model(patches), level)
    expected = removed(PUBLISHED_CT.to_model(patches), eps, SCHEDULE)
    assert np.allclose(BackInTime(untrained, threads=1).removed(patches), expected, atol=1e-6)


def test_what_the_window_cuts_off_is_not_seen(published):
    patches = soft_tissue(1, 96, 96)
    patches[0, :48] = -700
    deeper = patches.copy()
    deeper[0, :48] = -1000
    assert np.array_equal(published.removed(patches), published.removed(deeper))


def test_patch_scores_the_mean_square(published):
    scan = scan_of(soft_tissue(2, 200, 220))
    patch = scan.voxels[1, 100 - 48 : 100 + 48, 90 - 48 : 90 + 48]
    assert published.score_patch(scan, 1, 100, 90) == pytest.approx(float(np.mean(by_hand(patch) ** 2)), rel=1e-4)


@pytest.mark.parametrize("place", [(0, 0, 0), (0, 199, 219), (0, 0, 219), (0, 5, 110)])
def test_patch_at_the_border_is_filled_with_the_lowest_value(published, place):
    scan = scan_of(soft_tissue(1, 200, 220))
    padded = np.pad(scan.voxels[0], 96, constant_values=PUBLISHED_CT.low)
    patch = padded[place[1] + 48 : place[1] + 144, place[2] + 48 : place[2] + 144]
    assert patch.shape == (96, 96)
    assert published.score_patch(scan, *place) == pytest.approx(float(np.mean(published.removed(patch[None]) ** 2)))


@pytest.mark.parametrize("shape", [(1, 5, 7), (1, 1, 1), (1, 95, 97)])
def test_scan_that_is_smaller_than_a_patch(published, shape):
    scan = scan_of(soft_tissue(*shape))
    assert math.isfinite(published.score_patch(scan, 0, 0, 0))
    assert published.screen(scan).suspicion.shape == shape


def test_patch_outside_the_scan(published):
    with pytest.raises(IndexError, match="outside the scan"):
        published.score_patch(scan_of(soft_tissue(1, 20, 20)), 0, 20, 0)


def test_louder_patch_scores_higher(published):
    quiet, loud = (scan_of(soft_tissue(1, 96, 96, noise_hu=noise_hu)) for noise_hu in (10, 20))
    ratio = published.score_patch(loud, 0, 48, 48) / published.score_patch(quiet, 0, 48, 48)
    assert ratio == pytest.approx(4, rel=0.1)


def test_screening_gives_no_verdict(published, tampered):
    screening = published.screen(tampered)
    assert (screening.verdict, screening.p_value, screening.findings) == ("abstained", None, ())
    assert "not calibrated" in screening.reasons[0]
    assert screening.score == max(each.score for each in screening.slices)
    assert screening.suspicion.shape == screening.regions.shape == tampered.shape
    assert screening.suspicion.dtype == np.float32


def test_screening_looks_at_the_lung(published, tampered):
    screening = published.screen(tampered)
    for index, image in enumerate(tampered.voxels):
        assert np.array_equal(screening.regions[index], lung_mask(image, tampered.spacing_mm[1:]))
        assert screening.regions[index][screening.slices[index].peak]
    assert not screening.suspicion[~screening.regions].any()


def test_slice_without_lung_has_no_score(published):
    screening = published.screen(scan_of(soft_tissue(2, 100, 100)))
    assert all(math.isnan(each.score) and each.peak is None for each in screening.slices)
    assert math.isnan(screening.score)


def test_map_is_the_mean_square_over_the_patch_around(published, tampered):
    screening = published.screen(replace(tampered, voxels=tampered.voxels[2:3]))
    sliding = screening.suspicion[0][PLACE]
    assert sliding == pytest.approx(published.score_patch(tampered, 2, *PLACE), rel=0.05)


def test_progress_is_told(published, authentic):
    told = []
    published.screen(authentic, progress=lambda done, total: told.append((done, total)))
    assert told == [(index, 5) for index in range(1, 6)]


def test_name_tells_whose_weights(published):
    assert published.name == "back-in-time (high pass)"
    assert published.card.kind == "published"


def mr_scan(seed=0, shape=(1, 300, 300)):
    rng = np.random.default_rng(seed)
    return scan_of(rng.gamma(4, 100, shape), modality="MR")


def test_mr_does_not_depend_on_the_unit_of_the_signal(published_mr):
    scan = mr_scan()
    louder = replace(scan, voxels=scan.voxels * 7)
    one, other = (published_mr.score_patch(each, 0, 150, 150) for each in (scan, louder))
    assert one == pytest.approx(other, rel=1e-3)


def test_mr_is_scaled_by_the_slice_and_not_by_the_patch(published_mr):
    scan = mr_scan()
    bright = scan.voxels.copy()
    bright[0, :20, :20] *= 10  # far from the patch
    away = published_mr.score_patch(replace(scan, voxels=bright), 0, 200, 200)
    assert away < 0.2 * published_mr.score_patch(scan, 0, 200, 200)


def test_mr_is_screened_within_the_body(published_mr):
    voxels = mr_scan().voxels
    voxels[0, :, :100] = 0
    screening = published_mr.screen(scan_of(voxels, modality="MR"))
    assert not screening.regions[0, :, :90].any()
    assert screening.regions[0, :, 110:].mean() > 0.9
    assert math.isfinite(screening.score)


def test_empty_mr_image(published_mr):
    assert math.isnan(published_mr.screen(scan_of(np.zeros((1, 50, 50)), modality="MR")).score)


def test_scan_of_another_modality_is_not_scored(published):
    screening = published.screen(mr_scan())
    assert "trained on CT only" in screening.reasons[0]
    assert math.isnan(screening.score)
    assert not screening.regions.any()
