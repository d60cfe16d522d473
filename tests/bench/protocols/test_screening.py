import math

import pytest

from tamperscan.bench.protocols.columns import MEASURES
from tamperscan.bench.protocols.evidence import CaseFacts
from tamperscan.bench.protocols.screening import SEVERAL, measure_screening

from .made import AWAY, PLACE, SINGLE, authentic, evidence, scored, sliced, tampered

COUNT = 4


def forged_score(case, high, low=1.0, at=PLACE, **more):
    """A tampered slice in the middle of a scan, and two that are not."""
    return scored(
        case,
        sliced(2, low, rest=low, at=AWAY),
        sliced(10, high, rest=low, at=at, tampered=True, within=more.pop("within", 1.0)),
        sliced(19, low, rest=low, at=AWAY),
        **more,
    )


def authentic_score(case, *scores):
    return scored(case, *(sliced(index, score, rest=score, at=AWAY) for index, score in enumerate(scores)))


def study(high, *, at=PLACE, facts=None, **more):
    """Tampered scans whose tampered slices score ``high`` and up; authentic slices score 0 to 3."""
    forged = [tampered(f"f{index}", f"p{index}") for index in range(COUNT)]
    real = [authentic(f"a{index}", f"q{index}") for index in range(COUNT)]
    before = [authentic(f"c{index}", f"c{index}") for index in range(COUNT)]
    told = [forged_score(case, high + 0.1 * index, at=at, **more) for index, case in enumerate(forged)]
    told += [authentic_score(case, float(index), 0.0) for index, case in enumerate(real)]
    told += [authentic_score(case, 2.0 + index, 1.0) for index, case in enumerate(before)]
    return evidence([*forged, *real], {"ours": told}, calibration=before, facts=facts)


def values(made):
    (column,) = measure_screening(made).columns
    return {key: figures["ours"].estimate.value for key, figures in column.measures.items()}


def test_perfect_detector():
    found = values(study(9.0, pixel_auc=0.8))
    for key in ("slice_auc", "slice_tpr_1", "slice_tpr_5", "localised", "within", "scan_auc", "scan_tpr_1"):
        assert found[key] == 1.0, key
    assert all(found[f"froc_{unit}_{rate}"] == 1.0 for unit in ("slice", "scan") for rate in ("0.5", "1", "2", "4"))
    assert found["pixel_auc"] == pytest.approx(0.8)


def test_reversed_detector():
    found = values(study(-9.0, at=AWAY, within=0.0))
    for key in ("slice_auc", "slice_tpr_5", "localised", "within", "froc_slice_0.5"):
        assert found[key] == 0.0, key


def test_every_measure_is_there():
    (column,) = measure_screening(study(9.0)).columns
    assert list(column.measures) == list(MEASURES)
    assert (column.slices, column.scans, column.patients, column.volumes) == (COUNT, COUNT, COUNT, COUNT)
    assert (column.authentic_slices, column.authentic_patients, column.authentic_volumes) == (2 * COUNT, COUNT, COUNT)


def test_true_positives_are_above_the_calibration_threshold():
    """Calibration scores reach 5; half of the tampered slices are above."""
    forged = [tampered(f"f{index}", f"p{index}") for index in range(2)]
    real = [authentic("a", "q")]
    before = [authentic(f"c{index}", f"c{index}") for index in range(4)]
    told = [forged_score(forged[0], 5.0), forged_score(forged[1], 5.5), authentic_score(real[0], 100.0)]
    told += [authentic_score(case, 2.0 + index) for index, case in enumerate(before)]
    result = measure_screening(evidence([*forged, *real], {"ours": told}, calibration=before))
    assert result.columns[0].measures["slice_tpr_5"]["ours"].estimate.value == 0.5


def test_without_calibration_no_share_is_told():
    made = study(9.0)
    found = values(evidence(made.cases, {"ours": list(made.scores["ours"].values())}))
    assert math.isnan(found["slice_tpr_1"])
    assert found["slice_auc"] == 1.0


def test_single_slices_have_no_figure_per_scan():
    facts = {f"{kind}{index}": SINGLE for kind in "fac" for index in range(COUNT)}
    found = values(study(9.0, facts=facts))
    assert math.isnan(found["scan_auc"])
    assert math.isnan(found["froc_scan_1"])
    assert found["slice_auc"] == 1.0


def test_without_spacing_nothing_is_localised():
    unknown = CaseFacts((20, 100, 100), None)
    found = values(study(9.0, facts={f"f{index}": unknown for index in range(COUNT)}))
    assert math.isnan(found["localised"])
    assert math.isnan(found["froc_slice_1"])
    assert found["slice_auc"] == 1.0


def test_control_is_of_the_untouched_rest():
    """The rest scores 1 in tampered slices; in authentic ones 0, 1, 2, 3 once each and 0 four times."""
    found = values(study(9.0))
    assert found["control"] == pytest.approx((4 + 1 + 0.5) / 8)
    assert found["scan_control"] == pytest.approx((1 + 0.5) / 4)


def test_a_contender_without_scores_is_the_least_and_told():
    made = study(9.0)
    told = {"ours": list(made.scores["ours"].values()), "silent": []}
    (column,) = measure_screening(evidence(made.cases, told, calibration=made.calibration)).columns
    silent = column.measures["slice_auc"]["silent"]
    assert silent.estimate.value == 0.5
    assert silent.missing == COUNT + 2 * COUNT
    assert silent.gap.value == -0.5
    assert column.measures["localised"]["silent"].estimate.value == 0.0


def test_authentic_scans_of_the_test_may_be_missing():
    made = study(9.0)
    forged = [case for case in made.cases if case.tampered]
    found = values(evidence(forged, {"ours": list(made.scores["ours"].values())}, calibration=made.calibration))
    assert math.isnan(found["slice_auc"])
    assert found["slice_tpr_5"] == 1.0
    assert found["localised"] == 1.0


def test_generators_are_told_apart_and_together():
    forged = [tampered("f", "p", generator="gan"), tampered("g", "r", generator="smooth")]
    real = [authentic("a", "q"), authentic("b", "s")]
    told = [forged_score(forged[0], 9.0), forged_score(forged[1], -9.0)]
    told += [authentic_score(case, 2.0) for case in real]
    result = measure_screening(evidence([*forged, *real], {"ours": told}))
    areas = {column.generator: column.measures["slice_auc"]["ours"].estimate.value for column in result.columns}
    assert areas == {"gan": 1.0, "smooth": 0.0, SEVERAL: 0.5}


def test_one_patient_alone_has_no_interval():
    case, real = tampered("f", "p"), [authentic("a", "q"), authentic("b", "s")]
    told = [forged_score(case, 9.0), *(authentic_score(one, 2.0) for one in real)]
    (column,) = measure_screening(evidence([case, *real], {"ours": told})).columns
    figure = column.measures["slice_auc"]["ours"].estimate
    assert figure.value == 1.0
    assert math.isnan(figure.low)


def test_curves_go_from_nothing_to_everything():
    result = measure_screening(study(9.0))
    (roc,) = [curve for curve in result.curves if curve.kind == "roc"]
    assert (roc.false[0], roc.true[0], roc.false[-1], roc.true[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert max(true for false, true in zip(roc.false, roc.true, strict=True) if false == 0.0) == 1.0
    (froc,) = [curve for curve in result.curves if curve.kind == "froc per scan"]
    assert froc.true[0] == 1.0


def test_progress_is_told():
    told = []
    measure_screening(study(9.0), lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]
