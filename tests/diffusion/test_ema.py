import pytest

torch = pytest.importorskip("torch")

from tamperscan.diffusion.ema import Ema  # noqa: E402
from tamperscan.diffusion.presets import preset  # noqa: E402


class Number(torch.nn.Module):
    """A network with one weight, one float buffer and one counter."""

    def __init__(self, value):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(float(value), dtype=torch.float32))
        self.register_buffer("mean", torch.tensor(float(value), dtype=torch.float32))
        self.register_buffer("count", torch.tensor(int(value)))


def averages(ema, values):
    """Average after each call."""
    seen = []
    for value in values:
        ema.update(Number(value))
        seen.append(float(ema.model.weight))
    return seen


def test_constant_decay():
    ema = Ema(Number(0), decay=0.5, every=1, power=None)
    assert averages(ema, [1, 1, 1]) == [0.5, 0.75, 0.875]


def test_only_every_so_many_steps_count():
    ema = Ema(Number(0), decay=0.5, every=3, power=None)
    assert averages(ema, [1, 8, 8, 1, 8]) == [0.5, 0.5, 0.5, 0.75, 0.75]


def test_published_warm_up_copies_at_first():
    seen = averages(Ema.from_preset(Number(0), preset("paper-ct")), range(125))
    assert (seen[0], seen[9], seen[10], seen[100], seen[109], seen[110]) == (0, 0, 10, 100, 100, 110)


def test_published_warm_up_then_averages():
    seen = averages(Ema.from_preset(Number(0), preset("paper-ct")), range(131))
    keep = 1 - 21 ** (-2 / 3)
    assert seen[120] == pytest.approx(keep * 110 + (1 - keep) * 120)
    keep = 1 - 31 ** (-2 / 3)
    assert seen[130] == pytest.approx(keep * seen[120] + (1 - keep) * 130)


@pytest.mark.parametrize(
    ("call", "keep"),
    [(110, 0.0), (120, 0.8686), (280, 0.96875), (2920, 0.99499), (2930, 0.995), (10**6, 0.995)],
)
def test_published_decay_rises_to_its_limit(call, keep):
    assert Ema.from_preset(Number(0), preset("paper-ct")).decay_at(call) == pytest.approx(keep, abs=5e-5)


def test_buffers_are_averaged_and_counters_copied():
    ema = Ema(Number(0), decay=0.75, every=1, power=None)
    ema.update(Number(4))
    assert (float(ema.model.mean), int(ema.model.count)) == (1.0, 4)


def test_training_leaves_the_average_alone():
    model = Number(1)
    ema = Ema(model)
    with torch.no_grad():
        model.weight.fill_(5)
    assert float(ema.model.weight) == 1
    assert not ema.model.weight.requires_grad
    assert not ema.model.training


def test_a_run_can_go_on_later():
    whole = Ema.from_preset(Number(0), preset("paper-ct"))
    averages(whole, range(300))
    first = Ema.from_preset(Number(0), preset("paper-ct"))
    averages(first, range(137))
    second = Ema.from_preset(Number(0), preset("paper-ct"))
    second.load_state_dict(first.state_dict())
    averages(second, range(137, 300))
    assert float(second.model.weight) == float(whole.model.weight)


@pytest.mark.parametrize("settings", [{"decay": 1.0}, {"decay": -0.1}, {"every": 0}, {"start": -1}])
def test_settings_that_make_no_average(settings):
    with pytest.raises(ValueError, match="1"):
        Ema(Number(0), **settings)


def test_like_the_library():
    library = pytest.importorskip("ema_pytorch")
    model = Number(0)
    theirs = library.EMA(model, beta=0.995, update_every=10)
    ours = Ema.from_preset(model, preset("paper-ct"))
    for value in range(3000):
        with torch.no_grad():
            model.weight.fill_(value)
        theirs.update()
        ours.update(model)
    # Its newer versions differ at a single early update.
    assert float(ours.model.weight) == pytest.approx(float(theirs.ema_model.weight), rel=1e-3)
