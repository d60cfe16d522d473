import pytest

from tamperscan.report.dicom.sources import read_sources
from tamperscan.report.dicom.stand_ins import decimal, stand_ins


def test_they_share_one_orientation_and_lie_where_the_slices_do(series):
    nearly = [[1, 0, 0, 0, 1, 0], [0.9999999, 0.0004, 0, -0.0004, 0.9999999, 0]]
    sources = read_sources(series(2, each=lambda index: {"ImageOrientationPatient": nearly[index]}))
    made = stand_ins(sources, [0, 1], "CT", (1, 1))
    assert made[0].ImageOrientationPatient == made[1].ImageOrientationPatient
    assert [header.ImagePositionPatient[2] for header in made] == [0.0, 2.5]
    assert len({header.SOPInstanceUID for header in made}) == 2
    assert sources.first.SOPInstanceUID == "1.2.826.0.1.3680043.8.498.3.1"  # the real header stays as it is


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-173.1767578125, "-173.1767578125"),
        (1 / 3, "0.33333333333333"),
        (-1.23456789e-10, "-1.23456789e-10"),
    ],
)
def test_decimal_strings(value, text):
    assert decimal(value) == text
    assert len(decimal(value)) <= 16
    assert float(decimal(value)) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("value", [1e300 / 3, -1e-300 / 7, 123456789012.3456789, -0.1 - 0.2])
def test_decimal_strings_always_fit(value):
    assert len(decimal(value)) <= 16
    assert float(decimal(value)) == pytest.approx(value, rel=1e-6)
