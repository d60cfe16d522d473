import io

import numpy as np
import pytest
from PIL import Image

from tamperscan.bench.protocols.screening import Curve, ScreeningResult
from tamperscan.bench.roc_figures import draw_curves, emphasised, write_curves

NAMES = ["ours", *(f"other {number}" for number in range(8))]


def curves(kind="roc", generator="gan"):
    """The higher the number, the better; ours is the worst."""
    grid = np.linspace(0, 1, 30)
    across = grid if kind == "roc" else 10 * grid
    return [
        Curve(kind, name, "CT", generator, "inject", tuple(across), tuple(grid ** (1 / (1 + place))))
        for place, name in enumerate(NAMES)
    ]


def test_ours_and_the_best_five_get_a_colour():
    assert emphasised(curves(), "ours") == ["ours", *(f"other {number}" for number in (7, 6, 5, 4, 3))]
    assert emphasised(curves("froc per slice"), "ours")[:2] == ["ours", "other 7"]


def test_a_contender_that_is_read_in_two_ways_gets_one_colour():
    both = [*curves(), *(Curve("roc", "other 7, both sides", "CT", "gan", "inject", (0, 0, 1), (0, 1, 1)),)]
    chosen = emphasised(both, "ours")
    assert "other 7, both sides" in chosen
    assert "other 7" not in chosen
    assert len(chosen) == 6


def test_the_best_is_the_best_as_far_as_it_is_drawn():
    steep = Curve("froc per slice", "steep", "CT", "gan", "inject", (0, 0.5, 1), (0, 0.8, 0.8))
    late = Curve("froc per slice", "late", "CT", "gan", "inject", (0, 7.9, 90), (0, 0.9, 1.0))
    assert emphasised([late, steep], "nobody") == ["steep", "late"]


@pytest.mark.parametrize("generators", [1, 2, 4, 7])
def test_each_generator_has_a_panel(generators):
    drawn = [curve for number in range(generators) for curve in curves(generator=f"gan {number}")]
    image = Image.open(io.BytesIO(draw_curves(drawn, emphasised(drawn, "ours"))))
    across = 2 if generators in (1, 2, 4) else 3
    assert image.width == across * 420
    assert np.asarray(image.convert("L")).mean() > 200  # light


def test_colours_stay_with_their_contenders():
    slots = {}
    draw_curves(curves(), ["ours", "other 1", "other 2"], slots)
    draw_curves(curves(), ["ours", "other 2", "other 3"], slots)
    assert slots == {"ours": 0, "other 1": 1, "other 2": 2, "other 3": 1}


def test_pictures_by_kind_and_task(tmp_path):
    empty = Curve("froc per scan", "ours", "CT", "gan", "inject", (), ())
    result = ScreeningResult((), (), (*curves(), *curves("froc per slice"), empty))
    written = write_curves(result, "ours", tmp_path / "figures")
    assert [path.name for path in written] == ["roc_ct_injection.png", "froc_slice_ct_injection.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
