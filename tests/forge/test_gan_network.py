import json

import torch

from tamperscan.forge.gan_network import Discriminator, GanSettings, Generator, condition_of

SMALL = GanSettings(widths=(8, 16, 16), critic_widths=(8, 8, 8))


def told(count, seed=0):
    random = torch.Generator().manual_seed(seed)
    cube, noise = (torch.randn((count, 1, 16, 16, 16), generator=random) for _ in range(2))
    core = torch.zeros_like(cube)
    core[:, :, 4:12, 4:12, 4:12] = 1
    return condition_of(cube, core, noise, core / 2)


def test_the_condition_hides_the_core_and_shows_noise_there_only():
    known, core, noise, shape = told(1)[0]
    assert not known[core == 1].any()
    assert known[core == 0].all()
    assert not noise[core == 0].any()
    assert shape.max() == 0.5


def test_a_cube_comes_out_in_model_units():
    torch.manual_seed(0)
    out = Generator(SMALL)(told(2))
    assert out.shape == (2, 1, 16, 16, 16)
    assert out.abs().max() < 1


def test_a_single_cube_gives_what_it_gives_in_a_batch():
    torch.manual_seed(0)
    network, batch = Generator(SMALL), told(3)
    assert torch.allclose(network(batch)[1:2], network(batch[1:2]), atol=1e-5)


def test_noise_in_the_core_changes_the_outcome():
    torch.manual_seed(0)
    network, first = Generator(SMALL), told(1)
    second = first.clone()
    second[:, 2] *= -1
    assert not torch.allclose(network(first), network(second), atol=1e-4)


def test_the_discriminator_judges_patches_at_every_resolution():
    torch.manual_seed(0)
    verdicts = Discriminator(SMALL)(torch.randn(2, 1, 16, 16, 16), told(2))
    assert [tuple(verdict.shape) for verdict in verdicts] == [(2, 1, 8, 8, 8), (2, 1, 4, 4, 4), (2, 1, 2, 2, 2)]


def test_the_packaged_size_is_below_six_megabytes():
    assert 2 * sum(value.numel() for value in Generator().state_dict().values()) < 6e6


def test_settings_come_back_from_a_card():
    assert GanSettings.from_card(json.loads(json.dumps(SMALL.as_dict()))) == SMALL
