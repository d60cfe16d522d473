import dataclasses

import numpy as np
import pytest

from tamperscan.bench.document import Provenance
from tamperscan.bench.predictor_page import predictors_page
from tamperscan.bench.predictor_run import run_predictors
from tamperscan.bench.predictor_study import STUDY, VARIANTS, Variant, check_variants, study_cache, train_variant
from tamperscan.data import packaged_weights
from tamperscan.errors import BenchError

from .phantoms import SIDE, chest_scan, write_nifti

TINY = dataclasses.replace(STUDY, widths=(8, 12), crop_px=32, batch=2)
TINY_VARIANTS = {
    "middle": Variant("tiny", TINY),
    "neighbours": Variant("with neighbours", dataclasses.replace(TINY, neighbours=1)),
    "half": Variant("half the steps", TINY, share=0.5),
}


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    """One precision for all tests of a process: accelerate holds on to the first."""
    monkeypatch.setattr("tamperscan.diffusion.train.fast_at_bf16", lambda: False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Authentic scans as NIfTI, fine enough for a crop of the lung, and their split."""
    folder = tmp_path_factory.mktemp("study")
    scans = {"learn-1": 4, "learn-2": 1, "calm-1": 4, "calm-2": 1, "test-1": 5}
    for seed, (name, slices) in enumerate(scans.items(), start=1):
        voxels = chest_scan(seed, slices).voxels.repeat(2, axis=1).repeat(2, axis=2)
        write_nifti(folder / "ct" / f"{name}.nii.gz", voxels, (4.0, 1.2, 1.2))
    (folder / "split.json").write_text(
        '{"train": ["learn-1*", "learn-2*"], "calibrate": ["calm-1*", "calm-2*"], "test": ["test-1*"]}'
    )
    return folder


def test_variants_differ_from_the_base_in_one_thing():
    base = VARIANTS["middle"]
    for name, variant in VARIANTS.items():
        preset = {key for key, value in vars(variant.preset).items() if value != getattr(base.preset, key)}
        assert len(preset) + (variant.share != base.share) == (name != "middle"), name


def test_unknown_variant():
    with pytest.raises(BenchError, match=r"no variant 'huge'\. Choose of middle"):
        check_variants(["middle", "huge"])
    with pytest.raises(BenchError, match="No variant is named"):
        check_variants([])


def test_variant_takes_its_share_of_the_steps_and_goes_on(folder, tmp_path):
    cached = study_cache(folder, folder / "split.json", tmp_path)
    assert [scan.slices for scan in cached] == [4]  # series alone
    seen = []

    def train():
        return train_variant(
            "half", cached, tmp_path, 6, variants=TINY_VARIANTS, report=lambda progress: seen.append(progress.step)
        )

    assert (train().steps, train().steps, seen) == (3, 3, [1, 2, 3])


def test_neighbours_are_channels(folder, tmp_path):
    cached = study_cache(folder, folder / "split.json", tmp_path)
    trained = train_variant("neighbours", cached, tmp_path, 2, variants=TINY_VARIANTS)
    assert trained.network.settings.channels == 3


@pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")
def test_study_from_folders_to_page(folder, tmp_path):
    assert SIDE * 2 >= 96
    told = set()

    def study():
        return run_predictors(
            folder,
            folder / "split.json",
            tmp_path,
            steps=4,
            student_steps=0,
            names=list(TINY_VARIANTS),
            variants=TINY_VARIANTS,
            report=lambda name, step, steps: told.add(name),
        )

    result = study()
    assert told == set(TINY_VARIANTS)
    assert (result.patients, result.series_patients) == (3, 2)
    by_name = {each.name: each for each in result.variants}
    assert by_name["neighbours"].errors is None
    assert by_name["middle"].ratio is None
    assert by_name["packaged"].ratio.value < 0.9  # 9,000 steps against 4
    assert by_name["packaged"].parameters > by_name["middle"].parameters
    assert np.isfinite(by_name["neighbours"].series_ratio.value)
    told.clear()
    again = study()
    assert not told
    assert again.variants[0].errors == result.variants[0].errors
    page = predictors_page(result, Provenance("tamperscan bench predictors", "abc"))
    assert "## Noise predictors" in page
    assert "### Neighbouring slices" in page
    assert "One pass for all levels" not in page
    assert max(len(line) for line in page.splitlines() if not line.startswith("|")) <= 120
