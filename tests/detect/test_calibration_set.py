from pathlib import Path

from tamperscan.detect.calibration_set import one_sided, source_facts, without_copies
from tamperscan.detect.checkpoints import StoredScan


def stored(name, hashes, maker="ACME"):
    return StoredScan(Path(name), name, len(hashes), 10, (), None, {"Manufacturer": maker}, tuple(hashes))


def test_a_patient_who_is_a_copy_of_another_does_not_count():
    told = []
    patients = {"a": [stored("a1", "123"), stored("a2", "45")], "b": [stored("b1", "123")], "c": [stored("c1", "67")]}
    kept, copies = without_copies(patients, lambda name, why: told.append((name, why)))
    assert list(kept) == ["a", "c"]
    assert [copy.scan for copy in copies] == ["b1"]
    assert told == [("b1", "every slice is in a1 too, as it is, mirrored or turned. It was left out.")]


def test_scans_measured_before_hashes_were_kept_are_no_copies():
    kept, copies = without_copies({"a": [stored("a1", "")], "b": [stored("b1", "")]}, lambda name, why: None)
    assert (list(kept), copies) == (["a", "b"], [])


def test_one_scanner_for_most_patients_is_told():
    patients = {str(number): [stored(str(number), "", "ACME" if number else "Other")] for number in range(4)}
    facts = source_facts(patients, [])
    assert facts["largest_scanner"] == {"name": "ACME", "share": 0.75, "most": 0.6}
    assert "75% of the patients were scanned with one scanner model (ACME)" in one_sided(facts)


def test_scanners_that_are_not_known_are_not_told():
    facts = source_facts({"a": [stored("a", "", "")]}, [])
    assert one_sided(facts) == ""
    assert one_sided({}) == ""
