import pytest

from tamperscan.serve.web.form_files import Received, ending_of


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a.dcm", ".dcm"),
        ("A.NII.GZ", ".nii.gz"),
        ("a", ""),
        ("a.b c", ""),
        ("a.tar.gz", ".gz"),
        ("a.\u00e9", ""),
        (".dcm", ".dcm"),
    ],
)
def test_ending(name, ending):
    assert ending_of(name) == ending


def test_title_of_several_files(tmp_path):
    assert Received(tmp_path, names=["a.dcm"]).title == "a.dcm"
    assert Received(tmp_path, names=["s/a.dcm", "s/b.dcm"]).title == "s"
    assert Received(tmp_path, names=["a.dcm", "b.dcm", "c.dcm"]).title == "a.dcm and 2 more"
