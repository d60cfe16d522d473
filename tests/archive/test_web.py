import pytest
from archive_maker import make_series
from pydicom import dcmread
from web_archive import serving

from tamperscan.archive.reading import read_series
from tamperscan.archive.web import find
from tamperscan.errors import ServeError

pytest.importorskip("httpx")


@pytest.fixture
def series(tmp_path):
    """Two series, one of which lacks an image."""
    held = {}
    for uid in ("1.1", "1.2"):
        folder = make_series(tmp_path / uid, uid, 3, StudyInstanceUID="1.9")
        held[uid] = {dcmread(path).SOPInstanceUID: path.read_bytes() for path in folder.iterdir()}
    held["1.2"][next(iter(held["1.2"]))] = None
    return held


def test_series_are_fetched_and_read(series):
    told = []
    with serving(series) as url:
        found = list(find(url, ["StudyDate=2024"], None, told.append))
        assert [one.series for one in found] == ["1.1", "1.2"]
        read = read_series(found[0])
    assert read.scans[0].voxels.shape == (3, 20, 24)
    assert not told


def test_a_part_of_a_series_is_not_judged(series):
    with serving(series) as url:
        read = read_series(list(find(url, ["StudyDate=2024"], None, print))[1])
    assert not read.scans
    assert "can't be fetched as a whole" in read.problems[0]


def test_a_query_that_is_none():
    with pytest.raises(ServeError, match="no DICOM attribute"):
        list(find("http://127.0.0.1:1", ["Nonsense=1"], None, print))
