import pytest
import torch

from tamperscan.forge.diffusion_network import TripleUNet, TripleUNetSettings, cut_triples

TINY = TripleUNetSettings(widths=(8, 16), blocks=1)
SPACING = torch.tensor([[2.5, 0.7]])


@pytest.fixture
def network():
    """Fresh blocks pass everything on as it is; these have learnt something."""
    torch.manual_seed(0)
    made = TripleUNet(TINY).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return made


def velocity(network, triples, noise=0.3, spacing=SPACING):
    with torch.inference_mode():
        return network(triples, torch.full((len(triples),), noise), spacing.expand(len(triples), 2))


def test_gives_one_slice_for_three(network):
    assert velocity(network, torch.randn(2, 3, 16, 24)).shape == (2, 16, 24)


def test_each_slice_stands_between_its_neighbours():
    stack = torch.arange(3.0)[:, None, None].expand(3, 2, 2)
    assert cut_triples(stack)[:, :, 0, 0].tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2]]


def test_a_single_slice_is_its_own_neighbour():
    assert cut_triples(torch.ones(1, 2, 2)).shape == (1, 3, 2, 2)


def test_neighbours_matter(network):
    triples = torch.randn(1, 3, 16, 16)
    other = triples.clone()
    other[:, 2] += 1.0
    assert not torch.allclose(velocity(network, triples), velocity(network, other))


@pytest.mark.parametrize("change", [{"noise": 0.6}, {"spacing": torch.tensor([[5.0, 0.7]])}])
def test_noise_level_and_distances_matter(network, change):
    triples = torch.randn(1, 3, 16, 16)
    assert not torch.allclose(velocity(network, triples), velocity(network, triples, **change))


@pytest.mark.parametrize("noise", [0.006, 1.0])
def test_the_ends_of_the_noise_range_give_numbers(network, noise):
    assert torch.isfinite(velocity(network, torch.randn(1, 3, 16, 16), noise=noise)).all()


def test_the_packaged_size_is_small():
    count = sum(parameter.numel() for parameter in TripleUNet().parameters())
    assert 1e6 < count < 2.5e6
