"""Every treatment gives a slice that a file could hold, and does to it what its name says."""

from __future__ import annotations

import numpy as np
import pytest

from tamperscan.bench.places import far_from
from tamperscan.bench.robustness.treatments import TREATMENTS, Treatment, as_stored, treat
from tamperscan.errors import ForgeError

QUICK = [each for each in TREATMENTS.values() if each.name not in ("none", "regenerated")]


@pytest.fixture(scope="module")
def treated(subject):
    kept = {}

    def of(name):
        if name not in kept:
            kept[name] = treat(TREATMENTS[name], subject)
        return kept[name]

    return of


@pytest.mark.parametrize("treatment", QUICK, ids=lambda one: one.name)
def test_what_comes_out_can_be_stored(subject, treated, treatment: Treatment):
    try:
        image = treated(treatment.name)
    except ForgeError as error:  # a made-up lung holds little to copy from
        pytest.skip(str(error))
    assert image.shape == subject.image.shape
    assert image.dtype == np.float32
    assert np.array_equal(image, np.rint(image))
    assert subject.image.min() <= image.min()
    assert image.max() <= subject.image.max()
    assert not np.array_equal(image, subject.image)


def test_untreated_is_untouched(subject):
    assert np.array_equal(treat(TREATMENTS["none"], subject), subject.image)


def test_the_same_every_time(subject, treated):
    assert np.array_equal(treat(TREATMENTS["noise-10"], subject), treated("noise-10"))
    assert not np.array_equal(treated("noise-10"), treated("noise-5"))


@pytest.mark.parametrize(("name", "step"), [("quantised-2", 2), ("quantised-4", 4)])
def test_rounding(treated, name, step):
    inner = treated(name)[20:-20, 20:-20]
    assert (np.abs(inner % step) == 0).mean() > 0.99


def test_a_window_of_256_shades(treated):
    assert np.unique(treated("window")).size <= 256


def test_lower_quality_changes_more(subject, treated):
    changes = [np.abs(treated(f"jpeg-{quality}") - treated("window")).mean() for quality in (95, 90, 75)]
    assert changes == sorted(changes)


def lung_noise(subject, image):
    return float((image - np.roll(image, 1, axis=0))[subject.lung].std())


@pytest.mark.parametrize("name", ["blurred", "denoised", "resampled-0.5", "jpeg2000-20"])
def test_what_takes_noise_away(subject, treated, name):
    assert lung_noise(subject, treated(name)) < lung_noise(subject, subject.image)


@pytest.mark.parametrize("name", ["noise-5", "noise-20", "sharpened"])
def test_what_adds_noise(subject, treated, name):
    assert lung_noise(subject, treated(name)) > lung_noise(subject, subject.image)


def test_denoising_keeps_edges(subject, treated):
    border = np.abs(np.diff(subject.image, axis=0)).max()
    assert np.abs(np.diff(treated("denoised"), axis=0)).max() > 0.8 * border


def test_a_place_is_regenerated_alone(subject, treated):
    changed = treated("place-regenerated") != subject.image
    far = far_from([subject.place], subject.image.shape, subject.spacing_mm, 18.0)
    assert changed.any()
    assert not changed[far].any()


def test_as_stored_keeps_the_range():
    untreated = np.array([[-1000.0, 400.0]], np.float32)
    assert as_stored(np.array([[-2000.4, 12.6]], np.float32), untreated).tolist() == [[-1000.0, 13.0]]
