import io

import numpy as np
import pydicom
from PIL import Image

from tamperscan.report.dicom import write_dicom_results


def test_the_pdf_is_whole_and_names_nobody(results):
    made = pydicom.dcmread(results.document)
    pdf = made.EncapsulatedDocument[: made.EncapsulatedDocumentLength]
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert (made.MIMETypeOfEncapsulatedDocument, made.BurnedInAnnotation) == ("application/pdf", "NO")
    assert len(made.SourceInstanceSequence) == 5
    assert b"Doe" not in pdf


def test_key_images_say_what_they_are_not_for(results):
    one = pydicom.dcmread(results.key_images[0])
    pixels = one.pixel_array
    assert pixels.shape[2] == 3
    assert (one.BurnedInAnnotation, one.ContentQualification) == ("NO", "RESEARCH")
    assert "NOT FOR DIAGNOSIS" in one.ImageComments
    orange = np.all(pixels[-74:] == (230, 159, 0), axis=-1)
    assert orange.sum() > 500  # the sentence is in the picture, too
    (source,) = one.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == "1.2.826.0.1.3680043.8.498.3.3"


def test_a_scan_without_findings_has_one_key_image(screened, screen, tmp_path):
    clear = screen(screened.scan, findings=(), verdict="clear", p_value=0.6)
    (path,) = write_dicom_results(clear, tmp_path / "dicom").key_images
    assert len(pydicom.dcmread(path).SourceImageSequence) == 5


def test_pictures_that_were_drawn_are_used(screened, tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), (1, 2, 3)).save(buffer, "PNG")
    drawn = {"finding_01.png": buffer.getvalue(), "finding_02.png": buffer.getvalue()}
    results = write_dicom_results(screened, tmp_path / "dicom", pictures=drawn)
    pixels = pydicom.dcmread(results.key_images[0]).pixel_array
    assert tuple(pixels[100, pixels.shape[1] // 2]) == (1, 2, 3)
