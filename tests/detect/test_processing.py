"""A scan that was processed as a whole is recognised, and not judged; one that was not is."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tamperscan.data import packaged_weights, sample_path
from tamperscan.detect.load import load_detector
from tamperscan.detect.processing import find_traces, processing_reasons, traces_in
from tamperscan.detect.processing_limits import read_limits
from tamperscan.detect.processing_measures import GridMeasures
from tamperscan.scan import read_scan

from .phantom import chest_scan

USUAL = GridMeasures(comb=0.01, step_hu=3.0, blocks=0.0, wavelet=0.0, repetition=1.1, period_px=3.0, unevenness=0.45)


@pytest.fixture(scope="module")
def sample():
    return read_scan(sample_path())


def changed(scan, change):
    return replace(scan, voxels=np.rint(np.stack([change(image) for image in scan.voxels])).astype(np.float32))


def jpeg(image):
    shades = np.clip((image + 1350.0) / 1500.0 * 255.0, 0, 255).round().astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(shades).save(stream, "JPEG", quality=80)
    return np.asarray(Image.open(stream)).astype(np.float32) / 255.0 * 1500.0 - 1350.0


def jpeg2000(image):
    from openjpeg.utils import decode, encode_array

    stored = np.clip(image + 1024, 0, 4095).astype(np.uint16)
    return decode(bytes(encode_array(stored, bits_stored=12, compression_ratios=[15]))).astype(np.float32) - 1024


def resampled(image):
    there = Image.fromarray(image).resize((400, 400), Image.Resampling.BILINEAR)
    return np.asarray(there.resize(image.shape[::-1], Image.Resampling.BILINEAR))


def names(scan):
    return [trace.name for trace in find_traces(scan)]


def test_untouched_scans_show_nothing(sample):
    assert names(sample) == []
    assert processing_reasons(sample) == ()
    assert names(chest_scan(1, 3)) == []


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda image: np.rint(image / 4.0) * 4.0, "coarse values"),
        (lambda image: np.rint(image / 7.3) * 7.3, "coarse values"),
        (jpeg, "block compression"),
        (jpeg2000, "wavelet compression"),
        (resampled, "resampled"),
        (lambda image: ndimage.gaussian_filter(image, 1.2), "smoothed"),
    ],
)
def test_processing_is_named(sample, change, name):
    assert name in names(changed(sample, change))


def test_steps_of_two_are_a_scanner_s_own(sample):
    assert names(changed(sample, lambda image: np.rint(image / 2.0) * 2.0)) == []


def test_what_is_told_holds_what_was_measured(sample):
    (trace,) = find_traces(changed(sample, resampled))
    assert trace.measured > trace.limit
    assert "globally resampled" in trace.sentence
    assert f"{10**trace.measured:.0f} times as strongly" in trace.sentence


def test_most_slices_decide():
    treated = replace(USUAL, repetition=2.4)
    limits = read_limits()
    assert [trace.name for trace in traces_in([treated, treated, USUAL], [], limits)] == ["resampled"]
    assert traces_in([treated, USUAL, USUAL], [], limits) == ()


def test_repetition_that_compression_explains_is_not_told_twice():
    compressed = replace(USUAL, blocks=0.4, repetition=2.9)
    assert [trace.name for trace in traces_in([compressed], [], read_limits())] == ["block compression"]


def test_uneven_noise_is_denoising():
    (trace,) = traces_in([replace(USUAL, unevenness=1.1)], [], read_limits())
    assert trace.name == "denoised"
    assert "a factor of 12.6" in trace.sentence


def test_nothing_to_measure(sample):
    assert names(replace(sample, voxels=np.full((2, 64, 64), -1000.0, np.float32))) == []
    assert names(replace(sample, voxels=np.zeros((1, 5, 7), np.float32))) == []


def test_mr_is_not_looked_at(sample):
    assert names(changed(replace(sample, modality="MR"), jpeg)) == []


@pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")
def test_the_detector_abstains_and_says_why(sample):
    detector = load_detector("ct")
    assert detector.screen(sample).verdict == "suspicious"
    screening = detector.screen(changed(sample, jpeg2000))
    assert screening.verdict == "abstained"
    assert screening.p_value is None
    assert "This scan was globally lossy compressed by wavelets" in screening.reasons[0]
    assert screening.reasons[1].startswith("Abstained, because such processing rewrites the noise")
