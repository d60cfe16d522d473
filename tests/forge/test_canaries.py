import numpy as np

from tamperscan.forge import canary_check
from tamperscan.forge.canaries import canary_pairs, forged_slice
from tamperscan.forge.canary_check import canaries_of, slice_score
from tamperscan.forge.method import load_method
from tamperscan.scan.volume import pixel_sha256

from .lung_phantom import phantom_scan


def test_a_slice_before_and_after():
    scan = phantom_scan()
    before, after = forged_slice(scan, scan.shape[0] // 2, load_method("smooth"), "remove", 3)
    assert before.shape == after.shape == (1, *scan.shape[1:])
    assert 0 < np.mean(before.voxels != after.voxels) < 0.2
    assert after.sha256 == pixel_sha256(after.voxels)
    assert any(np.array_equal(before.voxels[0], image) for image in scan.voxels)


def test_the_same_scan_gives_the_same_canaries():
    first, again = (list(canary_pairs("p", phantom_scan(), [load_method("copymove")])) for _ in range(2))
    assert [each.kind for each in first] == [each.kind for each in again]
    assert [each.forged.sha256 for each in first] == [each.forged.sha256 for each in again]


def test_no_more_patients_than_asked_for(monkeypatch):
    methods = [load_method("copymove")]  # the other one needs torch
    monkeypatch.setattr(canary_check, "canary_methods", lambda: methods)
    scans = (("p1", phantom_scan()), ("p1", phantom_scan(1)), ("p2", phantom_scan(2)), ("p3", phantom_scan(3)))
    pairs = list(canaries_of(scans, most=1))
    assert {pair.patient for pair in pairs} == {"p1"}
    assert len(pairs) == len(methods)


def test_a_slice_that_was_not_measured_has_no_score():
    class Nothing:
        slices = ()

    assert np.isnan(slice_score(lambda scan: Nothing())(phantom_scan()))
