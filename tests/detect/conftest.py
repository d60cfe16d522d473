"""Networks small enough to be trained and exported within the tests, and what is made of them once for all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tamperscan.detect.calibrating import calibrate_weights
from tamperscan.detect.load import load_detector
from tamperscan.diffusion.presets import LOW_NOISE_CT
from tamperscan.diffusion.weights import Card

from .phantom import chest_scan, with_patch

REAL_SCANS = Path(__file__).parents[2] / ".." / "shared" / "data"
CALIBRATION_PATIENTS = range(1, 9)
# In the middle of one lung.
PLACE = (108, 76)
TAMPERED_SLICES = range(1, 4)


@pytest.fixture
def real_scans():
    """Folder of public research scans, which is no part of the project."""
    if not REAL_SCANS.is_dir():
        pytest.skip("the real scans are not on this machine")
    return REAL_SCANS.resolve()


def small_network(widths):
    from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings

    return LocalUNet(LocalUNetSettings(widths=widths))


def export_untrained(name, folder, **facts):
    """Write the weights of a network that has learned nothing."""
    torch = pytest.importorskip("torch")
    from tamperscan.diffusion.export import export_weights

    torch.manual_seed(0)
    network = small_network((8, 16))
    return export_weights(
        network, Card(name=name, kind="low-noise", crop_px=32, stride=network.stride, **facts), folder
    )


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """Weights for CT of a network that has learned nothing."""
    facts = {"modality": "CT", "window": LOW_NOISE_CT.window, "levels_hu": (12.0, 32.0)}
    return export_untrained("untrained", tmp_path_factory.mktemp("untrained"), **facts)


@pytest.fixture(scope="session")
def untrained_mr(tmp_path_factory):
    """The same for MR."""
    facts = {"modality": "MR", "window": None, "levels_of_range": (0.01, 0.03)}
    return export_untrained("untrained-mr", tmp_path_factory.mktemp("untrained-mr"), **facts)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Folder, options and weights of a short training run."""
    pytest.importorskip("torch")
    from tamperscan.detect.training import TrainingOptions, train_detector

    changes = {"crop_px": 32, "batch": 8, "learning_rate": 4e-3, "learning_rate_decay": "none", "ema_decay": 0.9}
    options = TrainingOptions(replace(LOW_NOISE_CT, **changes), "tiny", steps=100, bf16=False, licence="made up")
    out = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tamperscan.diffusion.train.build_network", lambda settings: small_network((8, 16, 24)))
        weights = train_detector(iter([chest_scan(seed, 2) for seed in range(100, 104)]), out, options)
    return out, options, weights


@pytest.fixture(scope="session")
def calibrated(run, tmp_path_factory):
    """Weights of a detector that knows eight patients."""
    scans = [(f"patient {seed}", chest_scan(seed, 3)) for seed in CALIBRATION_PATIENTS]
    return calibrate_weights(run[2], scans, tmp_path_factory.mktemp("detector"))


@pytest.fixture(scope="session")
def detector(calibrated):
    return load_detector(calibrated.folder, threads=1)


@pytest.fixture(scope="session")
def authentic():
    """A patient that the detector has not seen."""
    return chest_scan(50, slices=5)


@pytest.fixture(scope="session")
def tampered(authentic):
    """The same patient with sharper and stronger noise in a disc of 28 mm, over three slices."""
    return with_patch(authentic, TAMPERED_SLICES, *PLACE, noise_hu=35.0)


@pytest.fixture(scope="session")
def smoothed(authentic):
    """The same patient with almost no noise in the disc."""
    return with_patch(authentic, TAMPERED_SLICES, *PLACE, noise_hu=2.0, blur_px=0.7)


@pytest.fixture(scope="session")
def screened(detector, authentic, tampered, smoothed):
    """Screenings of the patient: as it was, and after tampering."""
    scans = {"authentic": authentic, "tampered": tampered, "smoothed": smoothed}
    return {name: detector.screen(scan, alarm_rate=0.2) for name, scan in scans.items()}
