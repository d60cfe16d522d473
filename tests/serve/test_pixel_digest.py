import numpy as np
import pytest
from dicom_maker import dataset, hounsfield, save, write_slice
from pydicom import dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tamperscan.errors import ScanError
from tamperscan.serve.pixel_digest import decoded_digest, meaning_digest, stored_digest

COMPRESSED = [JPEG2000Lossless, JPEGLSLossless, RLELossless]


@pytest.fixture
def plain(tmp_path):
    return write_slice(tmp_path / "plain.dcm", hounsfield(1, 40, 48)[0])


def rewritten(path, syntax, name="other.dcm"):
    """The same image in another transfer syntax."""
    image = dcmread(path)
    if syntax in COMPRESSED:
        image.compress(syntax, generate_instance_uid=False)
    else:
        pixels = image.pixel_array
        image.file_meta.TransferSyntaxUID = syntax
        image.PixelData = pixels.astype(
            pixels.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")
        ).tobytes()
    other = path.with_name(name)
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dcmwrite(other, image, implicit_vr=implicit, little_endian=little, force_encoding=True)
    return other


def test_digests_are_sha256_in_hexadecimal(plain):
    for digest in (stored_digest(plain), decoded_digest(plain)):
        assert len(bytes.fromhex(digest)) == 32


def test_the_stored_digest_is_that_of_the_bytes(plain):
    import hashlib

    assert stored_digest(plain) == hashlib.sha256(dcmread(plain).PixelData).hexdigest()


@pytest.mark.parametrize(
    "syntax", [*COMPRESSED, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_the_decoded_digest_is_the_same_in_every_lossless_syntax(plain, syntax):
    assert decoded_digest(rewritten(plain, syntax)) == decoded_digest(plain)


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_compressed_pixels_are_other_bytes(plain, syntax):
    assert stored_digest(rewritten(plain, syntax)) != stored_digest(plain)


def test_one_changed_sample_changes_both(tmp_path, plain):
    plane = hounsfield(1, 40, 48)[0].copy()
    plane[3, 4] += 1
    other = write_slice(tmp_path / "other.dcm", plane)
    assert stored_digest(other) != stored_digest(plain)
    assert decoded_digest(other) != decoded_digest(plain)


def test_another_rescale_is_another_image(plain):
    image = dcmread(plain)
    image.RescaleIntercept = float(image.RescaleIntercept) + 10
    assert stored_digest(image) == stored_digest(plain)
    assert decoded_digest(image) != decoded_digest(plain)


def test_another_shape_of_the_same_bytes_is_another_image(tmp_path, plain):
    turned = write_slice(tmp_path / "turned.dcm", hounsfield(1, 40, 48)[0].reshape(48, 40))
    assert stored_digest(turned) == stored_digest(plain)
    assert decoded_digest(turned) != decoded_digest(plain)


def test_bits_outside_the_stored_ones_do_not_count(tmp_path):
    plane = hounsfield(1, 8, 8)[0] & 0x3FF
    clean = dataset(plane, BitsStored=12, HighBit=11, PixelRepresentation=0, RescaleIntercept=0)
    dirty = dataset(plane, BitsStored=12, HighBit=11, PixelRepresentation=0, RescaleIntercept=0)
    dirty.PixelData = (np.frombuffer(dirty.PixelData, "<u2") | 0x4000).astype("<u2").tobytes()
    assert decoded_digest(clean) == decoded_digest(dirty)


def test_an_object_without_pixels_has_none(plain):
    image = dcmread(plain)
    del image.PixelData
    assert stored_digest(image) is None
    assert decoded_digest(image) is None


def test_pixels_that_are_cut_short_are_told(tmp_path):
    image = dataset(hounsfield(1)[0])
    image.PixelData = image.PixelData[:100]
    with pytest.raises(ScanError, match="can't be decoded"):
        decoded_digest(save(image, tmp_path / "short.dcm"))


def test_colour_is_told(plain):
    image = dcmread(plain)
    image.SamplesPerPixel = 3
    with pytest.raises(ScanError, match="colour"):
        decoded_digest(image)


def test_what_unpacks_to_too_much_is_refused_by_its_header(plain):
    image = dcmread(rewritten(plain, RLELossless))
    image.Rows = image.Columns = 60_000
    with pytest.raises(ScanError, match="more than 512 MiB"):
        decoded_digest(image)


def test_the_meaning_is_that_of_the_header(plain):
    image = dcmread(plain)
    meaning = meaning_digest(image)
    image.PatientName = "Other"
    assert meaning_digest(image) == meaning
    assert meaning_digest(rewritten_dataset(plain)) == meaning
    image.RescaleSlope = 2
    assert meaning_digest(image) != meaning


def rewritten_dataset(path):
    return dcmread(rewritten(path, ImplicitVRLittleEndian))
