import numpy as np
import pytest
import torch

from tamperscan.bench.contenders.contender import settings_hash
from tamperscan.bench.contenders.f_anogan import GAN_SHARE, FAnoGan
from tamperscan.bench.contenders.gan import Critic

from .small import SPACING_MM, NoiseCrops, noise


def copies(networks):
    return {
        name: [parameter.detach().clone() for parameter in network.parameters()] for name, network in networks.items()
    }


def moved(before, after):
    return {
        name for name in before if any(not torch.equal(a, b) for a, b in zip(before[name], after[name], strict=True))
    }


@pytest.fixture
def course():
    torch.manual_seed(0)
    return FAnoGan("CT", width=8, latent=8).course(NoiseCrops())


def test_generator_and_critic_come_first(course):
    before = copies(course.networks)
    for step in range(12):
        assert np.isfinite(course.step(np.random.default_rng(step), 0.0))
    assert moved(before, copies(course.networks)) == {"generator", "critic"}


def test_then_the_encoder_alone(course):
    before = copies(course.networks)
    losses = [course.step(np.random.default_rng(step), GAN_SHARE) for step in range(30)]
    assert moved(before, copies(course.networks)) == {"encoder"}
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_energy_is_the_residual_and_that_of_the_features():
    contender = FAnoGan("CT", width=8, latent=8)

    class Zero(torch.nn.Module):
        def forward(self, anything):
            return torch.zeros(len(anything), 1, 64, 64)

    contender.networks = {"encoder": Zero(), "generator": Zero(), "critic": Critic(8).eval()}
    image = noise((64, 64))
    model = torch.from_numpy(contender._window.to_model(image))[None, None]
    critic = contender.networks["critic"]
    with torch.inference_mode():
        feature = (critic.features(model) - critic.features(0 * model)).square().mean().item()
    assert np.allclose(contender.energy(image, SPACING_MM), model[0, 0].numpy() ** 2 + feature, rtol=1e-4)


def test_settings_tell_what_changes_the_result():
    made = (FAnoGan("CT"), FAnoGan("MR"), FAnoGan("CT", width=8), FAnoGan("CT", latent=8))
    assert len({settings_hash(each) for each in made}) == 4
