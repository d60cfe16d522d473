import pytest
import torch

from tamperscan.bench.contenders.gan import Critic, Encoder, Generator, gradient_penalty


def test_patches_and_latent_vectors_fit():
    latents = torch.randn(3, 8)
    patches = Generator(8, 8)(latents)
    assert patches.shape == (3, 1, 64, 64)
    assert patches.abs().max() <= 1
    assert Encoder(8, 8)(patches).shape == (3, 8)
    assert Critic(8)(patches).shape == (3, 1)
    assert Critic(8).features(patches).shape == (3, 32, 4, 4)


def test_a_patch_is_scored_by_itself():
    critic, patches = Critic(8).eval(), torch.randn(4, 1, 64, 64)
    assert torch.allclose(critic(patches)[:1], critic(patches[:1]), atol=1e-5)


@pytest.mark.parametrize(("slope", "penalty"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
def test_the_penalty_is_the_slope_less_one_squared(slope, penalty):
    # A linear critic has the same slope everywhere: here its norm over 16 pixels is `slope`.
    def critic(patches):
        return patches.flatten(1).sum(dim=1, keepdim=True) * (slope / 4)

    assert float(gradient_penalty(critic, torch.randn(2, 1, 4, 4))) == pytest.approx(penalty, abs=1e-5)


def test_the_penalty_can_be_descended():
    critic = Critic(8)
    gradient_penalty(critic, torch.randn(2, 1, 64, 64)).backward()
    assert all(parameter.grad is not None for parameter in critic.body[0].parameters())
