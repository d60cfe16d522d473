from __future__ import annotations

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from tamperscan.errors import ScanError
from tamperscan.scan import read_scan

from .dicom_maker import dataset, hounsfield, item, save, write_slice


def read_one(tmp_path, plane, **values):
    return read_scan(write_slice(tmp_path / "a.dcm", plane, **values))


def shades(*values):
    """A 16 x 16 image of the given stored values, over and over."""
    kind = np.int16 if min(values) < 0 else np.uint16
    return np.resize(np.array(values, kind), (16, 16))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_uncompressed_syntaxes(tmp_path, syntax):
    scan = read_one(tmp_path, hounsfield(1)[0], syntax=syntax)
    assert np.array_equal(scan.voxels, hounsfield(1))


def test_big_endian(tmp_path):
    plane = hounsfield(1)[0]
    made = dataset(plane, PixelData=plane.astype(">i2").tobytes(), syntax=ExplicitVRBigEndian)
    scan = read_scan(save(made, tmp_path / "a.dcm"))
    assert np.array_equal(scan.voxels[0], plane)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"])
def test_lossless_compression_changes_nothing(tmp_path, syntax):
    plane = (hounsfield(1)[0] + 1000).astype(np.uint16)
    plain = read_one(tmp_path, plane)
    made = dataset(plane)
    made.compress(syntax)
    packed = read_scan(save(made, tmp_path / "b.dcm"))
    assert packed.metadata["TransferSyntaxUID"] == syntax
    assert packed.sha256 == plain.sha256
    assert packed.warnings == plain.warnings


@pytest.mark.parametrize(
    "syntax", ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEG2000Lossless", "RLELossless"]
)
@pytest.mark.parametrize("kind", [np.int16, np.uint16])
def test_lossless_compression_by_gdcm_changes_nothing(tmp_path, syntax, kind):
    plane = (hounsfield(1, 32, 32)[0] + (1000 if kind is np.uint16 else 0)).astype(kind)
    plain = write_slice(tmp_path / "a.dcm", plane)
    assert read_scan(compressed_by_gdcm(plain, syntax)).sha256 == read_scan(plain).sha256


def compressed_by_gdcm(path, syntax):
    """A copy of a DICOM file in another transfer syntax, beside it."""
    gdcm = pytest.importorskip("gdcm")
    reader, writer, change = gdcm.ImageReader(), gdcm.ImageWriter(), gdcm.ImageChangeTransferSyntax()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path.with_suffix(".packed.dcm")))
    assert writer.Write()
    return path.with_suffix(".packed.dcm")


def test_near_lossless_is_told(tmp_path):
    made = dataset((hounsfield(1)[0] + 1000).astype(np.uint16), RescaleIntercept=-1000)
    made.compress("1.2.840.10008.1.2.4.81", jls_error=3)
    scan = read_scan(save(made, tmp_path / "a.dcm"))
    assert np.abs(scan.voxels - hounsfield(1)).max() <= 3
    assert scan.warnings[0].startswith("Lossy compression")


@pytest.mark.parametrize(("ratios", "lossy"), [([20], True), (None, False)])
def test_lossy_jpeg_2000_is_told_by_its_wavelet(tmp_path, ratios, lossy):
    openjpeg = pytest.importorskip("openjpeg.utils")
    plane = (hounsfield(1, 64, 64)[0] + 1000).astype(np.uint16)
    stream = openjpeg.encode_array(plane, use_mct=False, compression_ratios=ratios)
    made = dataset(plane, PixelData=encapsulate([stream]), RescaleIntercept=-1000, syntax=JPEG2000)
    made["PixelData"].is_undefined_length = True
    scan = read_scan(save(made, tmp_path / "a.dcm"))
    assert np.array_equal(scan.voxels[0], plane - 1000.0) != lossy
    assert any("irreversible wavelet" in warning for warning in scan.warnings) == lossy


def test_lossy_history_is_told(tmp_path):
    assert "LossyImageCompression" in read_one(tmp_path, shades(-900, 0, 40), LossyImageCompression="01").warnings[0]


@pytest.mark.parametrize("kind", ["DERIVED", "SECONDARY"])
def test_derived_images_are_told(tmp_path, kind):
    scan = read_one(tmp_path, shades(-900, 0, 40), ImageType=[kind, "PRIMARY"])
    assert kind.lower() in scan.warnings[0]


def test_rescale(tmp_path):
    scan = read_one(tmp_path, shades(0, 1024, 2000), RescaleSlope=1.25, RescaleIntercept=-1024)
    assert scan.voxels[0, 0, :3].tolist() == [-1024, 256, 1476]


@pytest.mark.parametrize("facts", [{"RescaleSlope": None}, {"RescaleIntercept": None}, {"RescaleSlope": 0}])
def test_ct_without_rescale_is_an_error(tmp_path, facts):
    with pytest.raises(ScanError, match="without a rescale slope and intercept"):
        read_one(tmp_path, shades(-900, 0, 40), **facts)


@pytest.mark.parametrize("unit", ["MGML", "OD", "PCT"])
def test_ct_in_another_unit_is_an_error(tmp_path, unit):
    with pytest.raises(ScanError, match=f"another unit .* \\({unit}\\)"):
        read_one(tmp_path, shades(-900, 0, 40), RescaleType=unit)


def test_map_derived_from_ct_is_an_error(tmp_path):
    with pytest.raises(ScanError, match="a map derived from CT"):
        read_one(tmp_path, shades(-900, 0, 40), RescaleType="US", ImageType=["DERIVED", "PRIMARY", "PERFUSION"])


def test_modality_lut(tmp_path):
    table = item(LUTDescriptor=[4, 0, 16], LUTData=[24, 1000, 1100, 2000])
    table["LUTDescriptor"].VR = "US"
    table["LUTData"].VR = "US"
    scan = read_one(tmp_path, shades(0, 1, 2, 3), RescaleSlope=None, ModalityLUTSequence=Sequence([table]))
    assert scan.voxels[0, 0, :4].tolist() == [24, 1000, 1100, 2000]


@pytest.mark.parametrize("padding", [-2000, 63536])
def test_padding_of_ct_becomes_air(tmp_path, padding):
    made = dataset(shades(-2000, -900, 40))
    made.add_new("PixelPaddingValue", "SS" if padding < 0 else "US", padding)
    scan = read_scan(save(made, tmp_path / "a.dcm"))
    assert scan.voxels[0, 0, :3].tolist() == [-1024, -900, 40]


def test_padding_range(tmp_path):
    made = dataset(shades(-2000, -1500, 40))
    made.add_new("PixelPaddingValue", "SS", -2000)
    made.add_new("PixelPaddingRangeLimit", "SS", -1500)
    scan = read_scan(save(made, tmp_path / "a.dcm"))
    assert scan.voxels[0, 0, :3].tolist() == [-1024, -1024, 40]


def test_padding_of_mr_becomes_zero(tmp_path):
    made = dataset(shades(-5, 10, 40), Modality="MR")
    made.add_new("PixelPaddingValue", "SS", -5)
    assert read_scan(save(made, tmp_path / "a.dcm")).voxels.min() == 0


def test_padding_that_is_tissue_is_ignored(tmp_path):
    made = dataset(shades(-900, 0, 40))
    made.add_new("PixelPaddingValue", "SS", 0)
    scan = read_scan(save(made, tmp_path / "a.dcm"))
    assert scan.voxels[0, 0, :3].tolist() == [-900, 0, 40]
    assert "it was ignored" in scan.warnings[0]


def test_bits_outside_bits_stored_are_dropped(tmp_path):
    facts = {"BitsStored": 12, "HighBit": 11, "RescaleIntercept": -1000}
    scan = read_one(tmp_path, shades(5, 0x8000 + 5, 2000), **facts)
    assert scan.voxels[0, 0, :3].tolist() == [-995, -995, 1000]
    assert "outside BitsStored" in scan.warnings[0]


def test_signed_values_of_twelve_bits(tmp_path):
    scan = read_one(tmp_path, shades(0x0FFF, 1), PixelRepresentation=1, BitsStored=12, HighBit=11, Modality="MR")
    assert scan.voxels[0, 0, :2].tolist() == [-1, 1]


def test_monochrome1_of_mr_is_inverted(tmp_path):
    facts = {"PhotometricInterpretation": "MONOCHROME1", "BitsStored": 12, "HighBit": 11, "Modality": "MR"}
    scan = read_one(tmp_path, shades(0, 4095, 1000), **facts)
    assert scan.voxels[0, 0, :3].tolist() == [4095, 0, 3095]
    assert "inverted" in scan.warnings[0]


def test_monochrome1_of_ct_keeps_its_hounsfield_units(tmp_path):
    scan = read_one(tmp_path, shades(-900, 0, 40), PhotometricInterpretation="MONOCHROME1")
    assert scan.voxels[0, 0, :3].tolist() == [-900, 0, 40]
    assert "MONOCHROME1" in scan.warnings[0]


def test_values_that_wrap_around_are_an_error(tmp_path):
    with pytest.raises(ScanError, match="impossible values from -32000 to 32000 HU"):
        read_one(tmp_path, shades(-32000, 32000, 0))


def test_ct_without_air_is_told(tmp_path):
    assert "may not be Hounsfield units" in read_one(tmp_path, shades(0, 100, 2000)).warnings[0]


def test_coarse_steps_are_told(tmp_path):
    scan = read_one(tmp_path, shades(0, 100), RescaleSlope=32, RescaleIntercept=-1024)
    assert scan.warnings == ("CT values are stored in coarse steps of 32 HU.",)
