from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tamperscan.diffusion.head import ForgeryHead, HeadEnsemble, HeadSettings  # noqa: E402
from tamperscan.diffusion.head_export import export_head  # noqa: E402
from tamperscan.diffusion.head_training import read_head, train_head  # noqa: E402
from tamperscan.diffusion.runtime import onnxruntime  # noqa: E402
from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings  # noqa: E402
from tamperscan.errors import TrainingError  # noqa: E402

TINY = HeadSettings(levels_hu=(20.0,), widths=(8, 12), crop_px=32, batch=8, steps=40, learning_rate=4e-3, ema_decay=0.9)
SIGMAS = (0.03,)


class Squares:
    """Crops of white noise in which a square is smoothed; the square is to be found."""

    def draw(self, rng, count):
        images = rng.normal(0.0, 0.05, (count, 1, 32, 32)).astype(np.float32)
        masks = np.zeros_like(images)
        for image, mask in zip(images, masks, strict=True):
            top, left = rng.integers(0, 17, 2)
            place = (0, slice(top, top + 16), slice(left, left + 16))
            image[place] *= 0.2
            mask[place] = 1.0
        return images, masks


def predictor():
    torch.manual_seed(0)
    return LocalUNet(LocalUNetSettings(widths=(8, 12)))


def train(folder, settings=TINY, report=lambda progress: None):
    return train_head(settings, Squares(), predictor(), SIGMAS, folder, report=report)


def odds_of(head, image):
    with torch.inference_mode():
        level = torch.full((len(image),), SIGMAS[0])
        return head(image, predictor().eval()(image, level))


def test_a_head_learns_where_the_noise_is_another(tmp_path):
    head = train(tmp_path, replace(TINY, steps=160, learning_rate=1e-2))
    images, masks = (torch.from_numpy(each) for each in Squares().draw(np.random.default_rng(99), 8))
    odds = odds_of(head, images)
    assert odds[masks > 0.5].mean() > odds[masks < 0.5].mean() + 1.0


def test_a_tile_gives_what_the_whole_gives():
    torch.manual_seed(1)
    head = ForgeryHead(replace(TINY, widths=(8, 12, 16)))
    for parameter in head.parameters():  # as it starts, the last layers of all blocks are zero
        torch.nn.init.normal_(parameter, std=0.1)
    image, noise = torch.randn(1, 1, 192, 192) * 0.1, torch.randn(1, 1, 192, 192)
    margin = slice(64, 128)
    with torch.inference_mode():
        whole = head(image, noise)
        tile = head(image[..., 16:176, 16:176], noise[..., 16:176, 16:176])
    assert whole.abs().max() > 0.01
    torch.testing.assert_close(tile[..., 48:112, 48:112], whole[..., margin, margin], atol=1e-4, rtol=1e-4)


def test_a_killed_run_goes_on_as_if_nothing_had_been(tmp_path):
    class KilledError(Exception):
        pass

    def kill(progress):
        if progress.step == 4:
            raise KilledError

    short = replace(TINY, steps=6)
    unbroken = train(tmp_path / "unbroken", short)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tamperscan.diffusion.head_training._SECONDS_BETWEEN_SAVES", -1.0)
        with pytest.raises(KilledError):
            train(tmp_path / "broken", short, kill)
    resumed = train(tmp_path / "broken", short)
    for name, value in unbroken.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, atol=0, rtol=0)


def test_other_settings_are_refused(tmp_path):
    train(tmp_path, replace(TINY, steps=1))
    with pytest.raises(TrainingError, match=r"another run \(widths was"):
        train(tmp_path, replace(TINY, steps=1, widths=(8, 16)))


def test_an_unfinished_run_is_not_used(tmp_path):
    with pytest.raises(TrainingError, match="no trained member"):
        read_head(tmp_path, TINY)
    train(tmp_path, replace(TINY, steps=2))
    with pytest.raises(TrainingError, match="step 2 of 40"):
        read_head(tmp_path, TINY)
    assert read_head(tmp_path, replace(TINY, steps=2)).steps == 2


def test_the_export_gives_each_member_a_channel(tmp_path):
    torch.manual_seed(2)
    members = [ForgeryHead(TINY), ForgeryHead(TINY)]
    for parameter in HeadEnsemble(members).parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    export_head(HeadEnsemble(members), 1, tmp_path / "head.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "head.onnx", providers=["CPUExecutionProvider"])
    image, noise = torch.randn(1, 1, 40, 72), torch.randn(1, 1, 40, 72)
    got = session.run(None, {"image": image.numpy(), "noise": noise.numpy()})[0]
    with torch.inference_mode():
        for channel, member in enumerate(members):
            np.testing.assert_allclose(got[:, channel : channel + 1], member(image, noise).numpy(), atol=1e-4)
