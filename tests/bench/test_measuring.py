import json

import numpy as np
import pytest

from tamperscan.bench.cuts import Cuts, PlaceCut, SliceCut
from tamperscan.bench.grids import windowed_means
from tamperscan.bench.measuring import Measurements, Task, tasks_of
from tamperscan.bench.protocols.evidence import CaseFacts
from tamperscan.bench.stored import store_slice
from tamperscan.bench.units import region_of

from .phantoms import PIXEL_MM, PLACE, chest
from .toys import Bright, Finished, LocalNoise

SPACING = (PIXEL_MM, PIXEL_MM)


@pytest.fixture
def slices(tmp_path):
    """A folder of three stored slices."""
    images = [chest(seed) for seed in range(3)]
    return [store_slice(tmp_path, image, region_of(image, SPACING, "CT"), SPACING, "CT") for image in images]


def noise(**told):
    contender = LocalNoise(**told)
    contender._level = 1.0
    return contender


def measured(tmp_path, contender, tasks):
    kept = Measurements(tmp_path / "measured.jsonl")
    kept.measure(contender, tasks, tmp_path, lambda done, total: None)
    return kept


def test_a_slice_that_cases_share_is_one_task():
    facts = CaseFacts((1, 9, 9), (1.0, 1.0, 1.0))
    first = Cuts(facts, (SliceCut(0, "a", False),), (PlaceCut("a", 1, 2), PlaceCut("b", 3, 4)))
    second = Cuts(facts, (SliceCut(0, "a", False), SliceCut(1, "c", True)), (PlaceCut("a", 1, 2), PlaceCut("a", 5, 6)))
    assert tasks_of([first, second]) == [
        Task("a", True, ((1, 2), (5, 6))),
        Task("b", False, ((3, 4),)),
        Task("c", True, ()),
    ]


def test_energies_are_means_of_the_whole_map(tmp_path, slices):
    """Only the surroundings of the lungs are given to the contender, which makes no difference here."""
    stored = slices[0]
    kept = measured(tmp_path, noise(), [Task(stored.key, True, ())])
    whole = noise().energy(stored.image, SPACING)
    expected = windowed_means(whole, stored.region, stored.grid)
    np.testing.assert_allclose(kept.energies(stored.key), expected, rtol=1e-5)


def test_a_patch_is_96_pixels_around_the_place_moved_inwards_at_the_border(tmp_path, slices):
    stored = slices[0]
    kept = measured(tmp_path, Bright(), [Task(stored.key, False, ((64, 64), (2, 127)))])
    for (row, column), part in {(64, 64): np.s_[16:112, 16:112], (2, 127): np.s_[:96, 32:]}.items():
        expected = Bright().energy(stored.image[part], SPACING).mean()
        assert kept.patch(PlaceCut(stored.key, row, column)) == pytest.approx(expected, rel=1e-5)


def test_a_finished_map_is_taken_as_it_is(tmp_path, slices):
    stored = slices[0]
    outside = (5, 5)
    kept = measured(tmp_path, Finished(), [Task(stored.key, True, (PLACE, outside))])
    suspicion = Finished().energy(stored.image, SPACING)
    assert stored.grid.step == 1
    np.testing.assert_allclose(kept.energies(stored.key), suspicion[stored.grid.nodes], rtol=1e-5)
    around = (
        np.hypot(*(axis - at for axis, at in zip(np.indices(stored.image.shape), PLACE, strict=True))) * PIXEL_MM <= 8
    )
    expected = suspicion[around & stored.region].mean()
    assert kept.patch(PlaceCut(stored.key, *PLACE)) == pytest.approx(expected, rel=1e-5)
    assert np.isnan(kept.patch(PlaceCut(stored.key, *outside)))


def test_nothing_is_measured_twice(tmp_path, slices):
    tasks = [Task(stored.key, True, (PLACE,)) for stored in slices]
    measured(tmp_path, noise(), tasks[:2])
    again = noise()
    kept = measured(tmp_path, again, tasks)
    assert again.energies == 2  # the slice that was missing, and its patch
    assert kept.missing(tasks) == []


def test_a_place_that_is_new_is_added(tmp_path, slices):
    key = slices[0].key
    before = measured(tmp_path, noise(), [Task(key, True, (PLACE,))])
    kept = measured(tmp_path, noise(), [Task(key, True, (PLACE, (70, 90)))])
    assert kept.patch(PlaceCut(key, *PLACE)) == before.patch(PlaceCut(key, *PLACE))
    assert kept.patch(PlaceCut(key, 70, 90)) > 0
    assert np.array_equal(kept.energies(key), before.energies(key))


def test_a_failure_costs_its_slice_and_is_tried_again(tmp_path, slices):
    tasks = [Task(stored.key, True, ()) for stored in slices]
    counted = iter(range(3))
    kept = measured(tmp_path, noise(fails_on=lambda image: next(counted) == 1), tasks)
    assert "too hard" in kept.problem(slices[1].key)
    assert not kept.problem(slices[0].key)
    assert not kept.problem(slices[2].key)
    kept = measured(tmp_path, noise(), tasks)
    assert not kept.problem(slices[1].key)


class Strange(Bright):
    def __init__(self, gives):
        super().__init__()
        self._gives = gives

    def energy(self, image, spacing_mm):
        return self._gives(image)


@pytest.mark.parametrize("gives", [lambda image: image[:-1], lambda image: np.full_like(image, np.nan)])
def test_a_map_that_makes_no_sense_is_a_failure(tmp_path, slices, gives):
    kept = measured(tmp_path, Strange(gives), [Task(slices[0].key, True, ())])
    assert "wrong size" in kept.problem(slices[0].key)


def test_a_slice_without_lungs_has_no_energies(tmp_path):
    stored = store_slice(tmp_path, chest(), np.zeros((128, 128), bool), SPACING, "CT")
    kept = measured(tmp_path, noise(), [Task(stored.key, True, ())])
    assert kept.energies(stored.key).size == 0
    assert not kept.problem(stored.key)


def test_what_is_kept_is_lines_of_json(tmp_path, slices):
    measured(tmp_path, noise(), [Task(slices[0].key, True, (PLACE,))])
    (line,) = (tmp_path / "measured.jsonl").read_text().splitlines()
    assert set(json.loads(line)["value"]) == {"nodes", "patches", "seconds", "problem"}
