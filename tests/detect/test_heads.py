"""The heads: what each makes of the same measurements, and how they are told apart, calibrated and loaded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")

from tamperscan.detect.calibrating import calibrate_weights
from tamperscan.detect.calibration import calibration_file
from tamperscan.detect.heads import COMBINATION_FILE, HEADS, Combination, combined, heads_in, read_combination
from tamperscan.detect.load import load_detector
from tamperscan.detect.self_forging import assemble_head, cache_patients, train_member
from tamperscan.diffusion.head import HeadSettings
from tamperscan.errors import WeightsError

from .conftest import PLACE
from .phantom import chest_scan

PATIENTS = range(1, 7)


def patients():
    return ((f"patient {seed}", replace(chest_scan(seed, 2), name=f"scan-{seed}")) for seed in PATIENTS)


@pytest.fixture(scope="module")
def headed(run, tmp_path_factory):
    """A detector with all heads; its self-forged one learned for a few steps."""
    _, _, weights = run
    folder = tmp_path_factory.mktemp("headed")
    settings = HeadSettings(levels_hu=weights.card.levels_hu, widths=(8, 12), crop_px=48, batch=4, steps=30)
    scans = cache_patients(patients, folder, of="phantoms")
    for member in range(2):
        train_member(weights, scans, folder, member, settings, members=2)
    with_head = assemble_head(weights, scans, folder, folder / "weights", settings, members=2)
    return calibrate_weights(with_head, patients(), folder / "detector")


def test_every_head_is_calibrated(headed):
    assert heads_in(headed) == HEADS
    assert {calibration_file(head) for head in HEADS} | {COMBINATION_FILE} <= headed.card.files.keys()
    combination = read_combination(headed)
    assert combination.typicality_spread > 0
    assert combination.odds_spread > 0


@pytest.mark.parametrize("head", HEADS)
def test_every_head_screens(headed, head, authentic):
    detector = load_detector(headed.folder, head=head, threads=1)
    screening = detector.screen(authentic, alarm_rate=0.2)
    assert detector.head == screening.settings["head"] == head
    assert screening.verdict in ("clear", "suspicious")
    assert 0 < screening.p_value <= 1
    assert screening.suspicion.min() >= 0.0
    assert np.isfinite(detector.score_patch(authentic, 2, *PLACE))
    told = " ".join(finding.evidence for finding in screening.findings)
    assert ("log-odds" in told) == (head != "typicality" and bool(screening.findings))


def test_the_strongest_head_is_the_default(headed, detector):
    assert load_detector(headed.folder, threads=1).head == "combined"
    assert detector.head == "typicality"  # of weights without a self-forged head


def test_heads_that_are_not_there_are_refused(headed, calibrated):
    with pytest.raises(WeightsError, match="no head 'best'"):
        load_detector(headed.folder, head="best")
    with pytest.raises(WeightsError, match="only typicality"):
        load_detector(calibrated.folder, head="combined")
    with pytest.raises(WeightsError, match="has no heads"):
        load_detector("published", head="typicality")


def test_two_heads_are_added_in_their_own_units():
    typical = np.array([[2.0, np.nan, np.nan]], dtype=np.float32)
    altered = np.array([[6.0, 3.0, np.nan]], dtype=np.float32)
    both = combined(typical, altered, Combination(typicality_spread=2.0, odds_spread=3.0))
    np.testing.assert_allclose(both, [[3.0, 1.0, np.nan]])


def test_patients_are_scored_by_the_member_that_has_not_seen_them(headed):
    from tamperscan.detect.self_forged import read_facts

    facts = read_facts(headed)
    assert facts.members_without("patient 1") == (0,)
    assert facts.members_without("patient 2") == (1,)
    assert facts.members_without("somebody else") is None


def test_heads_share_what_was_fitted(headed, tmp_path, monkeypatch):
    from tamperscan.detect import calibrating

    fitted = []
    fit = calibrating.fit_windows
    monkeypatch.setattr(calibrating, "fit_windows", lambda patients: fitted.append(len(patients)) or fit(patients))
    again = calibrate_weights(headed, patients(), tmp_path)
    assert sorted(fitted) == [len(PATIENTS) - 1] * len(PATIENTS) + [len(PATIENTS)]
    for head in HEADS:
        name = calibration_file(head)
        assert (again.folder / name).read_bytes() == (headed.folder / name).read_bytes()
