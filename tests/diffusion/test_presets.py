import dataclasses
import json

import pytest

from tamperscan.diffusion.presets import LOW_NOISE_CT, LOW_NOISE_MR, PAPER_CT, PRESETS, preset
from tamperscan.errors import TrainingError


def test_published_ct_settings():
    paper = preset("paper-ct")
    assert (paper.network, paper.modality, paper.crop_px) == ("published", "CT", 96)
    assert paper.window == (-700, 2000)
    assert paper.half_width == 1350
    assert (paper.batch, paper.accumulate, paper.learning_rate, paper.steps) == (64, 2, 8e-6, 700_000)
    assert (paper.ema_decay, paper.ema_every, paper.ema_start) == (0.995, 10, 100)
    assert (paper.schedule, paper.timesteps, paper.objective) == ("sigmoid", 1000, "noise")
    assert (paper.adam_betas, paper.gradient_clip, paper.flip) == ((0.9, 0.99), 1.0, False)


def test_published_mr_settings_differ_in_the_image_only():
    image = {"name": "paper-ct", "modality": "CT", "crop_px": 96, "window": (-700, 2000), "flip": False}
    assert dataclasses.replace(preset("paper-mr"), **image) == PAPER_CT
    assert (preset("paper-mr").crop_px, preset("paper-mr").flip) == (128, True)


def test_mr_scaled_to_one_has_half_a_unit_of_half_width():
    assert preset("paper-mr").window is None
    assert preset("paper-mr").half_width == 0.5


def test_mr_goes_by_two_names():
    assert preset("paper-mri") is preset("paper-mr")


def test_ours_trains_on_low_noise_only():
    assert preset("low-noise-ct") is LOW_NOISE_CT
    assert LOW_NOISE_CT.schedule is None
    assert 0 < LOW_NOISE_CT.levels.sigma_min < 10 < LOW_NOISE_CT.levels.sigma_max <= 200


def test_ours_for_mr_takes_levels_as_parts_of_the_range():
    assert preset("low-noise-mr") is LOW_NOISE_MR
    assert (LOW_NOISE_MR.modality, LOW_NOISE_MR.window, LOW_NOISE_MR.schedule) == ("MR", None, None)
    assert 0 < LOW_NOISE_MR.levels.sigma_min < LOW_NOISE_MR.levels.sigma_max < 0.2


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(TrainingError, match=r"'paper-pet'.*paper-ct, paper-mr, paper-mri, low-noise-ct"):
        preset("paper-pet")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_can_go_into_a_card(name):
    assert json.loads(json.dumps(dataclasses.asdict(preset(name))))["network"] in ("published", "local")


@pytest.mark.parametrize(
    "change", [{"schedule": None}, {"levels": LOW_NOISE_CT.levels}, {"schedule": "x"}, {"window": (5, 5)}]
)
def test_settings_that_contradict_themselves(change):
    with pytest.raises(ValueError, match="paper-ct"):
        dataclasses.replace(PAPER_CT, **change)


def test_settings_of_older_runs_are_the_default():
    plain = LOW_NOISE_CT.as_dict()
    assert plain["steps"] == 9000
    assert not {"widths", "neighbours"} & set(plain)
    changed = dataclasses.replace(LOW_NOISE_CT, widths=(8, 16), neighbours=1).as_dict()
    assert (changed["widths"], changed["neighbours"]) == ((8, 16), 1)
