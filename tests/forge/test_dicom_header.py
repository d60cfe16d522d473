import pydicom
import pytest
from dicom_maker import dataset, hounsfield, item

from tamperscan.forge.dicom_header import mark_forged
from tamperscan.forge.forgery import forge
from tamperscan.forge.site import Place
from tamperscan.scan.forged import REMARK, is_forged

from .toy import Ball, small_scan

RECORD = forge(small_scan(), Ball(), "inject", Place(2, 10, 12, 5.0), seed=3, region_mm=8.0).record


def marked(number=1, lossy=False, **values):
    made = dataset(hounsfield(1)[0], **values)
    mark_forged(made, RECORD, number, lossy=lossy)
    return made


def test_it_says_so_wherever_a_reader_may_look():
    made = marked(ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"])
    assert is_forged(made)
    assert list(made.ImageType) == ["DERIVED", "SECONDARY", "AXIAL", "CT_SOM5 SPI"]
    assert made.SeriesDescription == f"{REMARK}: inject, ball, seed 3"
    assert "inject by ball, seed 3, 5 mm at slice 2, row 10, column 12" in made.DerivationDescription
    assert "Never send it to a PACS" in made.DerivationDescription
    assert made.DerivationCodeSequence[0].CodingSchemeDesignator == "99TAMPERSCAN"


def test_it_cannot_be_merged_into_the_patients_folder():
    made = marked(PatientID="4711", AccessionNumber="A1", OtherPatientIDs="4712", StudyDescription="Thorax")
    assert (made.PatientID, str(made.PatientName)) == ("FORGED 4711", "FORGED Nobody^Knows")
    assert (made.AccessionNumber, made.StudyDescription) == ("", "FORGED Thorax")
    assert "OtherPatientIDs" not in made


def test_without_a_patient_it_is_marked_all_the_same():
    made = marked(PatientName=None, ImageType=None)
    assert (made.PatientID, str(made.PatientName)) == ("FORGED", "FORGED")
    assert list(made.ImageType) == ["DERIVED", "SECONDARY"]


def test_texts_stay_as_long_as_dicom_allows():
    made = marked(PatientID="9" * 64, PatientName="N" * 64)
    assert len(made.PatientID) == len(str(made.PatientName)) == 64


def test_uids_are_new_and_follow_from_the_pixels():
    old = dataset(hounsfield(1)[0], FrameOfReferenceUID="1.2.9")
    first, again, second = (marked(number, FrameOfReferenceUID="1.2.9") for number in (1, 1, 2))
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert first[keyword].value != old[keyword].value
        assert first[keyword].value == again[keyword].value
        assert pydicom.uid.UID(first[keyword].value).is_valid
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_the_authentic_image_is_referred_to():
    made = marked(SOPInstanceUID="1.2.3.4.5")
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4.5"
    assert "SourceImageSequence" not in marked(SOPInstanceUID=None)


def test_what_the_pixels_no_longer_hold_is_dropped():
    made = marked(LargestImagePixelValue=7, IconImageSequence=[item(Rows=1)])
    assert "LargestImagePixelValue" not in made
    assert "IconImageSequence" not in made


@pytest.mark.parametrize(("lossy", "said"), [(True, "01"), (False, None)])
def test_lossy_compression_is_not_forgotten(lossy, said):
    assert marked(lossy=lossy).get("LossyImageCompression") == said


def test_frames_are_marked_too():
    groups = [item(CTImageFrameTypeSequence={"FrameType": ["ORIGINAL", "PRIMARY", "VOLUME"]})]
    made = marked(PerFrameFunctionalGroupsSequence=groups)
    frame = made.PerFrameFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0]
    assert list(frame.FrameType) == ["DERIVED", "SECONDARY", "VOLUME"]


def test_a_unit_that_derived_images_must_not_leave_open_is_named():
    assert marked(RescaleType="US").RescaleType == "HU"
    assert marked(RescaleType="HU_MOD").RescaleType == "HU_MOD"


def test_a_missing_class_follows_from_the_modality():
    assert marked(SOPClassUID=None).SOPClassUID == pydicom.uid.CTImageStorage
