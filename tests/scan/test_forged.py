import pytest
from dicom_maker import dataset, hounsfield, item, write_series

from tamperscan.errors import OutputError
from tamperscan.scan import read_scan
from tamperscan.scan.forged import CODE, NOTE, REMARK, is_forged, refuse_forged, says_forged


def made(**values):
    return dataset(hounsfield(1)[0], **values)


@pytest.mark.parametrize(
    "values",
    [
        {"SeriesDescription": f"{REMARK}: inject"},
        {"SeriesDescription": f"copy of {REMARK.upper()}"},
        {"DerivationDescription": f"{REMARK}: inject"},
        {"DerivationCodeSequence": [item(CodeValue=CODE[0], CodingSchemeDesignator=CODE[1])]},
    ],
)
def test_one_remark_is_enough(values):
    assert is_forged(made(**values))
    with pytest.raises(OutputError, match="never goes to a PACS"):
        refuse_forged(made(**values))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"SeriesDescription": "Thorax 2.0 B70f"},
        {"DerivationDescription": "tamperscan looked at it"},
        {"DerivationCodeSequence": [item(CodeValue="113040", CodingSchemeDesignator="DCM")]},
        {"DerivationCodeSequence": [item(CodeValue=CODE[0], CodingSchemeDesignator="99OTHER")]},
    ],
)
def test_others_pass(values):
    assert not is_forged(made(**values))
    refuse_forged(made(**values))


def test_the_remark_is_found_in_any_case():
    assert says_forged("forged BY Tamperscan")
    assert not says_forged("")


def test_the_image_that_is_refused_is_named():
    with pytest.raises(OutputError, match=r"Image 1\.2\.3\.77 was forged"):
        refuse_forged(made(SeriesDescription=REMARK, SOPInstanceUID="1.2.3.77"))


def test_the_reader_warns(tmp_path):
    assert NOTE in read_scan(write_series(tmp_path / "forged", SeriesDescription=REMARK)).warnings
    assert NOTE not in read_scan(write_series(tmp_path / "authentic")).warnings
