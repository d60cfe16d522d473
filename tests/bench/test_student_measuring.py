import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tamperscan.bench.predictor_measuring import HeldOut  # noqa: E402
from tamperscan.bench.student_measuring import Slices, _measure, _window_likeness, noise_likeness  # noqa: E402
from tamperscan.bench.student_predictors import StudentPredictor, TeacherPredictor, time_ratio  # noqa: E402
from tamperscan.diffusion.student import StudentUNet  # noqa: E402
from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings  # noqa: E402
from tamperscan.diffusion.weights import Card  # noqa: E402
from tamperscan.scan import IntensityWindow  # noqa: E402

from .phantoms import chest_scan  # noqa: E402

WINDOW = (-1050.0, 450.0)
LEVEL_HU = 15.0
CARD = Card(name="tiny", kind="low-noise", modality="CT", window=WINDOW, crop_px=32, stride=4, levels_hu=(LEVEL_HU,))


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    return LocalUNet(LocalUNetSettings((8, 12))).eval()


@pytest.fixture
def twin(teacher):
    """A student of one level, which is its teacher before it has learned anything."""
    return StudentUNet(teacher, (LEVEL_HU / 750.0,)).eval()


@pytest.fixture
def stranger():
    torch.manual_seed(1)
    return StudentUNet(LocalUNet(LocalUNetSettings((8, 12))), (LEVEL_HU / 750.0,)).eval()


@pytest.fixture
def held_out():
    crops = np.random.default_rng(0).normal(-800, 30, (4, 3, 96, 96)).astype(np.int16)
    return HeldOut(crops, ("a", "a", "b", "b"), np.zeros(4, dtype=bool))


def test_twin_gives_the_same_noise(teacher, twin, stranger, held_out):
    (same,) = noise_likeness(teacher, twin, held_out, IntensityWindow(*WINDOW))
    assert same.correlation.value == pytest.approx(1.0, abs=1e-5)
    assert same.error.value == pytest.approx(0.0, abs=1e-4)
    (other,) = noise_likeness(teacher, stranger, held_out, IntensityWindow(*WINDOW))
    assert other.error.value > 0.1


def test_windows_of_a_twin_are_the_same(teacher, twin, stranger):
    scans = [("one", chest_scan(1, 2)), ("two", chest_scan(2, 1))]
    measured = _measure(scans, Slices(teacher, twin, CARD))
    assert measured.groups == ["one", "one", "two"]
    same = _window_likeness(measured, "energy")
    assert (same.correlation.value, same.error.value) == (pytest.approx(1, abs=1e-4), pytest.approx(0, abs=1e-3))
    other = _window_likeness(_measure(scans, Slices(teacher, stranger, CARD)), "energy")
    assert other.error.value > 2 * same.error.value


def test_series_are_thinned(teacher, twin):
    assert len(_measure([("long", chest_scan(1, 9))], Slices(teacher, twin, CARD)).pairs) == 6


@pytest.mark.parametrize("side", [(16, 16), (13, 30)])
def test_predictors_take_any_size(teacher, twin, side):
    image = np.random.default_rng(0).normal(0, 0.1, side).astype(np.float32)
    levels = np.array([LEVEL_HU / 750.0], np.float32)
    wanted, given = (each.predict(image, levels) for each in (TeacherPredictor(teacher), StudentPredictor(twin)))
    assert wanted.shape == (1, *side)
    np.testing.assert_allclose(given, wanted, atol=1e-5)


def test_student_gives_its_own_levels_only(twin):
    with pytest.raises(ValueError, match="gives 1 levels, not 2"):
        StudentPredictor(twin).predict(np.zeros((8, 8), np.float32), np.array([0.1, 0.2], np.float32))


def test_one_pass_is_quicker_than_four(teacher):
    assert time_ratio(teacher, StudentUNet(teacher, (0.01, 0.02, 0.03, 0.04)), repeats=3) > 1.5
