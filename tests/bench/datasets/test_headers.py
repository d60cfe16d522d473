import pytest
from dicom_maker import hounsfield, write_series, write_slice

from tamperscan.bench.datasets.headers import read_outline
from tamperscan.errors import ScanError
from tamperscan.scan import read_scan


def test_files_come_in_the_order_of_the_scan(tmp_path):
    write_series(tmp_path, hounsfield(4), order=[2, 0, 3, 1])
    outline = read_outline(tmp_path)
    assert outline.shape == read_scan(tmp_path).shape == (4, 20, 24)
    assert outline.files == ("IM0001", "IM0003", "IM0000", "IM0002")


def test_a_single_file(tmp_path):
    assert read_outline(write_slice(tmp_path / "one.dcm")).shape == (1, 20, 24)


def test_what_is_no_volume_is_refused(tmp_path):
    (tmp_path / "text.dcm").write_text("nothing")
    with pytest.raises(ScanError, match="0 DICOM volumes"):
        read_outline(tmp_path)
    write_slice(tmp_path / "a.dcm", SeriesInstanceUID="1.2")
    write_slice(tmp_path / "b.dcm", SeriesInstanceUID="1.3")
    with pytest.raises(ScanError, match="2 DICOM volumes"):
        read_outline(tmp_path)
