from tamperscan.bench.protocols.screening import SEVERAL, measure_screening
from tamperscan.bench.protocols.transfer import measure_transfer

from .made import PLACE, authentic, evidence, scored, sliced, tampered


def measured():
    """Seen scanners: the tampered slices are found. Unseen ones: they are not."""
    forged = [tampered("f", "p", scanner="A"), tampered("g", "r", scanner="B"), tampered("h", "t")]
    real = [authentic("a", "q", scanner="A"), authentic("b", "s", scanner="B")]
    scores = {"f": 9.0, "g": -9.0, "h": 0.0, "a": 1.0, "b": 1.0}
    told = [scored(case, sliced(10, scores[case.name], at=PLACE, tampered=case.tampered)) for case in (*forged, *real)]
    made = evidence([*forged, *real], {"ours": told}, seen_scanners={"A", "Z"})
    return measure_transfer(made, measure_screening(made))


def test_seen_and_unseen_scanners_are_compared_with_their_own():
    columns = {column.scanners: column for column in measured().scanners}
    areas = {name: column.measures["slice_auc"]["ours"].estimate.value for name, column in columns.items()}
    assert areas == {"seen": 1.0, "unseen": 0.0}
    assert all(column.authentic_slices == 1 for column in columns.values())


def test_scans_without_a_scanner_are_counted():
    assert measured().unknown_scanner == 1
    assert measured().seen_scanners == ("A", "Z")


def test_generators_are_the_screening_columns():
    assert [column.generator for column in measured().generators] == ["gan"]
    assert all(column.generator == SEVERAL for column in measured().scanners)
