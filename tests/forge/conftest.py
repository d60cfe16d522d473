from __future__ import annotations

from pathlib import Path

import pytest

REAL_SCANS = Path(__file__).parents[2] / ".." / "shared" / "data"


@pytest.fixture
def real_scans():
    """Folder of public research scans, which is no part of the project."""
    if not REAL_SCANS.is_dir():
        pytest.skip("the real scans are not on this machine")
    return REAL_SCANS.resolve()
