import json

import numpy as np
import pytest

from tamperscan.detect.crops import CachedScan, CropSource, build_cache
from tamperscan.detect.learning_set import Vetting, crop_shares, vet
from tamperscan.errors import TrainingError
from tamperscan.scan.windows import LUNG_NOISE_CT

from .phantom import chest_scan, scan_of


@pytest.fixture(scope="module")
def scans():
    return [chest_scan(seed, slices=3) for seed in range(3)]


def cached_in(folder, scans):
    return [(scan.name, scan) for scan in build_cache(scans, folder)]


def forged(scan, slices=1):
    voxels = scan.voxels.copy()
    voxels[:slices, 100:120, 60:80] += 200
    return scan_of(voxels, name="forged")


def test_copies_are_left_out_and_told(tmp_path, scans):
    mirrored = scan_of(scans[0].voxels[:, :, ::-1], name="mirrored")
    told = []
    learning = vet(cached_in(tmp_path, [*scans, mirrored, forged(scans[1])]), tmp_path, Vetting(), told.append)
    assert [patient for patient, _ in learning.scans] == [scan.name for scan in scans]
    assert len(told) == 2
    assert "mirrored: every slice is in patient-0 too" in told[0]
    assert "forged: 2 of its 3 slices are in patient-1 too" in told[1]
    assert [each["name"] for each in learning.facts["copies_left_out"]] == ["mirrored", "forged"]


def test_copies_may_be_kept(tmp_path, scans):
    cached = cached_in(tmp_path, [scans[0], forged(scans[0])])
    assert len(vet(cached, tmp_path, Vetting(keep_copies=True), print).scans) == 2


def test_hashes_are_taken_once(tmp_path, scans):
    cached = cached_in(tmp_path, scans[:1])
    vet(cached, tmp_path, Vetting(), print)
    place = next(tmp_path.glob("*.hashes.json"))
    before = place.stat().st_mtime_ns
    vet(cached, tmp_path, Vetting(), print)
    assert place.stat().st_mtime_ns == before
    place.write_text("half")  # damaged: taken anew
    vet(cached, tmp_path, Vetting(), print)
    assert len(json.loads(place.read_text())) == 3


def test_what_somebody_decided_against_is_left_out(tmp_path, scans):
    told = []
    vetting = Vetting(left_out=frozenset({scans[1].sha256}))
    learning = vet(cached_in(tmp_path, scans), tmp_path, vetting, told.append)
    assert [patient for patient, _ in learning.scans] == ["patient-0", "patient-2"]
    assert told == ["patient-1: was left out, as --leave-out says."]
    assert learning.facts["left_out_by_hand"] == 1


def test_nothing_left(tmp_path, scans):
    vetting = Vetting(left_out=frozenset({scans[0].sha256}))
    with pytest.raises(TrainingError, match="every scan was left out"):
        vet(cached_in(tmp_path, scans[:1]), tmp_path, vetting, print)


def entry(slices, scanner=""):
    return CachedScan("a", "", "", slices, 0.0, 1.0, scanner)


def test_long_series_and_frequent_scanners_are_limited():
    scans = [("a", entry(400, "X")), ("b", entry(4, "X")), ("c", entry(4, "Y")), ("d", entry(4, "Z"))]
    scans += [("e", entry(4, "W"))]
    shares = crop_shares(scans, Vetting(most_of_a_scanner=0.4, most_of_a_patient=0.3))
    assert shares.sum() == pytest.approx(1)
    assert shares[:2].sum() == pytest.approx(0.4)
    assert shares[0] <= 0.3


def test_crops_are_drawn_by_their_shares(tmp_path, scans):
    cached = build_cache(scans, tmp_path)
    shares = np.array([0.0, 1.0, 0.0])
    source = CropSource(tmp_path, cached, crop_px=16, window=LUNG_NOISE_CT, shares=shares)
    _, numbers = source.draw_stored(np.random.default_rng(0), 20, 16)
    assert set(numbers) == {1}


def test_the_scanner_is_kept(tmp_path):
    scan = chest_scan(5, slices=1, metadata={"Manufacturer": "ACME", "ManufacturerModelName": "Ring 9"})
    assert build_cache([scan], tmp_path)[0].scanner == "ACME Ring 9"
