import json

import pytest

from tamperscan.archive.detectors import describe_detectors, load_detectors
from tamperscan.archive.manifest import FILE, Settings, claim, make_manifest, read_manifest
from tamperscan.errors import ArchiveError, WeightsError

DESCRIBED = {
    "version": "1.0",
    "detectors": {"CT": {"name": "ct", "weights_sha256": "a" * 64, "head": "combined", "calibration_scores": [1.0]}},
}


def manifest(**changes):
    return {**make_manifest(Settings(), DESCRIBED), **changes}


def test_the_same_may_go_on(tmp_path):
    claim(tmp_path, manifest())
    claim(tmp_path, manifest())
    assert read_manifest(tmp_path) == manifest()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": "2.0"}, "version 1.0 there and 2.0 now"),
        ({"alarm_rate": 0.01}, "alarm_rate 0.05 there and 0.01 now"),
        (
            {"detectors": {"CT": {**DESCRIBED["detectors"]["CT"], "weights_sha256": "b" * 64}}},
            "detectors.CT.weights_sha256 aaaaaaaaaaaa there and bbbbbbbbbbbb now",
        ),
        ({"detectors": {"CT": {}}}, "detectors.CT.head combined there and nothing now"),
    ],
)
def test_results_of_another_making_are_refused(tmp_path, changes, words):
    claim(tmp_path, manifest())
    with pytest.raises(ArchiveError, match="can't be mixed") as refused:
        claim(tmp_path, manifest(**changes))
    assert words in str(refused.value)
    assert read_manifest(tmp_path) == manifest()


@pytest.mark.parametrize("content", ["{", "[]", json.dumps("text")])
def test_a_damaged_manifest_is_told(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ArchiveError, match="damaged"):
        claim(tmp_path, manifest())


def test_detectors_by_modality():
    described = describe_detectors(load_detectors(Settings(head="combined"), "cpu", 1))
    assert {modality: one["head"] for modality, one in described["detectors"].items()} == {
        "CT": "combined",
        "MR": "typicality",
    }
    assert len(described["detectors"]["CT"]["calibration_scores"]) > 20


@pytest.mark.parametrize("settings", [Settings(detector="nowhere"), Settings(head="nonsense")])
def test_a_detector_that_there_is_not(settings):
    with pytest.raises(WeightsError):
        load_detectors(settings, "cpu", 1)
