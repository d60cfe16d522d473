import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tamperscan.diffusion.student import StudentSettings, StudentUNet, teach, train_student  # noqa: E402
from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings  # noqa: E402
from tamperscan.errors import TrainingError  # noqa: E402

SIGMAS = (0.02, 0.05)
SETTINGS = StudentSettings(SIGMAS, batch=4, learning_rate=3e-3, ema_decay=0.8)


class NoisyCrops:
    """Flat crops with the noise that scans have by themselves."""

    def draw(self, rng, count):
        return rng.normal(0, 0.03, (count, 1, 16, 16)).astype(np.float32)


@pytest.fixture
def teacher():
    """A network whose answer depends on the level."""
    torch.manual_seed(0)
    network = LocalUNet(LocalUNetSettings(widths=(8, 12)))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "steer" in name or "second" in name:
                parameter.normal_(0, 0.1)
    return network.eval()


def image(count=2):
    return torch.from_numpy(NoisyCrops().draw(np.random.default_rng(5), count))


def error_of(student, teacher):
    wanted = teach(teacher, image(), SIGMAS)
    with torch.inference_mode():
        return float((student(image()) - wanted).square().mean() / wanted.square().mean())


def test_student_begins_as_the_teacher_at_a_middle_level(teacher):
    student = StudentUNet(teacher, (0.01, 0.04))
    with torch.inference_mode():
        given, wanted = student(image()), teacher(image(), torch.full((2,), 0.02))
    assert given.shape == (2, 2, 16, 16)
    torch.testing.assert_close(given, wanted.expand(2, 2, 16, 16), atol=1e-5, rtol=1e-4)


def test_teacher_is_asked_at_every_level(teacher):
    one, other = teach(teacher, image(), SIGMAS).unbind(1)
    assert not torch.allclose(one, other)
    with torch.inference_mode():
        torch.testing.assert_close(other[:, None], teacher(image(), torch.full((2,), 0.05)))


def test_student_learns_and_leaves_the_teacher_alone(teacher, tmp_path):
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    student = train_student(teacher, SETTINGS, NoisyCrops(), tmp_path, 60)
    assert error_of(student, teacher) < 0.5 * error_of(StudentUNet(teacher, SIGMAS), teacher)
    torch.testing.assert_close(dict(teacher.state_dict()), before, atol=0, rtol=0)


def test_interrupted_training_goes_on(teacher, tmp_path):
    class Killed(BaseException):
        pass

    def kill(step, loss):
        if step == 4:
            raise Killed

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tamperscan.diffusion.student._SECONDS_BETWEEN_SAVES", -1.0)
        with pytest.raises(Killed):
            train_student(teacher, SETTINGS, NoisyCrops(), tmp_path, 6, report=kill)
    steps = []
    resumed = train_student(teacher, SETTINGS, NoisyCrops(), tmp_path, 6, report=lambda step, loss: steps.append(step))
    unbroken = train_student(teacher, SETTINGS, NoisyCrops(), tmp_path / "unbroken", 6)
    assert steps == [4, 5, 6]
    torch.testing.assert_close(dict(resumed.state_dict()), dict(unbroken.state_dict()), atol=0, rtol=0)


def test_state_of_other_settings(teacher, tmp_path):
    train_student(teacher, SETTINGS, NoisyCrops(), tmp_path, 1)
    other = dataclasses.replace(SETTINGS, learning_rate=1e-4)
    with pytest.raises(TrainingError, match="student with other settings"):
        train_student(teacher, other, NoisyCrops(), tmp_path, 2)
