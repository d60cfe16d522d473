"""An index, and one Ray for all tests that need it."""

from __future__ import annotations

import shutil

import pytest

from tamperscan.archive.index import Index
from tamperscan.errors import ArchiveError


@pytest.fixture
def index(tmp_path):
    (tmp_path / "out").mkdir()
    made = Index(tmp_path / "out")
    yield made
    made.close()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Ray on two cores at most, with one worker that screens; ended with the tests."""
    from tamperscan.archive.cluster import Cluster, Engine
    from tamperscan.archive.folder import scratch_folder
    from tamperscan.archive.manifest import Settings

    scratch = scratch_folder(tmp_path_factory.mktemp("ray"))
    scratch.mkdir(mode=0o700)
    try:
        started = Cluster(Engine(workers=1, device="cpu", memory=2**27), Settings(detector="ct"), scratch)
    except ArchiveError as error:
        pytest.skip(str(error))
    with started:
        yield started
    shutil.rmtree(scratch, ignore_errors=True)
