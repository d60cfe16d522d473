"""The whole way, on a few real slices."""

import pytest

from tamperscan.bench.document import provenance
from tamperscan.bench.explain.page import sections
from tamperscan.bench.explain.run import run_explanation
from tamperscan.bench.runs import Request
from tamperscan.data import packaged_weights
from tamperscan.errors import ScanError

FEW = ("2997_63.dcm", "4753_138.dcm")
PATIENT = "SIIM_TCGA-LUAD_TCGA-34-5231"

needs_detector = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")


@pytest.fixture
def few_scans(few_of, real_scans, tmp_path):
    return few_of(real_scans, tmp_path, FEW, (PATIENT,))


@needs_detector
def test_a_detector_is_explained(few_scans):
    request = Request(few_scans, "ct", few_scans / "split.json")
    found, compared = run_explanation(request, {"smooth": ("remove",)})
    assert found.material.tampered == {"FB": 1, "FM": 1}
    assert found.material.not_held_out == ()
    removed = next(one for one in found.sweeps if (one.kind, one.tissue) == ("FB", "parenchyma"))
    at_20 = next(level for level in removed.levels if level.level_hu == 20.0)
    assert at_20.auc.value > 0.8
    smooth = found.swaps[0]
    assert smooth.times[-1].value < 0.5
    assert found.attribution is None or found.attribution.median_gap < 0.1
    assert len(compared) <= 2
    assert all(sections(found, provenance("bench", "explain"), {}, None).values())


def test_without_labels_it_says_so(tmp_path):
    with pytest.raises(ScanError, match="labels"):
        run_explanation(Request(tmp_path, "ct", tmp_path / "split.json"), {})
