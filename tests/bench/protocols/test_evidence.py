import numpy as np

from tamperscan.bench.protocols.evidence import CaseFacts, facts_of
from tamperscan.scan import Scan

from .made import authentic, evidence


def scan_of(*warnings):
    return Scan(np.zeros((3, 4, 5), np.float32), (2.0, 1.0, 1.0), "CT", "s", warnings=warnings)


def test_facts_hold_shape_and_spacing():
    facts = facts_of(authentic("s", "p"), scan_of())
    assert facts == CaseFacts((3, 4, 5), (2.0, 1.0, 1.0))
    assert facts.readable
    assert not facts.planar


def test_spacing_that_was_assumed_is_not_known():
    facts = facts_of(authentic("s", "p"), scan_of("A NumPy file holds no voxel spacing; 1 mm was assumed."))
    assert facts.spacing_mm is None


def test_a_case_that_nobody_scored_has_an_empty_score():
    case = authentic("s", "p")
    made = evidence([case], {"ours": []})
    assert made.score("ours", case).slices == ()
    assert made.score("ours", case).problem
