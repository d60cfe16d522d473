"""Whatever is put in: a verdict that is right, or an abstention that says why."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tamperscan.data import packaged_weights
from tamperscan.detect.acquisition import measure_acquisition
from tamperscan.detect.ground import off_ground, reasons_to_abstain, why_nothing_found
from tamperscan.scan import read_scan

from .acquisitions import acquisition
from .phantom import PIXEL_MM, chest, chest_scan, ellipse, grain, positions, scan_of

REFERENCE = [
    acquisition(noise=10.0 + number, grain=0.3 + number / 20, finest=-1.2 + number / 10) for number in range(9)
]


def jpeg(image, quality=50):
    """What 8 bits, a lung window and JPEG leave of a slice."""
    shades = np.clip((image + 1050.0) / 1500.0 * 255.0, 0, 255).round().astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(shades).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream)).astype(np.float32) / 255.0 * 1500.0 - 1050.0


def resampled(image):
    small = ndimage.zoom(image, 0.6, order=1)
    return ndimage.zoom(small, np.array(image.shape) / np.array(small.shape), order=1)


def bilateral(image, reach=3, range_hu=60.0):
    """Smooth what differs little from the middle, as denoising does that keeps edges."""
    padded = np.pad(image, reach, mode="edge")
    total, weights = np.zeros_like(image), np.zeros_like(image)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            shifted = padded[down : down + image.shape[0], right : right + image.shape[1]]
            weight = np.exp(-((shifted - image) ** 2) / (2 * range_hu**2))
            total, weights = total + weight * shifted, weights + weight
    return total / weights


def with_noise(image, noise_hu):
    return image + np.random.default_rng(5).normal(0, noise_hu, image.shape)


def changed(scan, change):
    return replace(scan, voxels=np.stack([change(image) for image in scan.voxels]).astype(np.float32))


def said(screening):
    """The reasons of an abstention, which must hold no verdict besides."""
    assert screening.verdict == "abstained"
    assert screening.p_value is None
    assert not screening.findings
    assert all(each.p_value is None for each in screening.slices)
    assert screening.reasons
    assert all(reason.endswith(".") for reason in screening.reasons)
    return " ".join(screening.reasons)


def test_calibration_itself_is_on_its_ground():
    for number, each in enumerate(REFERENCE):
        assert off_ground(each, REFERENCE[:number] + REFERENCE[number + 1 :]) == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"noise": 3.0}, "noise is lower (3 HU; calibrated for 10 to 18)"),
        ({"noise": 60.0}, "noise is stronger (60 HU)"),
        ({"finest": -2.4}, "smoother than any kernel"),
        ({"grain": 0.95}, "smoother than any kernel"),
        ({"grain": -0.3}, "finer than any kernel"),
        ({"tails": 0.7}, "denoised"),
        ({"repetition": 3.0, "period_px": 8.0}, "repeats every 8 pixels"),
        ({"step": 6.0}, "The values lie 6 apart"),
        ({"slice_correlation": 0.999}, "repeated or interpolated"),
    ],
)
def test_each_measure_off_the_ground_has_its_sentence(changes, words):
    assert words in " ".join(off_ground(acquisition(**changes), REFERENCE))
    assert off_ground(acquisition(), REFERENCE) == ()


def test_what_could_not_be_measured_is_no_reason():
    assert off_ground(acquisition(noise=math.nan, grain=math.nan, slice_correlation=math.nan), REFERENCE) == ()


def test_few_scans_span_no_range():
    assert off_ground(acquisition(noise=300.0), REFERENCE[:4]) == ()


def test_one_slice(detector, authentic):
    assert detector.screen(replace(authentic, voxels=authentic.voxels[1:2]), alarm_rate=0.2).verdict == "clear"


@pytest.mark.slow
def test_two_thousand_slices_that_are_one(detector):
    image = chest_scan(50, 1).voxels[0, ::2, ::2]
    scan = scan_of(np.broadcast_to(image, (2000, *image.shape)).copy(), spacing_mm=(0.5, 1.4, 1.4), sha256="")
    assert "repeated or interpolated" in said(detector.screen(scan))


@pytest.mark.parametrize("pixel_mm", [0.2, 10.0])
def test_pixels_of_another_size(detector, authentic, pixel_mm):
    assert "wide; the detector" in said(detector.screen(replace(authentic, spacing_mm=(5.0, pixel_mm, pixel_mm))))


def test_half_a_lung(detector, authentic, tampered):
    half = slice(0, 128)
    whole = detector.screen(replace(authentic, voxels=authentic.voxels[:, :, half]), alarm_rate=0.2)
    found = detector.screen(replace(tampered, voxels=tampered.voxels[:, :, half]), alarm_rate=0.2)
    assert whole.verdict in ("clear", "abstained")
    assert found.verdict in ("suspicious", "abstained")


def test_water_cylinder(detector):
    down, right = positions((256, 256), (PIXEL_MM, PIXEL_MM))
    water = np.where(ellipse(down, right, (0, 0), (100, 100)), 0.0, -1000.0)
    noise = grain(np.random.default_rng(0), (256, 256), 20.0)
    assert "No lung" in said(detector.screen(scan_of((water + noise)[None])))


def test_air(detector):
    noise = np.random.default_rng(0).normal(-1000, 12, (3, 128, 128))
    assert "there is no body" in said(detector.screen(scan_of(noise)))


@pytest.mark.parametrize("value", [-1000.0, 0.0, 60.0])
def test_all_the_same(detector, value):
    assert "All voxels hold the same value" in said(detector.screen(scan_of(np.full((2, 128, 128), value))))


def test_a_little_noise_on_everything(detector, authentic, tampered):
    assert detector.screen(changed(authentic, lambda image: with_noise(image, 10.0)), alarm_rate=0.2).verdict == "clear"
    found = detector.screen(changed(tampered, lambda image: with_noise(image, 10.0)), alarm_rate=0.2)
    assert found.verdict == "suspicious"


def test_much_noise_on_everything(detector, authentic):
    words = said(detector.screen(changed(authentic, lambda image: with_noise(image, 100.0))))
    assert "noise is stronger" in words or "No lung" in words


def test_smoothed(detector, authentic):
    smooth = changed(authentic, lambda image: ndimage.gaussian_filter(image, 1.5))
    assert "smoother than any kernel" in said(detector.screen(smooth))


def test_resampled(detector, authentic):
    assert "repeats every" in said(detector.screen(changed(authentic, resampled)))


def test_compressed_without_saying_so(detector, authentic):
    assert "repeats every" in said(detector.screen(changed(authentic, jpeg)))


def test_denoised(detector, authentic):
    assert "noise is lower" in said(detector.screen(changed(authentic, bilateral)))


def test_mr_that_says_it_is_ct(detector):
    rng = np.random.default_rng(1)
    signal = np.clip(chest(1).clean + 1000.0, 0.0, 1000.0) + np.abs(rng.normal(0, 20, (256, 256)))
    assert "no Hounsfield units" in said(detector.screen(scan_of(signal[None])))


def test_metal(detector, authentic):
    metal = authentic.voxels.copy()
    metal[:, 120:126, 126:132] = 30_000.0
    assert detector.screen(replace(authentic, voxels=metal), alarm_rate=0.2).verdict in ("clear", "abstained")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_number(detector, authentic, value):
    broken = authentic.voxels.copy()
    broken[1, 60, 60] = value
    assert "no finite value" in said(detector.screen(replace(authentic, voxels=broken)))


def test_words_on_a_scan_without_lung():
    belly = np.random.default_rng(0).normal(40, 10, (1, 80, 80))
    belly[:, :10] = -1000
    assert why_nothing_found(scan_of(belly)) == (
        "No lung was found in any slice: this detector is calibrated for the lungs of chest CT.",
    )


@cache
def real_ground():
    """The packaged detector."""
    from tamperscan import load_detector

    return load_detector("ct", threads=1)


@pytest.fixture
def real_slices(real_scans):
    """One slice each of authentic scans of three kernels."""
    if "ct" not in packaged_weights() or not real_ground().calibration.ground:
        pytest.skip("the packaged detector knows no acquisitions")
    names = ("LIDC-IDRI-0001_STANDARD", "Lung_Dx-A0001_L", "R01-001_B45f")
    return [read_scan(sorted((real_scans / "ct" / "series" / name).iterdir())[30]) for name in names]


@pytest.mark.parametrize(
    "change",
    [jpeg, resampled, lambda image: ndimage.gaussian_filter(image, 1.5), lambda image: with_noise(image, 100.0)],
    ids=["jpeg", "resampled", "smoothed", "noise"],
)
def test_real_scans_that_were_rewritten(real_slices, change):
    for scan in real_slices:
        said(real_ground().screen(changed(scan, change)))


@pytest.mark.parametrize("change", [np.array, lambda image: with_noise(image, 10.0)], ids=["untouched", "noise"])
def test_real_scans_that_were_not(real_slices, change):
    for scan in real_slices:
        assert reasons_to_abstain(scan, real_ground().card) == ()
        assert off_ground(measure_acquisition(changed(scan, change)), real_ground().calibration.ground) == ()
