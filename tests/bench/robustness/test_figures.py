"""Figures of treatments, and the page that tells them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tamperscan.bench.document import Provenance
from tamperscan.bench.robustness.figures import frozen_thresholds, share_of_scans, treatment_result
from tamperscan.bench.robustness.measuring import Outcome
from tamperscan.bench.robustness.page import robustness_page
from tamperscan.bench.robustness.run import RobustnessResult
from tamperscan.bench.robustness.treatments import TREATMENTS
from tamperscan.detect.calibration import Calibration

THRESHOLDS = (8.0, 6.0)


def outcome(kind, number, score, verdict="clear", traces=(), problem=""):
    return Outcome("jpeg-75", kind, f"{kind}-{number}", f"{kind}-{number}", score, verdict, traces, problem)


OUTCOMES = [
    *(outcome("FB", number, 9.0 + number, "suspicious") for number in range(4)),
    outcome("FM", 0, 5.0),
    outcome("FM", 1, 7.0, "abstained", ("block compression",)),
    outcome("FM", 2, None, "", problem="no room"),
    *(outcome("authentic", number, float(number)) for number in range(5)),
    outcome("authentic", 5, 8.5, "abstained", ("block compression", "coarse values")),
    outcome("authentic", 6, None, "abstained"),
]


@pytest.fixture
def result():
    return treatment_result(TREATMENTS["jpeg-75"], OUTCOMES, THRESHOLDS)


def test_figures(result):
    assert result.kinds["FB"].auc.value == 1.0
    assert result.kinds["FB"].true_positives[0].value == 1.0
    assert result.kinds["FM"].auc.value == pytest.approx((5.0 + 5.0) / 12.0, abs=0.05)
    assert (result.kinds["FM"].slices, result.kinds["FM"].measured) == (2, 2)
    assert result.false_alarms[0].value == pytest.approx(1 / 6)
    assert (result.authentic, result.authentic_measured, result.patients) == (7, 6, 6)


def test_verdicts(result):
    tampered, authentic = result.verdicts["tampered"], result.verdicts["authentic"]
    assert (tampered.slices, authentic.slices) == (6, 7)
    assert tampered.suspicious.value == pytest.approx(4 / 6)
    assert authentic.abstained.value == pytest.approx(2 / 7)
    assert authentic.traces == {"block compression": 1, "coarse values": 1}
    assert authentic.recognised.value == pytest.approx(1 / 7)


def test_what_could_not_be_treated_is_counted(result):
    assert result.problems == {"no room": 1}


def test_thresholds_are_the_calibration_s():
    scores = np.linspace(1.0, 100.0, 100)
    high, low = frozen_thresholds(Calibration(scores, scores, np.ones(100), growth=1.0))
    assert (high, low) == (99.0, 95.0)


def test_share_of_scans_has_the_interval_of_so_many():
    share = share_of_scans({str(number): False for number in range(50)})
    assert share.value == 0.0
    assert 0.05 < share.high < 0.1
    assert math.isnan(share_of_scans({}).value)


def test_the_page(result):
    told = RobustnessResult(
        detector="toy, head combined",
        weights_sha256="0" * 64,
        false_alarms=(0.01, 0.05),
        thresholds=THRESHOLDS,
        most=2,
        treatments=(result, result),
        attacks=(result,),
        averaged=None,
        scans_recognised={"authentic a": False, "tampered b": True},
        false_recognitions={name: share_of_scans({"a": False}) for name in ("authentic", "tampered", "both")},
        not_held_out=(),
    )
    page = robustness_page(told, Provenance("tamperscan bench --robustness", "abc"))
    for words in (
        "## Laundering",
        "JPEG, quality 75",
        "2 x block compression",
        "Gradient attack",
        "1 slices",
        "4 of 6",
    ):
        assert words in page
    assert "Slice averaging" not in page
