import math

import pytest
import torch
from torch import nn

from tamperscan.bench.contenders.descent import apply_gradients, descend, falling_rate


def test_only_what_the_optimiser_moves_gets_a_gradient():
    moved, other = nn.Linear(1, 1), nn.Linear(1, 1)
    before = moved.weight.item()
    loss = other(moved(torch.ones(1, 1))).square().sum()
    assert descend(loss, torch.optim.Adam(moved.parameters()), rate=0.1) == pytest.approx(float(loss.detach()))
    assert other.weight.grad is None
    assert moved.weight.item() != before


def test_the_rate_warms_up_and_falls():
    rates = [falling_rate(1.0, share) for share in (0.0, 0.05, 0.5, 1.0)]
    assert rates[0] < 0.1
    assert rates[1] > 0.95
    assert rates[2] == pytest.approx(0.505)
    assert rates[3] == pytest.approx(0.01)


def test_a_step_goes_downhill_at_the_rate():
    line = nn.Linear(1, 1, bias=False)
    before = line.weight.item()
    descend(line(torch.ones(1, 1)).sum(), torch.optim.Adam(line.parameters()), rate=0.25)
    assert line.weight.item() == pytest.approx(before - 0.25, abs=1e-4)  # Adam's first step is as long as its rate


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_moves_nothing(bad):
    line = nn.Linear(1, 1)
    before = line.weight.item()
    assert math.isnan(descend((line(torch.ones(1, 1)) * bad).sum(), torch.optim.Adam(line.parameters()), rate=0.1))
    assert line.weight.item() == before
    assert line.weight.grad is None


def test_gradients_are_clipped_unless_told_otherwise():
    def moved(clip):
        weight = nn.Parameter(torch.zeros(1))
        optimiser = torch.optim.Adam([weight], lr=0.1, eps=1.0)  # so that the length of the gradient matters
        weight.grad = torch.full((1,), 9.0)
        apply_gradients(1.0, optimiser, clip=clip)
        return -weight.item()

    assert moved(1.0) == pytest.approx(0.05, rel=0.01)
    assert moved(None) == pytest.approx(0.09, rel=0.01)
