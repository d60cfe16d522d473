from __future__ import annotations

import numpy as np
import pytest

from tamperscan.errors import ForgeError
from tamperscan.forge import nodule_statistics
from tamperscan.forge.nodule_statistics import mixed, packaged_statistics, write_statistics


def test_the_packaged_figures_are_of_training_patients_only():
    nodules = packaged_statistics()
    assert {nodule.scan.split("_")[0] for nodule in nodules} <= {"LIDC-IDRI-0001", "Lung"}
    assert not any("A0002" in nodule.scan or "0003" in nodule.scan for nodule in nodules)
    assert all(-50 < nodule.density_hu < 150 and len(nodule.sha256) == 64 for nodule in nodules)


def test_drawn_figures_lie_between_those_of_real_nodules():
    nodules = packaged_statistics()
    drawn = [mixed(nodules, np.random.default_rng(seed)) for seed in range(50)]
    densities = [figures["density_hu"] for figures in drawn]
    real = [nodule.density_hu for nodule in nodules]
    assert min(real) <= min(densities) < max(densities) <= max(real)
    assert mixed(nodules, np.random.default_rng(3)) == drawn[3]


def test_written_figures_are_read_again(tmp_path, monkeypatch):
    (tmp_path / "forge").mkdir()
    nodules = packaged_statistics()
    write_statistics(nodules, tmp_path / "forge" / "nodule-statistics.json")
    monkeypatch.setattr(nodule_statistics, "files", lambda package: tmp_path)
    assert packaged_statistics() == nodules


def test_a_damaged_file_is_told(tmp_path, monkeypatch):
    (tmp_path / "forge").mkdir()
    (tmp_path / "forge" / "nodule-statistics.json").write_text('{"nodules": [{"scan": 1}]}')
    monkeypatch.setattr(nodule_statistics, "files", lambda package: tmp_path)
    with pytest.raises(ForgeError, match="Reinstall"):
        packaged_statistics()
