import math
from dataclasses import replace

from tamperscan.bench.cases import Target
from tamperscan.bench.protocols.evidence import CaseFacts
from tamperscan.bench.protocols.views import hits, slices_of, volumes_of
from tamperscan.bench.scores import Peak

from .made import AWAY, PLACE, SINGLE, VOLUME, authentic, evidence, scored, sliced, tampered


def views(case, *slices, facts=VOLUME):
    return slices_of(evidence([case], {"ours": [scored(case, *slices)]}, facts={case.name: facts}), [case])


def test_slices_that_none_could_score_are_left_out_and_counted():
    found = views(tampered("f", "p"), sliced(10, 1.0), sliced(11, math.nan))
    assert [view.index for view in found.slices] == [10]
    assert found.left_out == 1


def test_a_slice_that_one_contender_lacks_is_its_least():
    case = tampered("f", "p")
    scores = {"ours": [scored(case, sliced(10, 1.0))], "other": []}
    found = slices_of(evidence([case], scores), [case])
    assert found.suspicion("ours", lambda score: score.score).tolist() == [1.0]
    assert found.suspicion("other", lambda score: score.score).tolist() == [-math.inf]


def test_tampered_slices_are_told_by_the_mark_the_rank_or_the_place():
    found = views(
        tampered("f", "p", index=10),
        sliced(8, 1.0, tampered=True),
        sliced(9, 1.0, within=0.5),
        sliced(10, 1.0),
        sliced(15, 1.0),
    )
    assert [view.tampered for view in found.slices] == [True, True, True, False]


def test_authentic_slices_are_not_tampered():
    assert not views(authentic("a", "q"), sliced(10, 1.0)).slices[0].tampered


def test_places_reach_as_far_as_their_cube():
    found = views(tampered("f", "p", index=10), sliced(2, 1.0, tampered=True), sliced(18, 1.0))
    assert all(view.places for view in found.slices)


def test_the_nearest_place_is_taken_where_a_mask_reaches_farther():
    found = views(tampered("f", "p", index=0), sliced(15, 1.0, tampered=True))
    assert found.slices[0].tampered


def test_a_slice_of_the_other_task_does_not_count():
    case = tampered("f", "p", "remove", index=2)
    case = replace(case, targets=(*case.targets, Target(18, *PLACE, "injected")))
    found = views(case, sliced(2, 1.0, tampered=True), sliced(18, 1.0, tampered=True))
    assert [view.tampered for view in found.slices] == [True, False]


def test_a_hit_lies_within_16_mm_in_the_slice():
    target = Target(10, *PLACE, "removed")
    assert hits(Peak(10, 50, 66, 1.0), [target], (2.0, 1.0, 1.0))
    assert not hits(Peak(10, 50, 67, 1.0), [target], (2.0, 1.0, 1.0))
    assert not hits(Peak(10, 50, 66, 1.0), [target], (2.0, 1.0, 1.1))
    assert not hits(Peak(10, *AWAY, 1.0), [target], (2.0, 1.0, 1.0))


def test_without_spacing_only_the_place_s_own_slice_is_near():
    facts = CaseFacts((20, 100, 100), None)
    found = views(tampered("f", "p", index=10), sliced(10, 1.0), sliced(11, 1.0), facts=facts)
    assert [view.tampered for view in found.slices] == [True, False]


def test_single_slices_are_no_volumes():
    assert volumes_of(views(tampered("f", "p", index=0), sliced(0, 1.0), facts=SINGLE)) == []
    assert len(volumes_of(views(tampered("f", "p"), sliced(9, 1.0), sliced(10, 2.0)))) == 1
