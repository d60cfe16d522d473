from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tamperscan.detect.ground_mr import SEEN, mr_measures, mr_reasons_to_abstain, seen_ranges
from tamperscan.diffusion.weights import Card

from .phantom_mr import mr_scan, smoothed_mr


@pytest.fixture(scope="module")
def card():
    """A card that has seen a few of the made-up scanner's scans."""
    seen = seen_ranges(mr_measures(mr_scan(seed)) for seed in range(3))
    facts = {"kind": "low-noise", "modality": "MR", "window": None, "crop_px": 96}
    return Card(name="made", levels_of_range=(0.01, 0.02), calibration={SEEN: seen}, **facts)


def changed(change):
    scan = mr_scan(7)
    return replace(scan, voxels=change(scan.voxels).astype(np.float32))


def blurred(voxels, px):
    return ndimage.gaussian_filter(voxels, (0, px, px))


def enlarged(voxels):
    return np.repeat(np.repeat(voxels[:, 64:192, 64:192], 2, axis=1), 2, axis=2)


def with_noise(voxels):
    return np.abs(voxels + np.random.default_rng(0).normal(0, 60, voxels.shape))


def masked(voxels):
    return np.where(voxels > 60, voxels, 0)


def test_scan_of_a_known_scanner_is_judged(card):
    assert mr_reasons_to_abstain(mr_scan(9), card) == ()
    assert mr_reasons_to_abstain(mr_scan(9, slices=1), card) == ()
    assert mr_reasons_to_abstain(smoothed_mr(mr_scan(9)), card) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda voxels: voxels[:, :60, :60], "at least 64 x 64"),
        (lambda voxels: np.full(voxels.shape, 12.0), "same value"),
        (lambda voxels: np.where(voxels == voxels.max(), np.nan, voxels), "finite"),
        (lambda voxels: voxels - 40, "below zero"),
        (lambda voxels: np.rint(voxels * (255 / voxels.max())), "8-bit"),
        (lambda voxels: blurred(voxels, 1.5), "smoother"),
        (enlarged, "smoother"),
        (with_noise, "stronger"),
        (lambda voxels: np.random.default_rng(0).uniform(0, 3000, voxels.shape), "sharper"),
        (masked, "air"),
    ],
)
def test_what_was_never_seen_is_not_judged(card, change, words):
    assert words in " ".join(mr_reasons_to_abstain(changed(change), card))


@pytest.mark.parametrize(
    ("spacing_mm", "words"),
    [((3.0, 2.0, 2.0), "larger"), ((3.0, 0.2, 0.2), "smaller"), ((3.0, 0.8, 1.2), "not square")],
)
def test_other_spacing_is_not_judged(card, spacing_mm, words):
    assert words in " ".join(mr_reasons_to_abstain(replace(mr_scan(7), spacing_mm=spacing_mm), card))


def test_lossy_compression_is_not_judged(card):
    scan = replace(mr_scan(7), warnings=("Lossy compression: the file says so.",))
    assert "lossy" in mr_reasons_to_abstain(scan, card)[0]


def test_without_a_calibration_only_what_every_mr_must_be_is_asked(card):
    bare = card.model_copy(update={"calibration": {}})
    assert mr_reasons_to_abstain(changed(with_noise), bare) == ()
    assert mr_reasons_to_abstain(changed(lambda voxels: voxels - 40), bare)


def test_gain_changes_nothing_that_is_measured():
    scan = mr_scan(3)
    louder = replace(scan, voxels=scan.voxels * np.float32(13.0))
    assert mr_measures(louder) == pytest.approx(mr_measures(scan), abs=0.05, nan_ok=True)
